"""What an interrupt leaves behind, put right by the thread that was interrupted.

A KeyboardInterrupt, what a signal's handler raises, a MemoryError or the end of the stack can come
wherever a function begins, a loop goes back or a call of C code returns, and so in the midst of a
change. Locks are safe, as ``with`` takes and lets go of them without such a place. (CPython 3.14
has one there, by a fault that 3.15 has no more, python/cpython#148874, and 3.13 where a condition
inside sends a loop back, python/cpython#130279: what comes just then leaves a lock held, as it
would any program's.) Those of threading's events and conditions are not safe, and so neither is
used (:mod:`warmcache._auto_reset`). The rest is safe by three rules:

- *Who is interrupted mends.* Each way into the core ends in :func:`mend_after`, if by an
  exception that was raised in the midst of our own code. It has the store put everything where it
  says it belongs, and count anew (:mod:`warmcache._core.state.consistency`).
- *Say it first.* What a change means is said before it is made, by an assignment, which nothing
  can interrupt: ``entry.state``, ``entry.called``, ``record.over``. (A flight that nobody ends any
  more is known by its plan, which is over.)
- *Never nowhere.* What moves is in its new place before it leaves the old, and what was loaded is
  in a box from the moment on at which its loader returned.

Then what is condemned is torn down by the mending thread, if it was to tear it down. A second
interrupt while that goes on is not provided for. Tried and rejected: to undo each change where it
is made (a handler at each of sixty places), and to hold signals back (only the main thread can, and
it costs each change more than the change).
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.consistency import make_consistent
from warmcache._core.state.flights import CHAIN
from warmcache._ours import is_ours
from warmcache.errors import WarmcacheError

from .teardown import tear_down


def mend_after(cache: CacheView, error: BaseException) -> None:
    """Put right what ``error`` has interrupted, if it may have come in the midst of our code."""
    if _may_have_come_anywhere(error):
        mend(cache)


def mend(cache: CacheView) -> None:
    """Put right what some plan has left undone, which this thread has carried out."""
    store = cache.store
    if not store.inherited:
        with store.lock:
            doomed = make_consistent(store, CHAIN.get())
        tear_down(cache, doomed)


def _may_have_come_anywhere(error: BaseException) -> bool:
    if isinstance(error, Exception):
        return not isinstance(error, (WarmcacheError, KeyError)) and _hit_us(error.__traceback__)
    asyncio = sys.modules.get("asyncio")
    thrown = (GeneratorExit,) if asyncio is None else (GeneratorExit, asyncio.CancelledError)
    return not isinstance(error, thrown)  # which come where something is awaited or yielded


def _hit_us(trace: TracebackType | None) -> bool:
    """Whether our own code was running, be it that a signal's handler had interrupted it."""
    ours, handlers = False, _handlers()
    while trace is not None and trace.tb_frame.f_code not in handlers:
        ours = is_ours(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next
    return ours


def _handlers() -> list[object]:
    signal = sys.modules.get("signal")  # else nobody has put one there
    if signal is None or threading.current_thread() is not threading.main_thread():
        return []
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return [getattr(handler, "__code__", None) for handler in handlers if callable(handler)]
