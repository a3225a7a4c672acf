"""What was handed over to this thread, torn down here, see ``handing_over.py``."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import Any

from warmcache._auto_reset import AutoResetEvent
from warmcache._core.state.entry import State
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.loading_threads import LOADING, LoadingThread
from warmcache._core.state.one_shot import OneShot

from .mending import mend_after
from .teardown import tear_down


def tear_down_what_is_mine() -> None:
    """Tear down what was handed over to this thread, and have more of it come, if a loop runs."""
    thread = LOADING.get(threading.get_ident())
    if thread is not None:
        be_served(thread)
        tear_down_handed_to(thread)


def be_served(thread: LoadingThread) -> None:
    """Have what is handed over to ``thread``, which is this one, torn down on the loop it runs."""
    events = sys.modules.get("asyncio.events")  # else there are no loops
    loop = None if events is None else events._get_running_loop()
    if loop is not None:
        thread.call_on_loop = partial(_call_on, weakref.ref(loop))


def _call_on(reference: weakref.ref[Any]) -> None:
    loop = reference()
    if loop is not None:
        with suppress(RuntimeError):  # it is closed
            # In a context of its own: it is inside of nothing that this thread is inside of.
            loop.call_soon_threadsafe(tear_down_what_is_mine, context=contextvars.Context())


def tear_down_handed_to(thread: LoadingThread) -> None:
    """Tear down what was handed over to ``thread``, which is this one."""
    for entry, cache in thread.handed.copy().items():
        if entry in CHAIN.get():  # under way further out
            continue
        try:
            with cache.store.lock:
                mine = entry.state is State.DYING and entry.doomed_by is not None  # else a task's
                if mine:
                    entry.doomed_by = thread.ident  # if who handed it over had no time to say so
            if mine:
                tear_down(cache, [entry])
        except BaseException as error:
            mend_after(cache, error)  # for whoever runs this is busy with another cache
            raise
        thread.handed.pop(entry, None)  # not before, or an interrupt would lose it
    thread.rest()


def wait(signal: OneShot, timeout: float | None) -> bool:
    """Wait for ``signal`` as it does itself, and tear down meanwhile what is handed over."""
    thread = LOADING.get(threading.get_ident())
    if thread is None:
        return signal.wait(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    outer, woken = thread.wake, AutoResetEvent()
    thread.wake = woken.set
    signal.call_back(woken.set)
    try:
        while not signal.happened:
            tear_down_handed_to(thread)
            left = None if deadline is None else deadline - time.monotonic()
            if signal.happened or (left is not None and left <= 0):
                break
            woken.wait(left)
    finally:
        thread.wake = outer
        if outer is not None:  # this may have been woken for what is still to be done
            outer()
    return signal.happened
