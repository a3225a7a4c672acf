"""Loads of what no cache keeps, counted and told of as those of what one does."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from warmcache._core.plans.loaded import is_failed_load, log_failed_load, tell_of_load
from warmcache._core.plans.steps import Produced
from warmcache._core.state.entry import LeaseRecord, seconds_between
from warmcache._core.state.flights import Flight
from warmcache._core.state.records import Load
from warmcache._log import debugging

from .loader import Loader


@contextmanager
def told_load(loader: Loader, key: Callable[[], Hashable]) -> Iterator[list[Produced]]:
    """Count and tell of the load that is done inside, and puts what it gave into the list.

    The ``key`` is only made if somebody is told.
    """
    store, box = loader.cache._store, list[Produced]()
    began = store.timer()
    try:
        yield box
    except Exception as error:
        failed = is_failed_load(error)
        with store.lock:
            store.counts.load_failures += failed
        if failed and debugging():
            flight = Flight(key(), LeaseRecord(time.monotonic()), loader.source, began)
            log_failed_load(store, flight, error)
        raise
    seconds = seconds_between(began, store.timer())
    with store.lock:
        store.counts.loads += 1
        store.counts.load_seconds += seconds
    if debugging() or store.load_listener is not None:
        weight = _weight(loader, box[0][0])
        tell_of_load(store, Load(key(), seconds, weight, None, loader.source.tags))


@contextmanager
def told_loads(loader: Loader, keys: Sequence[Hashable]) -> Iterator[list[Produced]]:
    """Count and tell of loads that are done together inside, each of which puts what it gave there.

    Each took its share of the time.
    """
    store, box, count = loader.cache._store, list[Produced](), len(keys)
    with store.lock:
        store.check_open()
        store.counts.misses += count
        loader.source.misses += count
    began = store.timer()
    try:
        yield box
    except Exception:
        with store.lock:
            store.counts.load_failures += count
        raise
    seconds = seconds_between(began, store.timer())
    with store.lock:
        store.counts.loads += count
        store.counts.load_seconds += seconds
    if debugging() or store.load_listener is not None:
        for key, produced in zip(keys, box, strict=True):
            weight = _weight(loader, produced[0])
            tell_of_load(store, Load(key, seconds / count, weight, None, loader.source.tags))


def _weight(loader: Loader, value: Any) -> float:
    """Return what ``value`` weighs, as far as anybody says so; nothing measures it."""
    cache, weigh = loader.cache, loader.source.weigh
    with suppress(Exception):  # it is the caller's already, and weighs nowhere
        if weigh is not None:
            return weigh(value)
        if cache._sized or cache._view.meter is None:
            return cache._weigh(value)
    return 0
