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
def told_loads(
    loader: Loader, keys: Callable[[], Sequence[Hashable]], count: int = 1
) -> Iterator[list[Produced]]:
    """Count and tell of loads that are done inside, each of which puts what it gave into the list.

    Each took its share of the time. The ``keys`` are only made if somebody is told.
    """
    store, box = loader.cache._store, list[Produced]()
    began = store.timer()
    try:
        yield box
    except Exception as error:
        failed = is_failed_load(error)
        with store.lock:
            store.counts.load_failures += count * failed
        if failed and debugging():
            flight = Flight(keys()[0], LeaseRecord(time.monotonic()), loader.source, began)
            log_failed_load(store, flight, error)
        raise
    seconds = seconds_between(began, store.timer())
    with store.lock:
        store.counts.loads += count
        store.counts.load_seconds += seconds
    if debugging() or store.load_listener is not None:
        for key, produced in zip(keys(), box, strict=True):
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
