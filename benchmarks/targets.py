"""What is to be reached, judged from the figures of the run."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import warmcache

from .contenders import MAXSIZE, OURS, THREAD_SAFE_PEERS
from .hits import FORMS
from .threads import WORKERS
from .timing import Line, duration


@dataclass(frozen=True)
class Verdict:
    """One target: what was found, and whether that reaches it; None: not measured."""

    target: str
    found: str
    reached: bool | None

    @property
    def word(self) -> str:
        return {True: "reached", False: "missed", None: "not measured"}[self.reached]


def judge(lines: Mapping[str, Line]) -> list[Verdict]:
    """Return the verdict on every target, from the rows by id."""
    return [
        _at_most(lines, "hit-1", 1.6, "hit, one argument: at most 1.6 x functools.lru_cache"),
        *(
            _at_most(
                lines,
                f"hit-3-{number}",
                limit,
                f"hit, three arguments, {form}: at most {limit} x functools.lru_cache",
            )
            for number, (form, limit) in enumerate(zip(FORMS, (1.5, 0.8, 0.8, 2.0), strict=True))
        ),
        _exact(lines),
        *(
            _far_ahead(lines, id, f"{title}: at least 4 times faster than any thread-safe peer")
            for id, title in [
                ("hit-1", "hit, one argument"),
                ("hit-3-1", "hit, three arguments, one by keyword"),
            ]
        ),
        _at_most(lines, "hit-recording", 2.0, "hit while recording: at most 2.0 x one without"),
        _fastest(lines, "hit-async", "async hit: below every peer"),
        *(
            _to_peer(lines, id, limit, f"{title}: at most {limit} x {peer}", peer)
            for id, title, limit, peer in [
                ("miss", "miss with eviction", 2.3, "cachetools +Condition"),
                ("miss-telling", "the same with a teardown", 3.5, "cachetools +Condition"),
                ("miss-async", "async miss with eviction", 2.8, "async-lru"),
                ("set-100", "set over an old value, 100 entries", 2.0, "cachetools +RLock"),
                ("insert-1000", "insert with eviction", 2.0, "cachetools +RLock"),
                ("insert-telling-1000", "the same with a teardown", 5.0, "cachetools +RLock"),
                ("insert-listening-1000", "the same with on_removal", 6.0, "cachetools +RLock"),
                ("import", "import", 6.4, "cachetools"),
            ]
        ),
        *(
            _at_most(lines, f"loading-{how}", 1.2, f"{title}: at most 1.2 x its idle median")
            for how, title in [
                ("event", "hits on other keys during a load (Event)"),
                ("pipe", "hits on other keys during a load (pipe)"),
            ]
        ),
        *(
            _at_most(lines, f"{id}-1000000", 3.0, f"{title}: at most 3.0 x cachetools' LRU")
            for id, title in [
                ("insert", "insert with eviction at 1,000,000"),
                ("insert-alone", "the same alone, garbage collection included"),
            ]
        ),
        _within(lines, "lease", 2.3e-6, "lease, entered and left: at most 2.3 µs"),
        _within(lines, "lease-async", 3.2e-6, "async lease, entered and left: at most 3.2 µs"),
        _at_most(lines, "memory", 3.0, "memory an entry: at most 3 x cachetools' LRU"),
        _within(lines, "footprint", 0.06, "footprint of 10,000 parameters: at most 60 ms"),
        *_weighing(lines),
    ]


def _weighing(lines: Mapping[str, Line]) -> list[Verdict]:
    """Return the verdicts on what a policy costs that weighs load seconds."""
    return [
        *(
            _at_most(
                lines,
                f"insert-cost-{limit}",
                15.0,
                f"insert with eviction under cost at {limit:,}: at most 15 x its own under LRU",
            )
            for limit in (2_000, 10_000, 100_000)
        ),
        _at_most(
            lines, "growth-cost-100000", 1.5, "growth of that from 2,000 to 100,000: at most 1.5"
        ),
        _within(lines, "miss-cost-2000", 80e-6, "miss under cost at 2,000: at most 80 µs"),
        _within(lines, "miss-cost-100000", 100e-6, "miss under cost at 100,000: at most 100 µs"),
        *(
            _within(
                lines,
                f"pause-cost-{limit}",
                0.01,
                f"no miss under cost at {limit:,} above 10 ms, but for the collector",
                worst=True,
            )
            for limit in (2_000, 100_000)
        ),
    ]


def _within(
    lines: Mapping[str, Line], id: str, limit: float, target: str, *, worst: bool = False
) -> Verdict:
    """Judge a time: the median of the rounds, or the ``worst`` of them."""
    line = lines.get(id)
    if line is None:
        return Verdict(target, "", None)
    found = max(line.samples[OURS]) if worst else line.seconds(OURS)
    return Verdict(target, duration(found), found <= limit)


def _at_most(lines: Mapping[str, Line], id: str, limit: float, target: str) -> Verdict:
    line = lines.get(id)
    if line is None or OURS not in line.samples:
        return Verdict(target, "", None)
    low, high = line.spread(OURS)
    found = f"{line.ratio(OURS):.2f} (quartiles {low:.2f} to {high:.2f})"
    return Verdict(target, found, line.ratio(OURS) <= limit)


def _to_peer(lines: Mapping[str, Line], id: str, limit: float, target: str, peer: str) -> Verdict:
    line = lines.get(id)
    if line is None or OURS not in line.samples or peer not in line.samples:
        return Verdict(target, "", None)
    times = line.times_slower(OURS, peer)
    return Verdict(target, f"{times:.2f}", times <= limit)


def _far_ahead(lines: Mapping[str, Line], id: str, target: str) -> Verdict:
    line = lines.get(id)
    return _beside_peers(line, THREAD_SAFE_PEERS, 4.0, target)


def _fastest(lines: Mapping[str, Line], id: str, target: str) -> Verdict:
    line = lines.get(id)
    return _beside_peers(line, [n for n in line.samples if n != OURS] if line else [], 1.0, target)


def _beside_peers(line: Line | None, peers: list[str], factor: float, target: str) -> Verdict:
    if line is None or not (present := [name for name in peers if name in line.samples]):
        return Verdict(target, "", None)
    times, name = min((line.times_slower(name, OURS), name) for name in present)
    reached = times > factor if factor == 1.0 else times >= factor
    return Verdict(target, f"the next, {name}, takes {times:.2f} times as long", reached)


# -- exactness ----------------------------------------------------------------------


def _exact(lines: Mapping[str, Line]) -> Verdict:
    target = "exact LRU order and exact hit counts"
    if "hit-1" not in lines:
        return Verdict(target, "", None)
    ours, theirs = (
        _history(warmcache.warm(policy="lru", maxsize=MAXSIZE)),
        _history(functools.lru_cache(maxsize=MAXSIZE)),
    )
    calls = 20_000 * WORKERS
    counted = _counted(calls // WORKERS)
    found = (
        f"{len(ours[0]):,} loads in {'the same' if ours == theirs else 'ANOTHER'} order and "
        f"{ours[1]:,} hits against functools' {theirs[1]:,} in 50,000 random calls; "
        f"{counted:,} of {calls:,} hits counted from {WORKERS} threads"
    )
    return Verdict(target, found, ours == theirs and counted == calls)


def _history(cached: Callable[..., Callable[..., object]]) -> tuple[list[int], int]:
    """Return what a cache of 128 loads, in order, and its hits, in 50,000 skewed calls."""
    loaded: list[int] = []

    def load(key: int) -> None:
        loaded.append(key)

    f = cached(load)
    for key in _skewed(50_000):
        f(key)
    return loaded, f.cache_info().hits  # type: ignore[attr-defined]


def _skewed(count: int) -> Iterator[int]:
    draw = random.Random(0)
    return (int(draw.paretovariate(0.7)) % 1_000 for _ in range(count))


def _counted(each: int) -> int:
    """Return the hits counted when eight threads make ``each`` calls of a warm key."""

    @warmcache.warm(policy="lru", maxsize=1)
    def load(key: str) -> object:
        return object()

    def call() -> None:
        for _ in range(each):
            load("bge")

    load("bge")
    threads = [threading.Thread(target=call) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load.cache_info().hits
