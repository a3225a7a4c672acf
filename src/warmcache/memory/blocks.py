"""What a value consists of on a device: blocks of bytes, each with who owns it.

By them it is found which bytes several values have. A block is known by its addresses. What has
none that are told, a tensor in another library's form, or what a function of the user's has seen,
lies at addresses of its own: below zero, where nothing else is, by the ``id`` of its owner.

What nobody can refer to weakly, such as a ``bytearray``, is no block: nobody could tell whether
it is still there when other bytes are seen at its address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import TypeAlias

from .address_ranges import Ref

Block: TypeAlias = tuple[int, int, Ref]  # start, end, owner
_APART = 48  # bits: no owner has as many bytes


def blocks_of_parts(parts: Iterable[tuple[Ref, float]]) -> tuple[Block, ...]:
    """Return the blocks of what is known by its owners alone, one for each that lives."""
    found: dict[int, Block] = {}
    for owner, nbytes in parts:
        thing = owner()
        if thing is not None and nbytes > 0:
            start = -id(thing) << _APART
            found[start] = start, start + int(nbytes), owner
    return tuple(found.values())


def size_of(blocks: Collection[Block]) -> int:
    """Return the bytes of ``blocks``, of which none overlap."""
    nbytes: int = sum(map(itemgetter(1), blocks)) - sum(map(itemgetter(0), blocks))
    return nbytes
