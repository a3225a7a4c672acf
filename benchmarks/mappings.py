"""The caches as mappings: get, set, insert with eviction, and how that grows."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .contenders import OURS, Cachetools, Contender, Warmcache, ignore, installed
from .timing import Line, Settings, frozen_collector, interleave, over_keys

_TRIAL = 1_000  # operations, to see how many fill a measurement
_TRIALS = 3  # of which the fastest counts: the first may fall on the resizing of a dict
_Timed = Callable[[Any, Any], float]


def mapping(settings: Settings) -> list[Line]:
    """Getting, and storing a new value over an old one, in full mappings of three sizes."""
    return [line for size in settings.sizes for line in _get_and_set(settings, size)]


def _get_and_set(settings: Settings, size: int) -> list[Line]:
    title = f"mapping of {size:,}"
    keys = list(range(10**9, 10**9 + size))  # none of them an interned int
    measures: dict[tuple[str, str], Callable[[], float]] = {}
    for contender, names in _mappings(size):
        over_keys(contender.set, names)(keys, [object()])
        for what in ("get", "set"):
            timed = over_keys(getattr(contender, what), names)
            trial = partial(_next_chunk, timed, _chunks(keys, _TRIAL, what))
            chunks = _chunks(keys, _count(trial, settings), what)
            measures[contender.name, what] = partial(_next_chunk, timed, chunks)
        del names
    with frozen_collector():
        samples = interleave(measures, settings.mapping_rounds, tick=partial(settings.tick, title))
    titles = {"get": f"get, {size:,} entries", "set": f"set over an old value, {size:,} entries"}
    return [
        Line.beside(
            f"{what}-{size}",
            title,
            Cachetools.name,
            {name: samples[name, which] for name, which in samples if which == what},
        )
        for what, title in titles.items()
    ]


def _mappings(maxsize: int) -> Iterator[tuple[Contender, dict[str, Any]]]:
    for contender in installed():
        names = contender.mapping(maxsize)
        if names is not None:
            yield contender, names


def _count(trial: Callable[[], float], settings: Settings) -> int:
    """Return how many operations fill a measurement; ``trial`` times some of them.

    All measurements take about the same time: on a busy machine the longer ones would be
    interrupted more often.
    """
    each = min(trial() for _ in range(_TRIALS))
    return max(50, math.ceil(settings.mapping_seconds / each))


def _chunks(keys: list[int], count: int, seed: str) -> Iterator[tuple[list[int], list[object]]]:
    """Yield ``count`` keys at random, no key twice in one turn, and each turn's value."""
    choose = random.Random(seed)
    while True:
        chosen = choose.sample(keys, min(len(keys), count))
        yield chosen, [object() for _ in range(-(-count // len(chosen)))]


def _next_chunk(timed: _Timed, chunks: Iterator[tuple[Any, Any]]) -> float:
    return timed(*next(chunks))


def insert(settings: Settings) -> list[Line]:
    """Storing a new key in a full cache, at two limits, and the growth from one to the other."""
    small, large = settings.limits
    title = "insert with eviction"
    measures: dict[tuple[str, int], Callable[[], float]] = {}
    for limit in settings.limits:
        for contender, names in _mappings(limit):
            measures[contender.name, limit] = inserting(contender, names, limit, settings)
    with frozen_collector():
        samples = interleave(measures, settings.mapping_rounds, tick=partial(settings.tick, title))
    by_limit = {
        limit: {name: samples[name, which] for name, which in samples if which == limit}
        for limit in settings.limits
    }
    del measures
    return [
        *(
            Line.beside(f"insert-{limit}", f"{title}, {limit:,} entries", Cachetools.name, one)
            for limit, one in by_limit.items()
        ),
        Line(
            f"growth-{large}",
            f"growth of that from {small:,} to {large:,}",
            f"its own at {small:,}",
            by_limit[large],
            by_limit[small],
        ),
        _with_collector(settings, large),
    ]


def inserting(
    contender: Contender, names: dict[str, Any], limit: int, settings: Settings
) -> Callable[[], float]:
    """Fill a mapping; return a function that stores some more keys, all of them new."""
    timed = over_keys(contender.set, names)
    timed(range(limit), [object()])
    new = itertools.count(limit)

    def store(count: int) -> float:
        return timed(list(itertools.islice(new, count)), [object()])

    return partial(store, _count(partial(store, _TRIAL), settings))


_ALONE = """
import json, sys
from benchmarks import contenders, mappings
print(json.dumps(mappings.alone(sys.argv[1], int(sys.argv[2]))))
"""


def _with_collector(settings: Settings, limit: int) -> Line:
    """Have warmcache and cachetools insert in processes of their own.

    There the garbage collector's full passes count too: a million entries more are a
    million objects more to pass over.
    """
    title = f"the same at {limit:,}, each in its own process, garbage collection included"
    measures = {name: partial(_run_alone, name, limit) for name in (OURS, Cachetools.name)}
    rounds = max(1, settings.slow_rounds // 10)
    samples = interleave(measures, rounds, tick=partial(settings.tick, title))
    return Line.beside(f"insert-alone-{limit}", title, Cachetools.name, samples)


def _run_alone(name: str, limit: int) -> float:
    command = [sys.executable, "-c", _ALONE, name, str(limit)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def alone(name: str, limit: int) -> float:
    """Return the mean time of ``limit`` inserts into a full cache of ``limit`` entries."""
    (contender,) = (one for one in installed() if one.name == name)
    names = contender.mapping(limit)
    assert names is not None
    timed = over_keys(contender.set, names)
    timed(range(limit), [object()])
    return timed(range(limit, 2 * limit), [object()])


def insert_telling(settings: Settings) -> list[Line]:
    """Storing a new key in a full cache that calls back for what it evicts.

    Ours either as a teardown, or once that is gone, with the reason.
    """
    limit = settings.limits[0]
    measures: dict[str, Callable[[], float]] = {}
    for contender in installed():
        names = contender.mapping_telling(limit, ignore)
        if names is not None:
            measures[contender.name] = inserting(contender, names, limit, settings)
    listening = inserting(
        Warmcache(), Warmcache().mapping_listening(limit, ignore), limit, settings
    )
    lines = []
    for id, title, ours in [
        ("telling", "a callback", measures[OURS]),
        ("listening", "a callback, of ours on_removal", listening),
    ]:
        title = f"insert with eviction and {title}, {limit:,} entries"
        with frozen_collector():
            tick = partial(settings.tick, title)
            samples = interleave({**measures, OURS: ours}, settings.mapping_rounds, tick=tick)
        lines.append(Line.beside(f"insert-{id}-{limit}", title, Cachetools.name, samples))
    return lines
