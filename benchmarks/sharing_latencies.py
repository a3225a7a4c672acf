"""How long it takes to get room on a node: alone, from others, after a death, beside churners.

And what a hit costs where there is a node. Each measurement has a folder of its own, so none is in
another's way; they are taken in turns.
"""

from __future__ import annotations

import itertools
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from warmcache._node.ledger import POLL, NodeLedger
from warmcache.memory import MemoryCache

from .sharing_member import GIB, Told, new_cache, new_loader
from .timing import Line, Settings, enough, interleave, looped, no_collector

BUDGET = 100 * GIB
CHURNERS = 3
PROBE = 0.05  # seconds that a look at the device takes at most
OURS = "node="
HITS = 10_000  # while system calls are counted
GRANT, ASK, OWNER, GATE, BESIDE = "grant", "ask", "owner", "gate", "beside"
LIMITS = {GRANT: 60e-6, ASK: 5e-3, OWNER: POLL + PROBE, GATE: 1.0, BESIDE: 1.0}
TITLES = {
    GRANT: "room granted, nobody else there",
    ASK: "an idle owner asked for half of the budget, and granted",
    OWNER: "granted after the owner of 90 % was killed",
    GATE: "granted after who was inside the gate was killed",
    BESIDE: f"90 % granted beside {CHURNERS} that load at random",
}
_GRANTS = 200  # for one sample


def latencies(rounds: int, tick: Callable[[float], None]) -> dict[str, list[float]]:
    """Return the seconds of each of ``rounds``, of all that is in ``TITLES``."""
    with ExitStack() as stack:
        measures = {
            name: stack.enter_context(measure())
            for name, measure in (
                (GRANT, _granted),
                (ASK, _asked),
                (OWNER, _after_owner),
                (GATE, _after_gate),
                (BESIDE, _beside),
            )
        }
        return interleave(measures, rounds, tick=tick)


@contextmanager
def _node() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "node")


@contextmanager
def _here(node: Path) -> Iterator[MemoryCache[Any, Any]]:
    with new_cache(BUDGET, node) as cache:
        yield cache


@contextmanager
def _granted() -> Iterator[Callable[[], float]]:
    """A grant of the ledger itself, which is nothing but the look."""
    with _node() as node:
        node.mkdir(0o700)
        ledger = NodeLedger(
            node, budget=BUDGET, quotes=list, reclaim=lambda nbytes: 0, available=lambda: None
        )

        def measure() -> float:
            seconds = 0.0
            for _ in range(_GRANTS):
                begun = time.perf_counter()
                refused = ledger.grow(GIB, 0)
                seconds += time.perf_counter() - begun
                assert refused is None, refused
                ledger.landed(GIB)
                ledger.shrink(GIB)
            return seconds / _GRANTS

        try:
            yield measure
        finally:
            ledger.close()


@contextmanager
def _asked() -> Iterator[Callable[[], float]]:
    with _node() as node, _here(node) as cache, Told(node, BUDGET) as owner:

        def measure() -> float:
            cache.clear()
            owner.tell("rest")
            owner.tell("keep", 0.9)
            return _seconds_to_load(cache, 0.5)

        yield measure


@contextmanager
def _after_owner() -> Iterator[Callable[[], float]]:
    with _node() as node, _here(node) as cache:

        def measure() -> float:
            cache.clear()
            with Told(node, BUDGET) as owner:
                owner.tell("lease", 0.9)
                return _seconds_from_kill(owner, cache, 0.5, lambda: bool(cache.node.waiting))

        yield measure


@contextmanager
def _after_gate() -> Iterator[Callable[[], float]]:
    with _node() as node, _here(node) as cache:

        def measure() -> float:
            cache.clear()
            _seconds_to_load(cache, 0.1)  # so that this process is there, and with it the gate
            with Told(node, BUDGET) as inside:
                inside.tell("stay_inside")
                begun = time.monotonic()
                return _seconds_from_kill(
                    inside, cache, 0.5, lambda: time.monotonic() > begun + 0.1
                )

        yield measure


@contextmanager
def _beside() -> Iterator[Callable[[], float]]:
    with _node() as node, _here(node) as cache, ExitStack() as stack:
        churners = [stack.enter_context(Told(node, BUDGET)) for _ in range(CHURNERS)]
        seeds = itertools.count()

        def measure() -> float:
            for churner in churners:
                churner.tell("churn", next(seeds))
            time.sleep(0.2)  # until they have filled it
            seconds = _seconds_to_load(cache, 0.9)
            for churner in churners:
                churner.tell("rest")
            cache.clear()
            return seconds

        yield measure


_keys = itertools.count()


def _seconds_to_load(cache: MemoryCache[Any, Any], share: float) -> float:
    """Return the seconds until a load begins that wants so much of the budget."""
    began = 0.0

    def note() -> None:
        nonlocal began
        began = time.perf_counter()

    load = new_loader(cache, share * BUDGET, note)
    begun = time.perf_counter()
    load(next(_keys))
    return began - begun


def _seconds_from_kill(
    victim: Told, cache: MemoryCache[Any, Any], share: float, waits: Callable[[], bool]
) -> float:
    """Kill ``victim`` once a load ``waits`` for it; return the seconds until that begins."""
    began: list[float] = []
    load = new_loader(cache, share * BUDGET, lambda: began.append(time.perf_counter()))
    thread = threading.Thread(target=load, args=(next(_keys),))
    thread.start()
    while not waits():
        time.sleep(0.002)
    time.sleep(random.random() * POLL)  # so that it comes at any time between two looks
    assert not began, "it was granted though there was no room"
    killed = time.perf_counter()
    victim.kill()
    thread.join()
    return began[0] - killed


# -- hits -----------------------------------------------------------------------------------


def hits(settings: Settings) -> Line:
    """Return a hit of a cache with a node beside one of a cache without."""
    title = "a hit, with node= and without"
    with _node() as node, _here(node) as shared, new_cache(BUDGET) as alone, no_collector():
        timed = {}
        for name, cache in ((OURS, shared), ("without", alone)):
            load = new_loader(cache, GIB)
            load("warm")
            timed[name] = looped("f('warm')", {"f": load})
        count = max(enough(one, settings.seconds) for one in timed.values())
        measures = {name: partial(one, count) for name, one in timed.items()}
        samples = interleave(measures, settings.rounds, tick=partial(settings.tick, title))
    return Line.beside("hit", title, "without", samples)


def system_calls_of_hits() -> int | None:
    """Return how many system calls ``HITS`` hits make; None: there is no strace, or it may not."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    with _node() as node, tempfile.NamedTemporaryFile("r") as trace:
        with Told(node, BUDGET, under=(strace, "-f", "-qq", "-o", trace.name)) as member:
            try:
                member.tell("hits", HITS)
            except (RuntimeError, BrokenPipeError):
                return None
        lines = [line.split(maxsplit=1) for line in trace]
    thread = next((pid for pid, call in lines if call.startswith("getppid(")), None)
    calls = [call for pid, call in lines if pid == thread]
    marks = [at for at, call in enumerate(calls) if re.match(r"getppid\(", call)]
    return None if len(marks) < 2 else marks[-1] - marks[-2] - 1
