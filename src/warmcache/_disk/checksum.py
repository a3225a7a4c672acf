"""What shows that a payload is not what was written: a CRC-32, or one of the sums of its blocks.

The latter is for what is large: numbers are added up as quickly as memory is read, which is five
times as quick as a CRC-32 of them. The sum of a block is that of its words of 64 bits, modulo
2**64, so a page that is missing, or another one, shows as well by it. What it does not show is
words of one block in another order; blocks in another order it does.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

Step: TypeAlias = Callable[[Any, int], int]  # a block, and the checksum up to it

BLOCK = 2**18  # bytes: as many as a processor keeps at hand; the last of a file may have fewer
CRC, SUMS = "", "sums"
_LARGE = 2**23  # bytes
_WORD = 8  # bytes
_MASK = 2**64 - 1


def kind_of(size: int) -> str:
    """Return the kind that a file of so many bytes is to have."""
    return SUMS if size >= _LARGE and "numpy" in sys.modules else CRC


def step(kind: str) -> Step:
    """Return what adds a block of a file to a checksum of that kind."""
    return KINDS[kind]


def _with_sum(block: Any, crc: int) -> int:
    words = block if len(block) % _WORD == 0 else bytes(block) + bytes(-len(block) % _WORD)
    try:
        import numpy
    except ImportError:
        total = sum(struct.unpack(f"<{len(words) // _WORD}Q", words))
    else:
        total = int(numpy.frombuffer(words, "<u8").sum())
    return zlib.crc32((total & _MASK).to_bytes(_WORD, "little"), crc)


KINDS: dict[str, Step] = {CRC: zlib.crc32, SUMS: _with_sum}


def blocks(parts: Iterable[memoryview]) -> Iterator[memoryview | bytes]:
    """Yield the blocks of a file of these parts; only what is of two parts is copied."""
    rest = b""
    for part in parts:
        begin = (BLOCK - len(rest)) if rest else 0
        if rest:
            rest += part[:begin]
            if len(rest) < BLOCK:
                continue
            yield rest
        end = begin + (len(part) - begin) // BLOCK * BLOCK
        yield from (part[at : at + BLOCK] for at in range(begin, end, BLOCK))
        rest = bytes(part[end:])
    if rest:
        yield rest
