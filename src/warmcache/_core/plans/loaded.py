"""Who is told of a load: ``on_load`` and, at level DEBUG, the log.

It is told by whoever loaded, once the entry is there and without the lock: who joined may have
the value by then, and who loaded gets it afterwards. What is told is taken before the entry can
be found, for it may leave at once.
"""

from __future__ import annotations

from warmcache._core.state.entry import Entry, seconds_between
from warmcache._core.state.flights import Flight
from warmcache._core.state.records import Load
from warmcache._core.state.store import Store
from warmcache._log import debugging, log
from warmcache._signatures import not_coroutine
from warmcache._sizes import format_seconds, format_size, format_weight
from warmcache._texts import short_text_of, text_of
from warmcache.errors import WarmMissError

from .steps import Disguised


def load_record(entry: Entry, flight: Flight) -> Load:
    """Return what is told of the load of ``entry``, if anybody listens or reads the log."""
    provenance = entry.provenance
    return Load(
        entry.key,
        provenance.seconds if flight.paid is None else flight.paid,
        entry.weight,
        provenance.weighed_by,
        provenance.source.tags,
    )


def tell_of_load(store: Store, load: Load) -> None:
    """Tell the log and the listener; what that raises is logged, but for a Ctrl-C or the like."""
    if debugging():
        by = "" if load.weighed_by is None else f" ({load.weighed_by})"
        size = format_weight if load.weighed_by is None else format_size  # of memory
        seconds, weight = format_seconds(load.seconds), size(load.weight)
        log().debug("loaded %s in %s, %s%s", short_text_of(load.key), seconds, weight, by)
    if store.load_listener is not None:
        try:
            not_coroutine("on_load", store.load_listener(load))
        except Exception:
            log().exception("on_load failed on %s", text_of(load.key))


def is_failed_load(error: Exception) -> bool:
    """Whether a load has failed by ``error``, and not just been forbidden before its loader ran.

    It is asked once for each load: a loader that asked for what was forbidden has failed.
    """
    if isinstance(error, WarmMissError) and error._in_place_of_loader:
        error._in_place_of_loader = False
        return False
    return True


def log_failed_load(store: Store, flight: Flight, error: Exception) -> None:
    """Log that a load has failed; its caller gets the error itself."""
    seconds = format_seconds(seconds_between(flight.began, store.timer()))
    raised = short_text_of(error.error if isinstance(error, Disguised) else error)
    log().debug("failed to load %s after %s: %s", short_text_of(flight.key), seconds, raised)
