"""A process that shares a node's budget, or has one of its own, and does what it is told.

It is told by lines of JSON and answers by such; :class:`Told` is the other end. Models are nothing
but a weight, and a load is a sleep.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe

GIB = 2**30
DEVICE = "a simulated device"
USE = 0.0003  # seconds
PATIENCE = 20.0  # seconds, after which somebody is stuck
LIFE = 170.0  # seconds, after which a process ends whatever it does
ROOT = Path(__file__).resolve().parents[1]


def new_cache(budget: float, node: str | Path | None = None) -> MemoryCache[Any, Any]:
    """Return a cache on a simulated device on which there is nothing but what caches have."""
    probe = FakeProbe(2**50, name=DEVICE)
    options: dict[str, Any] = {} if node is None else {"node": node}
    return MemoryCache(int(budget), probe=probe, headroom=0, poll=0, wait=PATIENCE, **options)


def new_loader(
    cache: MemoryCache[Any, Any], weight: float, work: Callable[[], object] = lambda: None
) -> Any:
    """Return a loader of what weighs so much; ``work`` is what a load does."""
    device: Any = cache.probe

    @warm(cache=cache, size=int(weight))
    def load(key: object) -> object:
        work()
        return device.block(int(weight))

    return load


class Member:
    """What the process can be told: a method each."""

    def __init__(self, node: str | None, budget: float) -> None:
        self._node, self._budget = node, budget
        self._cache = new_cache(budget, node)
        self._held: list[Any] = []
        self._resting = threading.Event()
        self._churning: threading.Thread | None = None

    def serve(
        self, models: list[tuple[float, float]], requests: list[tuple[float, int]], begin: float
    ) -> dict[str, float]:
        """Answer requests for models, each at its second after ``begin``; say what that cost."""
        paid: list[float] = []

        def work(seconds: float) -> None:
            time.sleep(seconds)
            paid.append(seconds)

        loaders = [
            new_loader(self._cache, weight, partial(work, seconds)) for weight, seconds in models
        ]
        time.sleep(max(begin - time.monotonic(), 0))
        for at, model in requests:
            time.sleep(max(begin + at - time.monotonic(), 0))
            with loaders[model].lease(model):
                time.sleep(USE)
        return {"loads": len(paid), "paid": sum(paid), "uses": len(requests)}

    def keep(self, share: float) -> None:
        """Have so much of the budget idle, in ten values."""
        for number in range(10):
            new_loader(self._cache, share * self._budget / 10)(number)

    def lease(self, share: float) -> None:
        """Have so much of the budget in use."""
        lease = new_loader(self._cache, share * self._budget).lease("held")
        lease.__enter__()
        self._held.append(lease)

    def stay_inside(self) -> None:
        """Enter the gate of the ledger, and stay there."""
        assert self._node is not None
        [gate] = Path(self._node).rglob("lock")
        file = os.open(gate, os.O_RDWR)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._held.append(file)

    def churn(self, seed: int) -> None:
        """Load at random, each value in use for a moment, until told to rest."""
        self._resting.clear()
        self._churning = threading.Thread(target=self._churn, args=(seed,), daemon=True)
        self._churning.start()

    def _churn(self, seed: int) -> None:
        draw = random.Random(seed)
        loaders = [new_loader(self._cache, weight * self._budget / 100) for weight in range(2, 15)]
        while not self._resting.is_set():
            with draw.choice(loaders).lease(draw.randrange(3)):
                time.sleep(draw.random() * 0.01)

    def rest(self) -> int:
        """Do nothing any more, and keep nothing; return how many loads there were."""
        self._resting.set()
        if self._churning is not None:
            self._churning.join()
        loads = self._cache.stats().loads
        self._cache.clear()
        return loads

    def hits(self, count: int) -> None:
        """Make so many hits between two system calls that are easily told from others."""
        load = new_loader(self._cache, self._budget / 2)
        load("warm")
        for _ in range(100):
            load("warm")
        os.getppid()
        for _ in range(count):
            load("warm")
        os.getppid()

    def close(self) -> None:
        self._cache.close()


class Told:
    """A :class:`Member` in a process of its own. ``tell`` waits for its answer."""

    def __init__(self, node: str | Path | None, budget: float, under: Sequence[str] = ()) -> None:
        arguments = ["" if node is None else str(node), str(budget)]
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "benchmarks.sharing_member", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for who can end all of them
        )

    def tell(self, what: str, *arguments: Any) -> Any:
        self.begin(what, *arguments)
        return self.answer()

    def begin(self, what: str, *arguments: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"process {self.process.pid} has ended: {self.process.wait()}")
        return json.loads(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """End it: it tears down and leaves if it can, and is killed if not."""
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()
            process.wait(2.0)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        process.stdout.close()


def main() -> None:
    """Do what comes in, until nothing comes any more."""
    faulthandler.dump_traceback_later(LIFE, exit=True)
    node, budget = sys.argv[1:]
    member = Member(node or None, float(budget))
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(member, what)(*arguments)), flush=True)
    member.close()


if __name__ == "__main__":
    main()
