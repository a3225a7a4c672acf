"""What was handed over to this thread, torn down here, see ``handing_over.py``."""

from __future__ import annotations

import threading
import time

from warmcache._core.state.entry import State
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.loading_threads import HANDED_OVER, LOADING, LoadingThread
from warmcache._core.state.one_shot import OneShot

from .mending import mend_after
from .teardown import tear_down


def tear_down_what_is_mine() -> None:
    """Tear down what was handed over to this thread."""
    thread = HANDED_OVER.get(threading.get_ident())
    if thread is not None:
        tear_down_handed_to(thread)


def tear_down_handed_to(thread: LoadingThread) -> None:
    """Tear down what was handed over to ``thread``, which is this one."""
    for entry, cache in thread.handed.copy().items():
        if entry in CHAIN.get():  # under way further out
            continue
        try:
            if entry.state is State.DYING:
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
    outer, woken = thread.woken, threading.Event()
    thread.woken = woken
    signal.call_back(woken.set)
    try:
        while not signal.happened:
            tear_down_handed_to(thread)
            left = None if deadline is None else deadline - time.monotonic()
            if signal.happened or (left is not None and left <= 0):
                break
            woken.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
            woken.clear()
    finally:
        thread.woken = outer
    return signal.happened
