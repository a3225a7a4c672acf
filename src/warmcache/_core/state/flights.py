"""Loads under way, and the chain of loads and teardowns that a caller is inside of."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Generator, Hashable
from threading import get_ident
from types import TracebackType
from typing import Any

from .by_call import ByCall
from .entry import Entry, LeaseRecord, LoadLease, Source
from .growth import Growth
from .one_shot import OneShot


class Basis(enum.Enum):
    """What the weight of a reservation rests on, the surest first."""

    SAID = "said"
    EXPECTED = "expected"  # what loads of this key have taken, or a hint
    ALIKE = "alike"  # the mean of what is warm of this loader
    OTHERS = "others"  # the mean of what is warm of others: nothing is known of this loader
    UNKNOWN = "unknown"

    def __init__(self, text: str) -> None:
        # A guess, of which loads inside may take; one that has nothing to do with what is loaded.
        self.elastic = text in ("alike", "others", "unknown")
        self.blind = text in ("others", "unknown")


class Flight:
    """One load under way, and everybody who waits for it.

    ``blocked_on`` holds what it is waiting for: the flights that its loader has asked
    for, and a teardown of its own key. Along these edges a cycle is found.

    Invariant (the store's lock guards it): a flight is among the store's until it has
    ``ended``, so nobody can join later, and whoever joins finds ``done``, which is made for
    the first who waits. (What an interrupt has left behind is mended, see the drivers.)
    """

    basis = Basis.SAID  # of the weight
    growth: Growth | None = None  # what a meter knows of the try under way
    plan: Generator[Any, Any, None] | None = None  # what ends it; else it is a load
    returned: Entry | None = None  # what it does not load, but has back from the host tier
    forbidden = False  # to who began it, and not to who joined, if that is its error
    trace: TracebackType | None = None  # of the error, before anybody who waits had raised it

    def __init__(self, key: Hashable, record: LeaseRecord, source: Source, now: Any) -> None:
        self.key = key
        self.record = record
        self.source = source
        self.began = now  # by the store's timer
        self.joined: list[LeaseRecord] = [record]
        self.blocked_on: list[Flight | Entry] = []
        # What every load asks for or sets: what there is of that in its class, too, CPython sets
        # and finds several times more slowly.
        self.weight: float = 0  # reserved so far
        self.at_once = self.ended = False  # without a plan, under way in its thread; and over
        self.lease: LoadLease | None = None  # on what is retired of its key
        self.done: OneShot | None = None
        self.box: defaultdict[int, Any] | None = None  # what was loaded, as the loader gave it,
        self.loaded: Entry | None = None  # then as an entry,
        self.entry: Entry | None = None  # and once that was published
        self.paid: float | None = None  # seconds, where having it again costs others
        self.error: BaseException | None = None

    @property
    def left_behind(self) -> bool:
        """Whether nobody ends it any more: its plan is over, or this thread never began it."""
        plan: Any = self.plan
        if plan is not None and (plan.gi_frame is None or plan.gi_running or plan.gi_suspended):
            return plan.gi_frame is None
        return self.record.thread == get_ident() and not self.at_once

    def wait(self) -> OneShot:
        """Return what happens when it ends, for a caller that waits for it."""
        if self.done is None:
            self.done = OneShot()
        return self.done


class BatchFlight(Flight):
    """One call of a loader that loads several keys, and everybody who waits for any of them.

    It has ``ended`` when its loader has; then what it gave is stored, key by key, and until all
    of it is ``stored``, whoever wants one of them finds it here.
    """

    produced: dict[Hashable, Any] | None = None  # what each key came to; None: nothing came

    def __init__(
        self, keys: tuple[Hashable, ...], record: LeaseRecord, source: Source, now: Any
    ) -> None:
        super().__init__(keys[0], record, source, now)
        self.keys = frozenset(keys)
        self.stored = OneShot()

    def end(self) -> None:
        """Have its loader be over, whatever that gave. Again, if that was interrupted."""
        self.ended = True
        if self.done is not None:
            self.done.happen()


def leads_to(link: Flight | Entry, chain: tuple[Flight | Entry, ...]) -> bool:
    """Whether ``link`` is in ``chain``, or waits, in the end, for anything in there.

    What has ended is waited for no more, though who did may not have heard of it yet.
    """
    if not chain:
        return False
    seen: set[int] = set()
    pending = [link]
    while pending:
        link = pending.pop()
        if any(link is other for other in chain):
            return True
        if id(link) not in seen:
            seen.add(id(link))
            waits = getattr(link, "blocked_on", ())
            pending.extend([each for each in waits if not getattr(each, "ended", False)])
    return False


# The loads and teardowns that this thread or task is inside of, outermost first. The drivers set
# it, and set it back in a ``finally``: what is left in here would be under way for ever.
CHAIN: ByCall[tuple[Flight | Entry, ...]] = ByCall("warmcache_chain", ())
keep_chain, restore_chain = CHAIN.keep, CHAIN.restore


def go_inside(link: Flight | Entry, kept: Any) -> tuple[Flight | Entry, ...]:
    """Be inside of ``link``, until what CHAIN has ``kept`` is restored; return the links around."""
    me = get_ident()
    if kept is None:
        restore_chain(((link,), me))
        return ()
    outer: tuple[Flight | Entry, ...]
    outer, thread = kept
    if thread != me:  # it may have been inherited
        outer = CHAIN.get()
    restore_chain(((*outer, link), me))
    return outer
