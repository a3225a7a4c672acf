"""The plan that stores what was handed in through the mapping."""

from __future__ import annotations

import time
from typing import Any

from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.ledger import Claim

from .cache_view import CacheView
from .make_room import room
from .refuse import refusal
from .remove import release
from .steps import Plan


def put(cache: CacheView, new: Entry, *, replace: bool = True) -> Plan[Any]:
    """Store what was handed in, replacing what was there; return the value that is stored.

    Unless ``replace``: then what is there stays.
    """
    store = cache.store
    claim = Claim(new.key, new.weight, present=True)

    def arrive() -> None:
        if claim.carried:
            new.base_uses = claim.carried + 1
        store.publish(new)

    while True:
        with store.lock:
            store.check_open()
            old = store.live.get(new.key)
            if old is not None and not replace:
                return old.value
        if old is None or old.value is not new.value:
            yield from room(cache, claim, replacing=True, granted=arrive)
            return new.value
        if (yield from _touch(cache, old, new)):
            return new.value


def _touch(cache: CacheView, entry: Entry, new: Entry) -> Plan[bool]:
    """Store the very object that is there: a use, and its weight and time anew.

    Returns whether it was there still.
    """
    store, record = cache.store, LeaseRecord(time.monotonic())
    with store.lock:
        if new.weight > store.ledger.limit:
            raise refusal(cache, Claim(entry.key, new.weight))
        if entry.state is not State.LIVE:
            return False
        store.lease(entry, record)
        store.restamp(entry, new)
    claim = Claim(entry.key, max(0, new.weight - entry.weight), present=True)

    def reweigh() -> None:
        store.reweigh(entry, new.weight, claim.weight)

    try:
        if claim.weight:
            yield from room(cache, claim, granted=reweigh)
        else:
            with store.lock:
                reweigh()
    finally:
        yield from release(cache, entry, record)
    return True
