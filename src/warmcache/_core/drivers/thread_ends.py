"""That a thread ends which has loaded what it alone can tear down.

It is seen by what only the thread refers to: its locals die in the thread itself, after all of its
own code. So what was handed over to it is torn down there, and what is warm of it as well, for
nobody could do that later. (The locals must not be asked for any more by then, or they would come
to life again.)
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from warmcache._core.plans import remove
from warmcache._core.state.loading_threads import LOADING, LoadingThread

from .handed_over import be_served, tear_down_handed_to
from .threads import run

_local = threading.local()


class _Runs:
    """What a thread's locals refer to as long as it runs."""


def this_thread(cache: Callable[[], Any]) -> LoadingThread:
    """Return this thread, which loads something that it alone can tear down.

    ``cache`` refers weakly to where that is to live.
    """
    thread = LOADING.get(threading.get_ident())
    if thread is None:
        thread = LoadingThread()
        _local.sign = sign = _Runs()
        weakref.finalize(sign, _ended, thread).atexit = False
    be_served(thread)
    if (found := cache()) is not None:
        thread.views.add(found._view)
    return thread


def _ended(thread: LoadingThread) -> None:
    if thread.is_inherited or sys.is_finalizing():
        return
    views = list(thread.views)
    with _known(thread):
        while views or not thread.end():
            with suppress(BaseException):  # of a teardown, which is logged and has nobody to reach
                tear_down_handed_to(thread)
                while views:
                    run(remove.of_thread(views[-1], thread), views[-1])
                    views.pop()


@contextmanager
def _known(thread: LoadingThread) -> Iterator[None]:
    """Have ``threading.current_thread()`` be ``thread``, which it knows no more.

    It would make up another, as each line of a log asks for it, that stays for ever.
    """
    known: Any = threading._active  # type: ignore[attr-defined]
    # What is not said to be a daemon or none, asks for the current thread in turn.
    itself = thread.itself() or threading.Thread(name=thread.name, daemon=True)
    added = known.setdefault(thread.ident, itself) is itself
    try:
        yield
    finally:
        if added:
            known.pop(thread.ident, None)
