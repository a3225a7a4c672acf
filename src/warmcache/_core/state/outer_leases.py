"""Outer leases: those whose ``with`` block the caller is inside of.

Such a lease cannot end before the caller goes on. Of no other is that certain: a lease that was
entered by an exit stack, a generator or by hand may be ended by another thread or task at any
time, whoever entered it, and web servers do so with what a request depends on. (A context manager
that is written as a generator ends its lease with the ``with`` block that it is used in.)

So the thread or task that took a lease is not asked, but the frame that entered it: whether it did
so with a ``with`` statement, and waits for the caller now. Such a frame lives at least as long as
its block, so its ``id`` is its own, and nothing has to refer to it, and to the value that way.
Tried and rejected: a context variable (each call of a thread pool may have a context of its own);
what refers to the lease (nobody sees what the frames of a running function refer to).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Hashable, Iterable
from types import CodeType, FrameType
from typing import TypeAlias

from warmcache._code_flags import ASYNC_GENERATOR, COROUTINE, YIELDS

from .entry import Entry, LeaseRecord, LoadLease, State
from .flights import CHAIN, Flight
from .records import RemovalCause
from .standstill import loop_here

Place: TypeAlias = tuple[int, CodeType, int]  # a frame's id and code, and where in that it is


_ENTERS = {
    contextlib._GeneratorContextManager.__enter__.__code__,
    contextlib._AsyncGeneratorContextManager.__aenter__.__code__,
}


def place_of(frame: FrameType) -> Place:
    """Return where ``frame`` enters a lease, or the context manager that it is the generator of."""
    while frame.f_code.co_flags & YIELDS:
        enter = frame.f_back
        if enter is None or enter.f_code not in _ENTERS or enter.f_back is None:
            break
        frame = enter.f_back
    return id(frame), frame.f_code, frame.f_lasti


class OuterLeases:
    """Tells which leases are outer ones of the thread or task that ``me`` is a record of."""

    def __init__(self, me: LeaseRecord) -> None:
        self._me = me
        self._frames: set[int] | None = None

    def __contains__(self, record: LeaseRecord) -> bool:
        me, place = self._me, record.place
        if isinstance(record, LoadLease):  # which its load gives up for whoever is inside of it
            return False
        if place is None:  # of a plain call, which nobody else can end
            return record.thread == me.thread and (me.task is None or record.task is me.task)
        if self._frames is None:
            self._frames = _waiting()
        waits = place[0] in self._frames or (
            # A synchronous caller blocks its whole thread, any task of it included.
            me.task is None
            and record.thread == me.thread
            and place[1].co_flags & (COROUTINE | ASYNC_GENERATOR) != 0
            and loop_here() is not None
        )
        return waits and _by_with_statement(place)


def outlived(leased: Iterable[Entry], key: Hashable, me: LeaseRecord) -> Entry | None:
    """Return the entry of ``key`` whose time has ended while ``me`` is inside a lease of it."""
    outer = OuterLeases(me)
    for entry in leased:
        if (
            entry.state is State.RETIRED
            and entry.cause is RemovalCause.EXPIRED
            and entry.key == key
            and any(
                record in outer or (me.task is not None and record.task is me.task)
                for record in entry.leases
            )
        ):
            return entry
    return None


def _waiting() -> set[int]:
    """Return the frames that wait for the running one: in this thread, and in other tasks."""
    frames: set[int] = set()
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        frames.add(id(frame))
        frame = frame.f_back
    for link in CHAIN.get():
        # An async load runs in a task of its own; who began it may have been cancelled since.
        if isinstance(link, Flight) and link.record.task is not None and link.record in link.joined:
            awaited = link.record.task.get_coro()
            while awaited is not None:
                frames.add(id(getattr(awaited, "cr_frame", None)))
                awaited = getattr(awaited, "cr_await", None)
    return frames


def _by_with_statement(place: Place) -> bool:
    import dis

    _, code, offset = place
    *before, here = [each for each in dis.get_instructions(code) if each.offset <= offset]
    if here.opname == "SEND":  # it awaits: that which an __aenter__ has returned, says the 1
        return any((each.opname, each.arg) == ("GET_AWAITABLE", 1) for each in before[-4:])
    # Up to Python 3.13 one instruction looks __enter__ up and calls it; since then there are two.
    return here.opname.startswith("BEFORE_") or before[-1].opname == "LOAD_SPECIAL"
