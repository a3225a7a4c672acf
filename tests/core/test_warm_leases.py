"""A warm lease is found and held under one lock, or what it finds may be torn down in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from warmcache import warm
from warmcache._core.drivers.threads import lease_warm, release
from warmcache._core.state.entry import LeaseRecord
from warmcache.testing import assert_consistent


def test_nobody_else_has_the_lock_while_a_warm_lease_looks_for_its_entry() -> None:
    load = warm(maxsize=1)(lambda name: [name])
    load("a")
    view, key = load.cache._view, load.cache_key("a")
    others_had_it: list[bool] = []

    with ThreadPoolExecutor(1) as elsewhere:

        def find(wanted: Any) -> Any:
            others_had_it.append(elsewhere.submit(view.store.lock.acquire, False).result())
            return view.store.live.get(wanted)

        record = LeaseRecord(0.0)
        found = lease_warm(view, find, key, record)
    assert found is not None
    assert [False] == others_had_it
    release(view, found[0], record)
    assert_consistent(load.cache)
