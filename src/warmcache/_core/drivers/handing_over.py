"""Teardowns that only the thread which loaded the value can run: ``teardown_in="loading-thread"``.

Who removes such a value elsewhere hands it over: it is dying, its room stays taken, and its thread
tears it down at its next call of ours that is no hit, while it waits for something of ours, or as
it ends (``thread_ends.py``). What is removed later than that, goes where it is removed, which is
said in the log.
"""

from __future__ import annotations

import threading

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.loading_threads import LoadingThread
from warmcache._log import log
from warmcache._texts import text_of


def handed_over(cache: CacheView, entry: Entry, thread: LoadingThread) -> bool:
    """Leave the teardown of ``entry`` to the ``thread`` that loaded it; False: it is for this one.

    Who waits for its room is woken, for that may take long now.
    """
    if thread.is_here:
        return False
    with cache.store.lock:  # which the thread takes before it begins
        # That was done before, though who did it was interrupted: a task may have it by now.
        handed = entry in thread.handed and entry.doomed_by in (thread.ident, None)
        if not handed and not entry.called and thread.take(entry, cache):
            entry.doomed_by, handed = thread.ident, True
            cache.store.awaited_on(entry, thread)
    if handed:
        thread.tell()
    if handed or entry.called:
        return handed
    here = threading.get_ident()
    names = {each.ident: each.name for each in threading.enumerate()}
    log().warning(
        "%s is torn down in thread %r: %r, which loaded it and was to do so, has ended",
        *(text_of(entry.key), names.get(here, here), thread),
    )
    return False
