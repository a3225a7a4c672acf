"""Threads that tear down themselves what they have loaded, and what is handed over to them.

A connection of sqlite or a browser of Playwright's can be closed only in the thread that opened
it. Nobody can make that thread run anything: it does so as it next calls us, while it waits for
something of ours or runs an event loop, or as it ends.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from warmcache._process.after_fork import in_child, keep_forever


class LoadingThread:
    """A thread that has loaded what it alone can tear down.

    It refers to its ``Thread`` weakly, for entries refer to it, and may belong to that.
    ``handed`` are dying entries that it is to tear down, each with the view of its cache;
    ``views`` those of all caches that it has loaded something into, weakly. It is told of what
    is handed over by ``wake``, while it waits, and by ``call_on_loop``, if it runs a loop.
    """

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.itself = weakref.ref(threading.current_thread())
        self.name = threading.current_thread().name
        self.handed: dict[Any, Any] = {}
        self.views: weakref.WeakSet[Any] = weakref.WeakSet()
        self.wake: Callable[[], object] | None = None
        self.call_on_loop: Callable[[], object] | None = None
        self._process = os.getpid()
        self._ended = False
        self._guard = threading.Lock()
        LOADING[self.ident] = self

    @property
    def is_here(self) -> bool:
        """Whether this is the thread."""
        return self.ident == threading.get_ident() and not self._ended

    @property
    def is_inherited(self) -> bool:
        """Whether it was a thread of a process that has forked this one."""
        return self._process != os.getpid()

    def take(self, entry: Any, view: Any) -> bool:
        """Have it tear ``entry`` down when it can, once it is told; False: it has ended."""
        with self._guard:
            if self._ended:
                return False
            self.handed[entry] = view
            HANDED_OVER[self.ident] = self
        return True

    def tell(self) -> None:
        """Tell it that something was handed over. Without the store's lock: a loop hears of it."""
        for tell in (self.wake, self.call_on_loop):
            if tell is not None:
                tell()

    def rest(self) -> None:
        """Be none of those that something was handed over to, if nothing is left of that."""
        with self._guard:
            if not self.handed:
                HANDED_OVER.pop(self.ident, None)

    def end(self) -> bool:
        """Take nothing more, for the thread ends; False: there is still something to tear down."""
        with self._guard:
            if self.handed:
                return False
            self._ended = True
            LOADING.pop(self.ident, None)
            return True

    def __repr__(self) -> str:
        return f"thread {self.name!r}"


LOADING: dict[int, LoadingThread] = {}  # by their numbers, as long as they run
# Those of them that something was handed over to: none most often, which is all that most calls
# look at. What is awaited looks at those that may come to be.
HANDED_OVER: dict[int, LoadingThread] = {}


@in_child
def _leave_to_parent() -> None:
    keep_forever(LOADING.copy())
    LOADING.clear()
    HANDED_OVER.clear()
