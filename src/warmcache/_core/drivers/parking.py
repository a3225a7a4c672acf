"""Parking one value instead of tearing it down: its bytes leave the device, the object stays.

The order is that of a teardown (``let_go.py``), as far as it goes: the bytes are copied;
``reclaim``; see whether the device's are back; count the room as free. Only then is the entry
PARKED. Until then it is DYING, so that a load of the same key waits for it, and finds it.

No lock of a cache is held. What fails here ends in a teardown, as it would without a tier, and is
counted. So does what somebody has removed meanwhile.
"""

from __future__ import annotations

from threading import get_ident

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state import parking as state
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import go_inside, keep_chain, restore_chain
from warmcache._log import debugging, log
from warmcache._parking.parking import CannotPark, HostIsFullError
from warmcache._texts import short_text_of, text_of

from .let_go import defused, reclaimed


def make_host_room(cache: CacheView, entry: Entry) -> list[Entry] | None:
    """Take room in the host tier for ``entry``; return what goes for it. None: it is torn down.

    From now on this thread is to tear it down, if it comes to that.
    """
    store = cache.store
    if store.inherited:
        return None
    text, host = text_of(entry.key), None if cache.meter is None else cache.meter.host
    held = 0 if host is None else host.held
    with store.lock:
        gone = state.make_host_room(store, entry, text, held)
        if gone is None:
            entry.parks = False
        else:
            entry.doomed_by = get_ident()
        return gone


def park(cache: CacheView, entry: Entry, failures: list[BaseException]) -> list[Entry] | None:
    """Park ``entry``, for which there is room; return what goes for it still.

    None: it is to be torn down. What interrupts the copy is raised, and likewise leaves it to that;
    what ``reclaim`` raises is among the ``failures``, and changes nothing.
    """
    store, meter = cache.store, cache.meter
    assert meter is not None
    assert meter.host is not None
    if meter.host.is_short(entry):
        _stay(cache, entry, "short", "the machine has too little memory left")
        return None
    kept = keep_chain()
    try:
        go_inside(entry, kept)
        remains = meter.remains(entry)
        remains.leave_out_the_value()
        handle = meter.host.copy_out(entry, remains)
    except HostIsFullError as error:
        log().debug("%s is torn down, and not parked: %s", short_text_of(entry.key), error)
        with store.lock:
            state.find_too_large(store, entry, error.nbytes)
        return None
    except Exception as error:
        why = str(error) if isinstance(error, CannotPark) else defused(error)
        if isinstance(error, CannotPark) and error.__cause__ is not None:
            why += f"\n{defused(error.__cause__)}"
        _stay(cache, entry, "park", why)
        return None
    except BaseException:
        _stay(cache, entry, "park", "it was interrupted")
        raise
    finally:
        restore_chain(kept)
    if handle is None:
        with store.lock:
            assert store.host is not None
            state.forget(store.host, entry)
        return None
    entry.remains = remains
    raised = [] if store.reclaim is None else reclaimed(store.reclaim, remains.living)
    failures += raised
    back = remains.confirmed()
    with store.lock:
        store.counts.teardown_failures += len(raised)
        gone = state.come_to_host(store, entry, handle)
        if gone is not None and back:
            state.settle_on_host(store, entry)
        elif gone is not None:
            store.lingering[entry] = remains
    if debugging() and gone is not None:
        log().debug("parked %s (%s)", short_text_of(entry.key), entry.cause.value)
    if not back:
        meter.linger(store)
    return gone


def _stay(cache: CacheView, entry: Entry, what: str, why: str) -> None:
    """Count that ``entry`` stays where it is, and say why: once a loader."""
    meter = cache.meter
    assert meter is not None
    assert meter.host is not None
    tell = log().warning if meter.host.is_news(what, entry) else log().debug
    tell("%s is torn down, and not parked: %s", text_of(entry.key), why)
    with cache.store.lock:
        state.stay(cache.store, entry, what)
