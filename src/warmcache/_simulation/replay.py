"""Replays a trace through a cache: the very classes that ``@warm`` uses, on a manual clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from warmcache import policies
from warmcache._core.state.at_once import vanish_at_once
from warmcache._core.state.entry import Provenance, new_entry
from warmcache._registry import options_of
from warmcache.caches.cache import Cache
from warmcache.errors import CapacityError, WarmcacheError
from warmcache.policies.three_questions import shown
from warmcache.testing import ManualClock

from .trace_file import Trace

_CHUNK = 4096  # requests between two words on the progress


class ReplayError(WarmcacheError, ValueError):
    """A policy cannot be replayed; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of a trace with one budget: bytes, or a number of entries.

    ``share`` is the budget's of the sizes of all keys, ``load_seconds`` what its misses took.
    """

    policy: str
    budget: float
    share: float
    requests: int
    misses: int
    evictions: int
    load_seconds: float
    miss_ratio: float
    byte_miss_ratio: float


class _TraceClock(ManualClock):
    """The time of the trace: each request sets it."""

    def show(self, now: float) -> None:
        self._now = now


def replay(
    trace: Trace,
    policy: str | type[Cache[Any, Any]],
    budget: float,
    tell: Callable[[int], object] = lambda done: None,
    ttl: float | None = None,
) -> Outcome:
    """Have ``policy`` serve ``trace`` with ``budget`` bytes, each value for ``ttl`` seconds.

    What is missed is loaded, which takes the seconds that the trace says, and stored.
    What is larger than the budget is loaded each time. ``tell`` is called now and then
    with the number of requests served since. The policy of a memory cache is that by which
    its entries go, for the trace says what they weigh.

    Raises:
        ReplayError: there is no such policy, or it needs more than a ``maxsize``.
    """
    clock = _TraceClock()
    cache = _made(policy, budget, clock, ttl)
    misses, load_seconds, missed_bytes = 0, 0.0, 0.0
    sizes, seconds = trace.sizes, trace.seconds
    for start in range(0, len(trace), _CHUNK):
        keys = trace.keys[start : start + _CHUNK]
        for now, key in zip(trace.times[start : start + _CHUNK], keys, strict=True):
            clock.show(now)
            if cache.get(key) is None:
                misses += 1
                load_seconds += seconds[key]
                missed_bytes += sizes[key]
                put_loaded(cache, key, sizes[key], seconds[key], now)
        tell(len(keys))
    evictions = sum(n for cause, n in cache.stats().removals.items() if cause.evicted)
    asked_bytes = sum(map(sizes.__getitem__, trace.keys))
    cache.close()
    return Outcome(
        policy=name_of(policy),
        budget=budget,
        share=budget / trace.footprint if trace.footprint else 1.0,
        requests=len(trace),
        misses=misses,
        evictions=evictions,
        load_seconds=load_seconds,
        miss_ratio=misses / len(trace),
        byte_miss_ratio=missed_bytes / asked_bytes if asked_bytes else 0.0,
    )


def name_of(policy: str | type[Cache[Any, Any]]) -> str:
    """Return what a policy is registered as; else the name of its class."""
    if isinstance(policy, str):
        return policy
    for name in policies.names():
        with suppress(Exception):  # another package's, that is broken
            if policies.registry.find(name) is policy:
                return name
    return policy.__qualname__


def check_policy(policy: str | type[Cache[Any, Any]], ttl: float | None = None) -> None:
    """Raise ReplayError if ``policy`` cannot be replayed."""
    _made(policy, 1, ManualClock(), ttl).close()


def _made(
    policy: str | type[Cache[Any, Any]], budget: float, clock: ManualClock, ttl: float | None
) -> Cache[Any, Any]:
    options: dict[str, Any] = {"maxsize": budget}
    if ttl is not None:
        options["ttl"] = ttl
    try:
        kind = policies.registry.find(policy)
        kind = kind._policy_class()
        known = options_of(kind)
        if known is None or "timer" in known:
            options["timer"] = clock
        cache: Cache[Any, Any] = policies.create(kind, **options)
    except ValueError as error:
        raise ReplayError(str(error)) from None
    except TypeError as error:
        raise ReplayError(f"policy {shown(policy)} cannot be simulated: {error}") from None
    return cache


def put_loaded(cache: Cache[Any, Any], key: str, size: float, seconds: float, now: float) -> None:
    """Do what ``cache[key] = key`` does, for a value whose load took ``seconds``."""
    entry = new_entry(key, key, size, Provenance(cache._source, seconds), now)
    store = cache._store
    with store.lock:
        evicted = vanish_at_once(store, key, size, cache._view, told=False, entry=entry)
    if evicted is None:
        try:
            cache._put(entry)
        except CapacityError:
            pass  # larger than the budget
