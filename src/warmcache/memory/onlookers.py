"""Who else has bytes that are about to leave a device, wherever in this process that is warm.

Parking takes bytes away from all who look at them. Who is charged for them does not tell who that
is: a value whose size is said is not looked into, a cache that counts entries looks into none, and
what a loader has just returned is charged to nobody yet. So it is all looked into, here, when the
first value is to be parked beside it; each entry once, for what is found is remembered as long as
the entry stays as it is. What comes to be in a value later is not found, nor is what a loader has
that is still running: that has to lease what it builds on.

Tried and rejected: to look into each value as it is stored, and have that charged with nothing
(most are never parked beside anything); and to ask the garbage collector who refers to the bytes
(a variable of the user's would keep a value from being parked).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from warmcache._core.state.entry import Entry, State
from warmcache._core.state.store import Store
from warmcache._log import log
from warmcache.caches.cache import MADE

from .blocks import Block
from .footprint import Footprint, blocks_of

_Value: TypeAlias = "tuple[Entry | None, Any]"  # the value, and the entry that has it, if one does


class Onlookers:
    """What all that is warm has of one device; ``look`` finds that in a value."""

    def __init__(self, look: Callable[[Any], Footprint | None]) -> None:
        self._look = look
        # By the id of an entry and when it was loaded, which together are no other's.
        self._known: dict[tuple[int, float], tuple[Block, ...]] = {}

    def have_any_of(self, blocks: tuple[Block, ...], besides: Entry) -> bool:
        """Whether anything but one entry has a byte of ``blocks``, which lie apart."""
        if not blocks:
            return False
        known: dict[tuple[int, float], tuple[Block, ...]] = {}
        theirs: list[Block] = []
        for store in [cache._store for cache in list(MADE.values())]:
            for entry, value in _warm_in(store, besides):
                if entry is None:
                    theirs += self._seen(value)
                    continue
                name = id(entry), entry.loaded
                found = self._known.get(name)
                known[name] = self._seen(value) if found is None else found
                theirs += known[name]
                del value
        self._known = known
        return _overlap(sorted(blocks, key=lambda block: block[:2]), theirs)

    def _seen(self, value: Any) -> tuple[Block, ...]:
        try:
            return blocks_of(self._look(value))
        except Exception as error:  # a function of the user's, made for other values
            log().debug("what a %s holds cannot be seen: %s", type(value).__qualname__, error)
            return ()


def _warm_in(store: Store, besides: Entry) -> Iterator[_Value]:
    """Yield what has its bytes where its loader has put them: also what is not an entry yet."""
    with store.lock:
        if store.inherited:
            return
        entries = [
            each
            for each in store.alive()
            if each is not besides
            and each.state is not State.PARKED
            and each not in store.lingering
        ]
        entries += [each.loaded for each in store.flights.values() if each.loaded is not None]
        loaded = [each.box.get(0) for each in store.flights.values() if each.box]
        for batch in {*store.batches.values()}:
            loaded += [*(batch.produced or {}).values()]
    for entry in entries:
        yield entry, getattr(entry, "value", None)
    for produced in loaded:
        yield None, produced and produced[0]


def _overlap(blocks: list[Block], theirs: list[Block]) -> bool:
    starts = [block[0] for block in blocks]
    for start, end, owner in theirs:
        at = bisect_left(starts, end) - 1
        if at >= 0 and blocks[at][1] > start and owner() is not None:
            return True
    return False
