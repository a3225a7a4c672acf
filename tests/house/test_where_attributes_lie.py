"""What every load looks up and sets lies where CPython finds it fastest."""

from __future__ import annotations

import pytest

import warmcache
from warmcache._core.state.entry import LeaseRecord, Source
from warmcache._core.state.flights import Flight

# Of an instance without slots, CPython finds the attributes fast that its class had first: thirty.
_FAST = 30


def _parts() -> dict[str, object]:
    @warmcache.warm(maxsize=2)
    def load(n: int) -> object:
        return object()

    load(1)
    cache = load.cache
    caller = load.lease.__self__  # type: ignore[attr-defined]
    store = cache._store
    parts = [caller, caller._loader, cache, store, store.ledger, store.order, store.counts]
    return {type(part).__name__: part for part in parts}


@pytest.mark.parametrize("name", list(_parts()))
def test_nothing_that_a_load_asks_has_more_attributes_than_are_found_fast(name: str) -> None:
    assert len(_parts()[name].__dict__) <= _FAST


def test_what_every_load_sets_of_its_flight_is_not_in_the_class_too() -> None:
    flight = Flight("key", LeaseRecord(0.0), Source("a"), 0.0)
    assert not vars(flight).keys() & vars(Flight).keys()
