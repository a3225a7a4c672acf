"""Many threads: a warm key, a stampede on a cold one, hits while a load runs."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .contenders import Functools, installed
from .timing import Line, Settings, enough, interleave, looped, no_collector

WORKERS = 8
CROWD = 32
_LOAD = 0.02  # seconds that a load of a stampede takes
_CAP = 10.0  # seconds after which a load that nobody releases goes on


def warm_key(settings: Settings) -> list[Line]:
    """Eight threads calling one warm key: time per call, all threads together."""
    title = f"{WORKERS} threads on a warm key"
    measures = {}
    for contender in installed():
        f = contender.cached(lambda name: object()) if contender.thread_safe else None
        if f is not None:
            timed = looped("f('bge')", {"f": f})
            n = enough(timed, settings.thread_seconds / WORKERS)
            measures[contender.name] = partial(_together, timed, n)
    samples = interleave(measures, settings.slow_rounds, tick=partial(settings.tick, title))
    return [Line.beside("threads", title, Functools.name, samples)]


def own_keys(settings: Settings) -> list[Line]:
    """Two threads, each on a warm key of its own, to one alone: 0.5 is twice the throughput."""
    title = "2 threads, a warm key each"
    measures: dict[tuple[str, str], Callable[[], float]] = {}
    for contender in installed():
        f = contender.cached(lambda name: object()) if contender.thread_safe else None
        if f is not None:
            timed = [looped(f"f({key!r})", {"f": f}) for key in ("bge", "e5")]
            n = enough(timed[0], settings.thread_seconds / 2)
            timed[1](1)
            measures[contender.name, "alone"] = partial(timed[0], n)
            measures[contender.name, "both"] = partial(_both, timed, n)
    samples = interleave(measures, settings.slow_rounds, tick=partial(settings.tick, title))
    return [
        Line(
            "threads-own",
            title,
            "its own in one thread",
            {name: samples[name, which] for name, which in samples if which == "both"},
            {name: samples[name, which] for name, which in samples if which == "alone"},
        )
    ]


def _both(timed: list[Callable[[int], float]], n: int) -> float:
    return _crowd([partial(each, n) for each in timed]) / (len(timed) * n)


def _together(timed: Callable[[int], float], n: int) -> float:
    return _crowd([partial(timed, n)] * WORKERS) / (WORKERS * n)


def _crowd(tasks: list[Callable[[], object]]) -> float:
    """Run each task in a thread of its own, at once; seconds until all are done."""
    gate = threading.Barrier(len(tasks) + 1)

    def enter(task: Callable[[], object]) -> None:
        gate.wait(_CAP)
        task()

    threads = [threading.Thread(target=enter, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    gate.wait(_CAP)
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


# -- stampedes ----------------------------------------------------------------------


def stampede(settings: Settings) -> list[Line]:
    """32 callers of one cold key: how many loads they make, and until when all have it."""
    return [_stampede(settings), _stampede_async(settings)]


def _stampede(settings: Settings) -> Line:
    title = f"stampede of {CROWD} threads on a cold key"
    loads: list[str] = []
    measures: dict[str, Callable[[], float]] = {}
    made: dict[str, list[int]] = {}

    def load(key: str) -> object:
        loads.append(key)
        time.sleep(_LOAD)
        return object()

    def rush(name: str, f: Callable[[str], object], keys: Any) -> float:
        loads.clear()
        seconds = _crowd([partial(f, next(keys))] * CROWD)
        made[name].append(len(loads))
        return seconds

    for contender in installed():
        f = contender.single_flight(load)
        if f is not None:
            made[contender.name] = []
            measures[contender.name] = partial(rush, contender.name, f, _cold_keys())
    measures["load"] = lambda: _crowd([partial(load, "bge")])
    samples = interleave(measures, settings.slow_rounds, tick=partial(settings.tick, title))
    return _stampede_line("stampede", title, samples, made)


def _stampede_async(settings: Settings) -> Line:
    title = f"stampede of {CROWD} tasks on a cold key"
    loads: list[str] = []
    measures: dict[str, Callable[[], float]] = {}
    made: dict[str, list[int]] = {}

    async def load(key: str) -> object:
        loads.append(key)
        await asyncio.sleep(_LOAD)
        return object()

    async def crowd(f: Callable[[str], Any], key: str, callers: int) -> float:
        async def call() -> object:
            return await f(key)  # some give an awaitable that is no coroutine

        start = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(callers)))
        return time.perf_counter() - start

    def rush(name: str, f: Callable[[str], Any], keys: Any) -> float:
        loads.clear()
        seconds = runner.run(crowd(f, next(keys), CROWD))
        made[name].append(len(loads))
        return seconds

    with asyncio.Runner() as runner:
        for contender in installed():
            f = contender.single_flight_async(load)
            if f is not None:
                made[contender.name] = []
                measures[contender.name] = partial(rush, contender.name, f, _cold_keys())
        measures["load"] = lambda: runner.run(crowd(load, "bge", 1))
        samples = interleave(measures, settings.slow_rounds, tick=partial(settings.tick, title))
    return _stampede_line("stampede-async", title, samples, made)


def _stampede_line(
    id: str, title: str, samples: dict[str, list[float]], made: dict[str, list[int]]
) -> Line:
    alone = samples.pop("load")
    details = {
        name: f"{loads:g} load{'s' if loads != 1 else ''}"
        for name, counts in made.items()
        if (loads := statistics.median(counts))
    }
    reference = dict.fromkeys(samples, alone)
    return Line(id, title, "one load alone", samples, reference, details)


def _cold_keys() -> Any:
    return map("cold-{}".format, itertools.count())


# -- hits while another key is loading ----------------------------------------------


class Gate(Protocol):
    """Something that a load waits for in another thread, using no processor time."""

    def wait(self) -> object: ...
    def open(self) -> object: ...


class EventGate:
    """Waits for a ``threading.Event``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self) -> None:
        self._event.wait(_CAP)
        self._event.clear()

    def open(self) -> None:
        self._event.set()


class PipeGate:
    """Waits for a byte from the operating system, as a load from disk or network does."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def wait(self) -> None:
        if select.select([self._reader], [], [], _CAP)[0]:
            os.read(self._reader, 1)

    def open(self) -> None:
        os.write(self._writer, b".")


def loading(settings: Settings) -> list[Line]:
    """Hits on a warm key while another thread loads another key, against the idle cache."""
    return [
        _loading(settings, "loading-event", "hit while another key loads (Event)", EventGate()),
        _loading(settings, "loading-pipe", "hit while another key loads (pipe)", PipeGate()),
    ]


def _loading(settings: Settings, id: str, title: str, gate: Gate) -> Line:
    begun = threading.Event()

    def load(key: str) -> object:
        if key != "bge":
            begun.set()
            gate.wait()
        return object()

    def busy(f: Callable[[str], object], timed: Callable[[int], float], n: int, keys: Any) -> float:
        begun.clear()
        loader = threading.Thread(target=f, args=(next(keys),))
        loader.start()
        begun.wait(_CAP)
        seconds = timed(n)
        gate.open()
        loader.join()
        return seconds

    measures: dict[tuple[str, str], Callable[[], float]] = {}
    for contender in installed():
        f = contender.single_flight(load)
        if f is not None:
            timed = looped("f('bge')", {"f": f})
            n = enough(timed, settings.seconds)
            measures[contender.name, "idle"] = partial(timed, n)
            measures[contender.name, "busy"] = partial(busy, f, timed, n, _cold_keys())
    with no_collector():
        samples = interleave(measures, settings.rounds, tick=partial(settings.tick, title))
    return Line(
        id,
        title,
        "its own when idle",
        {name: samples[name, which] for name, which in samples if which == "busy"},
        {name: samples[name, which] for name, which in samples if which == "idle"},
    )
