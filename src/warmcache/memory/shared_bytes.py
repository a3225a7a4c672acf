"""Who has which bytes of a device, over all caches of this process: each byte is charged once.

Bytes that several entries have, such as a base model under several adapters, are charged to the
entry that has had them longest. When that one goes the charge moves to the next that has them, and
what its going frees is only what nobody else has.

The bytes of a device lie in *segments*, each with who holds it, in the order in which they came;
the first is charged. A value's blocks are mostly found again as they are. Where two overlap in
part, a segment is cut in two. An owner that has died holds nothing, whatever its entry has: its
address may be another's by now. What its entry was charged with for it stays, as a weight that was
measured once, unless somebody else has the bytes still.

A lock of its own guards all of it. It is taken inside of a cache's, takes no other, and is never
held while anything of a user's runs. Entries are referred to weakly: nothing here keeps a value, or
a cache.

Tried and rejected: counters of what moves where (an interrupt between two of them is never made
good; what an entry is charged with is counted from the segments instead); a list of blocks for each
entry, compared with that of every other (a value of 1,000 blocks beside 100 like it would look at
100,000).
"""

from __future__ import annotations

import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, TypeAlias

from warmcache._core.state.store import Store
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.fork_safe_lock import ForkSafeLock

from .address_ranges import Ref
from .blocks import Block, size_of


class Share:
    """What one entry has of the bytes of a device.

    ``owned`` are the bytes that it is charged with for its blocks, and ``rest`` is what it weighs
    beyond; None as long as it is charged with nothing.
    """

    rest: float | None = None
    owned = 0

    def __init__(self, store: Store, blocks: tuple[Block, ...], seen: float) -> None:
        self._store = weakref.ref(store)
        self.blocks = blocks
        self.seen = seen  # bytes of the value that were nobody else's when it was weighed

    @property
    def store(self) -> Store | None:
        return self._store()

    @property
    def weight(self) -> float | None:
        return None if self.rest is None else self.rest + self.owned

    def reweigh(self, weight: float) -> None:
        self.rest = weight - self.owned


_Holder: TypeAlias = "tuple[weakref.ref[Share], Ref]"
# First and last address of bytes that the same entries have; then, one after the other, who that
# is and by whom it owns them. It is flat, for there may be tens of thousands. Somebody has them, or
# there is no segment.
_Segment: TypeAlias = tuple[Any, ...]


class SharedBytes:
    """The bytes of one device, and which entries of this process have them."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Know of nobody, in a forked child: what there is, is the parent's."""
        self._segments: dict[int, _Segment] = {}  # by their first address
        self._edges: list[int] = []  # first and last of each, in order
        self._watched: list[weakref.ref[Watched]] = []
        self._looked_at: tuple[Sequence[Block], list[Block]] = (), []  # what was met last

    def held(self, blocks: Sequence[Block], besides: Share | None = None) -> int:
        """Return how many bytes of ``blocks`` are charged to somebody, and not ``besides``."""
        if not self._edges:
            return 0
        with self._lock.lock:
            return sum([self._held(block, besides) for block in self._met(blocks)])

    def unheld(self, blocks: Sequence[Block]) -> Watched:
        """Return the parts of ``blocks`` with which nobody is charged, for watching them.

        One is in use as long as its owner lives, and until somebody is charged with all of it.
        """
        with self._lock.lock:
            held = {block[0]: self._held(block, None) for block in self._met(blocks)}
            sizes = [(block, block[1] - block[0] - held.get(block[0], 0)) for block in blocks]
            parts = Watched((_Unheld(block), nbytes) for block, nbytes in sizes if nbytes)
            parts.lent = [block for block, nbytes in sizes if not nbytes]
            others = [each for each in self._watched if each() is not None]
            self._watched = [*others, weakref.ref(parts)]
        return parts

    def join(self, share: Share, weight: float) -> float:
        """Have ``share`` hold its blocks from now on; return what its entry is to weigh.

        That was weighed at ``weight``, all that is its own included.
        """
        reference = weakref.ref(share)
        with self._lock.lock:
            met = {block[0]: block for block in self._met(share.blocks)}
            alone = [block for block in share.blocks if block[0] not in met]
            others = sum([self._join(block, reference) for block in met.values()])
            self._add(alone, reference)
            self._take_over()
            share.owned = size_of(share.blocks) - others
            share.rest = weight - share.seen
            return share.rest + share.owned

    def leave(self, share: Share) -> list[Share]:
        """Have ``share`` hold nothing any more; return whose charge has changed, its own last."""
        with self._lock.lock:
            heirs: dict[Share, None] = {}
            moved, before = 0, len(self._segments)
            blocks, share.blocks = share.blocks, ()
            for start, end, _ in blocks:
                for segment in [*self._inside(start, end)]:  # the edges stay until the end
                    heir = self._without(segment, share)
                    if heir is not None:
                        heirs[heir] = None
                        moved += segment[1] - segment[0]
            if len(self._segments) < before:
                ends = [segment[1] for segment in self._segments.values()]
                self._edges = sorted([*self._segments, *ends])
            for heir in heirs:
                heir.owned = self._owned(heir)
            share.owned -= moved
            return [*heirs, share] if heirs else []

    def give_back(self, blocks: Sequence[Block]) -> None:
        """Have ``blocks`` with which nobody is charged any more be watched by who had them, too.

        For their last holder was given away, and leaves no remains of its own.
        """
        with self._lock.lock:
            free = {block[:2] for block in blocks if not self._held(block, None)}
            for parts in [alive for each in self._watched if (alive := each()) is not None]:
                for part, _ in (*parts, *parts.back):
                    if part.taken and part.block[:2] in free:
                        free.remove(part.block[:2])  # one of them is charged
                        part.taken = False
                for block in [*parts.lent]:
                    if block[:2] in free:
                        free.remove(block[:2])
                        parts.lent.remove(block)
                        parts.back.append((_Unheld(block), block[1] - block[0]))

    # -- the segments; the lock is held ------------------------------------------------------

    def _add(self, blocks: Sequence[Block], share: weakref.ref[Share]) -> None:
        """Have ``share`` alone have ``blocks``, where nobody has anything."""
        if blocks:
            starts, ends, owners = zip(*blocks, strict=True)
            segments = zip(starts, ends, repeat(share, len(starts)), owners, strict=True)
            self._segments.update(zip(starts, segments, strict=True))
            self._edges += [*starts, *ends]
            self._edges.sort()
            self._looked_at = (), []

    def _take_over(self) -> None:
        """Note which of what is watched somebody has now."""
        for parts in [each() for each in self._watched]:
            for part, _ in () if parts is None else (*parts, *parts.back):
                start, end, _ = part.block
                part.taken = part.taken or self._held(part.block, None) == end - start

    def _join(self, block: Block, share: weakref.ref[Share]) -> int:
        """Add one that others have in part; return the bytes that they are charged with."""
        start, end, owner = block
        same = self._segments.get(start)
        if same is not None and same[1] == end and _who_has(same) is not None:  # as most are
            self._segments[start] = *same, share, owner
            return end - start
        self._cut(start)
        self._cut(end)
        at, others, gaps = start, 0, list[Block]()
        for segment in [*self._inside(start, end)]:
            first, last, *holders = segment
            gaps += [(at, first, owner)] if first > at else []
            if _who_has(segment) is not None:
                others += last - first
            else:
                _write_off(segment)
                holders = []
            self._segments[first] = first, last, *holders, share, owner
            at = last
        gaps += [(at, end, owner)] if end > at else []
        self._add(gaps, share)
        return others

    def _without(self, segment: _Segment, share: Share) -> Share | None:
        """Have ``share`` not have a segment any more; return who is charged now in its stead."""
        first, last, charged, *more = segment
        if len(more) == 1 and charged() is share:  # nobody else, as with most
            del self._segments[first]
            return None
        was_charged, heir = _charged(segment) is share, None
        left = [each for each in _holders(segment) if each[0]() is not share]
        if was_charged:
            left = [each for each in left if _has(each)]
        if not left:
            del self._segments[first]
            return None
        self._segments[first] = first, last, *chain.from_iterable(left)
        if was_charged:
            heir = _charged(self._segments[first])
        return heir

    def _held(self, block: Block, besides: Share | None) -> int:
        start, end, _ = block
        return sum(
            min(end, segment[1]) - max(start, segment[0])
            for segment in self._inside(start, end)
            if _who_has(segment) not in (None, besides)
        )

    def _owned(self, share: Share) -> int:
        return sum(
            segment[1] - segment[0]
            for start, end, _ in share.blocks
            for segment in self._inside(start, end)
            if _charged(segment) is share
        )

    def _met(self, blocks: Sequence[Block]) -> list[Block]:
        """Return those of ``blocks`` in which there is a segment, or a part of one."""
        if blocks is not self._looked_at[0]:
            edges = self._edges
            # All of the work is done in C, for most values share nothing and have many blocks.
            first = map(bisect_right, repeat(edges, len(blocks)), map(itemgetter(0), blocks))
            last = map(bisect_left, repeat(edges, len(blocks)), map(itemgetter(1), blocks))
            places = zip(blocks, first, last, strict=True)
            met = [block for block, begin, end in places if begin != end or begin & 1]
            self._looked_at = blocks, met
        return self._looked_at[1]

    def _inside(self, start: int, end: int) -> Sequence[_Segment]:
        """Return the segments in which there is a byte of a range, in order."""
        segments, edges = self._segments, self._edges
        same = segments.get(start)
        if same is not None and same[1] == end:  # as most are
            return (same,)
        at = bisect_right(edges, start)
        at -= at & 1  # it begins inside of one
        found = []
        while at < len(edges) and edges[at] < end:
            if edges[at] in segments:
                found.append(segments[edges[at]])
            at += 2
        return found

    def _cut(self, address: int) -> None:
        """Have a segment end at ``address``, and another begin, if it lies inside of one."""
        edges = self._edges
        at = bisect_right(edges, address)
        if at & 1 and edges[at - 1] < address:
            first, last, *holders = self._segments[edges[at - 1]]
            self._segments[first] = first, address, *holders
            self._segments[address] = address, last, *holders
            edges[at:at] = [address, address]
            self._looked_at = (), []


class _Unheld:
    """The weak reference to the owner of a block, until entries are charged with all of it.

    From then on it is ``taken``, whatever becomes of these, who leave remains of their own, unless
    the last of them is given away.
    """

    __slots__ = ("block", "taken")

    def __init__(self, block: Block) -> None:
        self.block, self.taken = block, False

    def __call__(self) -> object:
        return None if self.taken else self.block[2]()


class Watched(list[tuple[_Unheld, int]]):
    """What is watched of one value. It is a list that can be referred to weakly.

    ``lent`` is what others were charged with, and ``back`` what of that came back as the last of
    them was given away.
    """

    lent: list[Block]

    def __init__(self, parts: Iterable[tuple[_Unheld, int]]) -> None:
        super().__init__(parts)
        self.lent = []
        self.back: list[tuple[_Unheld, int]] = []


def _holders(segment: _Segment) -> Iterator[_Holder]:
    return zip(segment[2::2], segment[3::2], strict=True)


def _charged(segment: _Segment) -> Share | None:
    """Return who is charged: the first of its holders that there still is."""
    return next((share for holder in segment[2::2] if (share := holder()) is not None), None)


def _has(holder: _Holder) -> bool:
    """Whether that still has the bytes, for who owns them lives."""
    return holder[0]() is not None and holder[1]() is not None


def _who_has(segment: _Segment) -> Share | None:
    """Return who is the first of its holders that still has the bytes."""
    share = segment[2]()
    if share is not None and segment[3]() is not None:  # as nearly always
        return share  # type: ignore[no-any-return]
    return next((each[0]() for each in _holders(segment) if _has(each)), None)


def _write_off(segment: _Segment) -> None:
    """Have who was charged with bytes that have died keep that charge, as it was weighed."""
    share = _charged(segment)
    if share is not None and share.rest is not None:
        share.rest += segment[1] - segment[0]
        share.owned -= segment[1] - segment[0]
