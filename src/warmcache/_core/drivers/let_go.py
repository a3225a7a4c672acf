"""Teardown of one value to the last reference; no lock is held around what is the user's."""

from __future__ import annotations

import gc
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable

from warmcache._core.state.entry import Entry
from warmcache._core.state.remains import weakly
from warmcache._core.state.store import Store

log = logging.getLogger("warmcache")


def destroy(store: Store, entry: Entry) -> Awaitable[object] | None:
    """Run the user's teardown; return what is still to be awaited, if anything."""
    if store.meter is not None:
        entry.remains = store.meter.remains(entry)
    if entry.provenance.finish is not None:
        pending = entry.provenance.finish()
    elif entry.provenance.source.teardown is not None:
        pending = entry.provenance.source.teardown(entry.value)
    else:
        return None
    return pending if inspect.isawaitable(pending) else None


def bury(
    store: Store, entry: Entry, error: BaseException | None, failures: list[Exception]
) -> BaseException | None:
    """Drop the value, give its memory back, free its room, tell the listener.

    Where memory is metered and not back yet, the room stays taken; see settle().
    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    if store.inherited:  # its teardown has forked: whatever follows is the parent's
        return None if isinstance(error, Exception) else error
    raised = [] if error is None else [error]
    if error is not None:
        text = defused(error)
        log.error("teardown of %s (%s) failed:\n%s", repr(entry.key), entry.cause.value, text)
    watch = weakly(entry.value) if store.reclaim is not None else None
    remains, entry.remains = getattr(entry, "remains", None), None
    del entry.value
    if entry.provenance.finish is not None:
        entry.provenance.finish = None
    if store.reclaim is not None:
        alive = remains.living if remains is not None else watch
        raised += _reclaim(store.reclaim, alive)
    failures += [each for each in raised if isinstance(each, Exception)]
    if store.meter is None or remains is None or remains.confirmed():
        raised += _record(store, entry, failed=bool(raised))
    else:
        with store.lock:
            store.lingering[entry] = remains, bool(raised)
        store.meter.linger(store)
    return next((each for each in raised if not isinstance(each, Exception)), None)


def _record(store: Store, entry: Entry, *, failed: bool) -> list[BaseException]:
    """Free the room of ``entry`` and tell the listener; return what that raised."""
    with store.lock:
        removal = store.bury(entry, failed)
    if store.listener is not None:
        try:
            store.listener(removal)
        except BaseException as trouble:
            log.error("listener failed on %r:\n%s", removal, defused(trouble))
            return [trouble]
    return []


def _reclaim(
    reclaim: Callable[[], object], alive: Callable[[], object] | None
) -> list[BaseException]:
    """Give memory back; collect first if somebody still holds the value. What it raised."""
    try:
        if alive is not None and alive():
            gc.collect()
        reclaim()
    except BaseException as trouble:
        log.error("reclaim failed:\n%s", defused(trouble))
        return [trouble]
    return []


def defused(error: BaseException) -> str:
    """Return the traceback as text, and take it off the exception.

    A traceback owns the frames it went through, and they own the value.
    """
    text = "".join(traceback.format_exception(error)).rstrip()
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return text
