"""What is measured of results on disk: values of three sizes, calls, many processes, a check."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import warmcache

from .disk_contenders import OURS, Kept, installed
from .timing import Line, Settings, enough, interleave, looped, no_collector

ROOT = Path(__file__).resolve().parents[1]
KIB, MIB = 2**10, 2**20
PROCESSES = 8
WORK = 0.004  # seconds that the loader of a call takes, which is not counted
WITHOUT = "without"
_names = itertools.count()


@dataclass(frozen=True)
class Size:
    """How much is measured, and how large it is."""

    rounds: dict[str, int]
    large: int = 200 * MIB
    entries: int = 10_000
    load: float = 1.0  # seconds, of what many processes want
    hits: Settings = field(default_factory=Settings)

    @classmethod
    def quick(cls) -> Size:
        """Return what is only to see that it runs."""
        rounds = dict(bytes=2, text=2, middle=1, large=1, call=1, cold=1)
        return cls(rounds, MIB, 300, 0.1, Settings.quick())

    @classmethod
    def whole(cls) -> Size:
        return cls(dict(bytes=400, text=200, middle=60, large=5, call=60, cold=5))


@contextmanager
def contenders(where: Path) -> Iterator[list[Kept]]:
    """Give all that are installed, each in an empty folder, and remove what they wrote."""
    folder = Path(tempfile.mkdtemp(prefix="warmcache-bench-", dir=where))
    opened = []
    try:
        for kind in installed():
            opened.append(kind(folder / kind.name))
        yield opened
    finally:
        for each in opened:
            each.close()
        shutil.rmtree(folder, ignore_errors=True)


# -- values ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """Values of one size: what is written, how often in a round, and how it is read."""

    id: str
    title: str
    value: Any
    ways: dict[str, str]  # methods of a contender, and what they do
    each: int = 1  # operations in a round: so few that they are over before others interrupt
    removed: bool = False  # after each round, for they are large


def kinds(size: Size) -> list[Values]:
    """Return what is written: bytes for the store alone, a text and arrays with their codecs."""
    draw = np.random.default_rng(0)
    both = {"write": "write", "read": "read"}
    return [
        Values(
            "bytes",
            "1 KiB of bytes, the store alone",
            draw.bytes(KIB),
            {"write_bytes": "write", "read_bytes": "read"},
            each=4,
        ),
        Values("text", "1 KiB of text", draw.bytes(KIB // 2).hex(), both, each=4),
        Values("middle", "1 MiB, an array", draw.random(MIB // 8), both),
        Values(
            "large",
            f"{size.large // MIB} MiB, an array",
            draw.random(size.large // 8),
            {**both, "read_mapped": "open, mapped"},
            removed=True,
        ),
    ]


def values(where: Path, size: Size, what: Values, tick: Callable[[float], object]) -> list[Line]:
    """Return the rows of writing and reading these values."""
    with contenders(where) as opened, no_collector():
        turns = {kept.name: _Turn(kept, what) for kept in opened}
        measures = {name: turn.take for name, turn in turns.items()}
        interleave(measures, size.rounds[what.id], tick=tick)
    lines = []
    for way, title in what.ways.items():
        samples = {name: turn.times[way][1:] for name, turn in turns.items() if turn.times[way]}
        against = next(name for name in ("diskcache", "joblib", OURS) if name in samples)
        lines.append(Line.beside(f"{what.id} {way}", f"{what.title}: {title}", against, samples))
    return lines


class _Turn:
    """One contender's part of a round: new values written, then read again."""

    def __init__(self, kept: Kept, what: Values) -> None:
        self._kept = kept
        self._what = what
        self._count = 1 if kept.name in ("joblib", "cachier") else what.each
        self.times: dict[str, list[float]] = {way: [] for way in what.ways}

    def take(self) -> float:
        write, *reads = self._what.ways
        keys = [f"value {next(_names)}" for _ in range(self._count)]
        put = getattr(self._kept, write)
        began = time.perf_counter()
        for key in keys:
            put(key, self._what.value)
        self._took(write, began)
        for way in reads:
            self._read(way, keys)
        if self._what.removed:
            self._kept.close()
            shutil.rmtree(self._kept.folder)
            self._kept.open()
        return 0.0

    def _read(self, way: str, keys: list[str]) -> None:
        get, found = getattr(self._kept, way), None
        began = time.perf_counter()
        for key in keys:
            found = get(key)
        if found is not None:
            self._took(way, began)
            assert np.array_equal(found, self._what.value)

    def _took(self, way: str, began: float) -> None:
        self.times[way].append((time.perf_counter() - began) / self._count)


# -- calls -----------------------------------------------------------------------------------------


def calls(where: Path, size: Size, tick: Callable[[float], object]) -> list[Line]:
    """Return the rows of calls of decorated functions, without what the function takes."""
    times: dict[str, dict[str, list[float]]] = {"cold": {}, "found": {}}
    with contenders(where) as opened, no_collector():
        measures = {}
        for kept in opened:
            worked = [0.0]
            cached = kept.call(_loader(worked))
            for way in times:
                times[way][kept.name] = []
            measures[kept.name] = partial(_call, kept, cached, worked, times)
        interleave(measures, size.rounds["call"], tick=tick)
    titles = {
        "cold": "a call that loads, and keeps 1 KiB",
        "found": "a call that finds 1 KiB on disk",
    }
    return [
        Line.beside(
            f"call-{way}",
            titles[way],
            "diskcache" if "diskcache" in each else OURS,
            {name: found[1:] for name, found in each.items()},
        )
        for way, each in times.items()
    ]


def _loader(worked: list[float]) -> Callable[[str], bytes]:
    """Return a loader that says in ``worked`` how long it took."""

    def load(key: str) -> bytes:
        began = time.perf_counter()
        while time.perf_counter() < began + WORK:
            pass
        worked[0] += time.perf_counter() - began
        return key.encode().ljust(KIB)

    return load


def _call(
    kept: Kept,
    cached: Callable[[str], Any],
    worked: list[float],
    times: dict[str, dict[str, list[float]]],
) -> float:
    keys = [f"call {next(_names)}" for _ in range(2)]
    worked[0] = 0.0
    began = time.perf_counter()
    for key in keys:
        cached(key)
    times["cold"][kept.name].append((time.perf_counter() - began - worked[0]) / len(keys))
    kept.forget_in_memory()
    worked[0] = 0.0
    began = time.perf_counter()
    for key in keys:
        cached(key)
    times["found"][kept.name].append((time.perf_counter() - began) / len(keys))
    assert not worked[0], f"{kept.name} has loaded what it had"
    return 0.0


# -- processes, hits, a check ----------------------------------------------------------------------


@dataclass(frozen=True)
class Cold:
    """A cold key that many processes want at once: loads, and seconds to those of the loader."""

    loads: list[int]
    ratios: list[float]

    @property
    def ratio(self) -> float:
        return median(self.ratios)


_MEMBER = """
import sys, time
from pathlib import Path
import warmcache
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])

@warmcache.warm(disk=folder / "tier", name="load", code=False)
def load(key):
    began = time.perf_counter()
    time.sleep(seconds)
    with open(folder / "loads", "a") as file:
        file.write(f"{time.perf_counter() - began}\\n")
    return [key] * 100

load.cache
print("ready", flush=True)
for line in sys.stdin:
    assert load(line.strip())[0] == line.strip()
    load.cache_clear()
    print("done", flush=True)
"""


def cold(where: Path, size: Size, tick: Callable[[float], object]) -> Cold:
    """Have many processes ask for one key at once, again and again."""
    loads, ratios = [], []
    with tempfile.TemporaryDirectory(prefix="warmcache-bench-", dir=where) as folder:
        (Path(folder) / "loads").touch()
        member = [sys.executable, "-c", _MEMBER, folder, str(size.load)]
        pipes: Any = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running = [subprocess.Popen(member, cwd=ROOT, **pipes) for _ in range(PROCESSES)]
        try:
            for each in running:
                assert each.stdout.readline() == "ready\n"  # type: ignore[union-attr]
            for number in range(size.rounds["cold"] + 1):
                before = len(_loads(folder))
                began = time.perf_counter()
                for each in running:
                    each.stdin.write(f"key {number}\n")  # type: ignore[union-attr]
                    each.stdin.flush()  # type: ignore[union-attr]
                for each in running:
                    assert each.stdout.readline() == "done\n"  # type: ignore[union-attr]
                took, done = time.perf_counter() - began, _loads(folder)[before:]
                if number:  # the first makes the tier
                    loads.append(len(done))
                    ratios.append(took / max(done))
                tick(number / size.rounds["cold"])
        finally:
            for each in running:
                each.stdin.close()  # type: ignore[union-attr]
                each.wait()
                each.stdout.close()  # type: ignore[union-attr]
    return Cold(loads, ratios)


def _loads(folder: str) -> list[float]:
    return [*map(float, (Path(folder) / "loads").read_text().split())]


def hits(where: Path, size: Size, tick: Callable[[float], object]) -> Line:
    """Return a hit of a loader with a disk beside one of a loader without."""
    settings = size.hits
    with tempfile.TemporaryDirectory(dir=where) as folder, no_collector():
        timed = {}
        for name, options in ((OURS, dict(disk=Path(folder) / "tier", name="load")), (WITHOUT, {})):
            load = warmcache.warm(policy="lru", maxsize=8, **options)(_same)  # type: ignore[call-overload]
            load("warm")
            timed[name] = looped("f('warm')", {"f": load})
        count = max(enough(one, settings.seconds) for one in timed.values())
        measures = {name: partial(one, count) for name, one in timed.items()}
        samples = interleave(measures, settings.rounds, tick=tick)
    return Line.beside("hit", "a hit in memory, with disk= and without", WITHOUT, samples)


def _same(key: str) -> str:
    return key


def check(where: Path, size: Size) -> float:
    """Return the seconds that ``warmcache disk check`` takes, its process included."""
    with tempfile.TemporaryDirectory(prefix="warmcache-bench-", dir=where) as folder:
        path = Path(folder) / "tier"
        kept = installed()[0](path)
        assert kept.name == OURS
        for number in range(size.entries):
            kept.write(f"{number}", os.urandom(KIB))
        kept.close()
        began = time.perf_counter()
        command = [sys.executable, "-m", "warmcache", "disk", "check", str(path)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - began
