"""When owners end that stand for what goes on: an event loop is closed, a thread has ended.

A loop tells its end, see ``loop_ends.py``. That of a thread is noticed by what it alone refers to,
which dies with it; so that nobody has to look. Of a thread that another names as an owner, nothing
can be had there: as long as there are such, the janitor looks each second.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from warmcache._process.janitor import janitor

_EVERY = 1.0  # seconds


class Ends(Protocol):
    """An owner, as far as its end is told here."""

    def end(self, why: str) -> object:
        """End, and say ``why``. It waits for nothing."""
        ...

    def forget(self, why: str) -> object:
        """Do the same for what is gone."""
        ...

    async def let_all_go_async(self) -> object:
        """Tear down what it has so far."""
        ...


def tell_end_of(thing: Any, owner: Ends) -> bool:
    """Have ``owner`` end when ``thing`` is over that it stands for, if it is a loop or a thread.

    What belongs to a loop goes on the loop itself, if that is shut down before it is closed.
    Returns whether it is a loop.
    """
    kind = type(thing)
    events = sys.modules.get("asyncio.events")  # else there are no loops
    if events is not None and issubclass(kind, events.AbstractEventLoop):
        from warmcache._core.drivers.loop_ends import call_when_closed, call_when_shut_down

        told = partial(owner.end, "the event loop that it belongs to is closed")
        call_when_closed(thing, told, call_when_shut_down(thing, owner.let_all_go_async))
        return True
    if issubclass(kind, threading.Thread):
        # What stands for a thread of C's may stand for the next one, too (before Python 3.12).
        end = owner.forget if kind is threading._DummyThread else owner.end
        _call_at_end_of_thread(thing, partial(end, "the thread that it belongs to has ended"))
    return False


class _Running:
    """What a thread refers to as long as it runs."""


_here = threading.local()


def _call_at_end_of_thread(thread: threading.Thread, told: Callable[[], object]) -> None:
    if thread is threading.current_thread():
        _here.sign = sign = _Running()
        weakref.finalize(sign, told).atexit = False
    else:
        _others.watch(thread, told)


class _OtherThreads:
    """The threads that are owners and have not said so themselves."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[threading.Thread], Callable[[], object]]] = {}

    def watch(self, thread: threading.Thread, told: Callable[[], object]) -> None:
        """Have ``told`` called when ``thread`` has ended, which it may have already."""
        self._known[id(thread)] = weakref.ref(thread), told
        if self.expire_now() is not None:
            janitor.watch(self, _EVERY)

    def expire_now(self) -> float | None:
        """Tell of those that have ended; return the seconds until it looks again, or None."""
        for number, known in self._known.copy().items():
            reference, told = known
            thread = reference()
            if thread is None or (thread.ident is not None and not thread.is_alive()):
                if self._known.get(number) is known:
                    del self._known[number]
                told()
        return _EVERY if self._known else None


_others = _OtherThreads()
