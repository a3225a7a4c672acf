"""Four processes under one budget, random loads, SIGKILL at random; an observer adds up.

Each worker writes into a page of its own what it really has: raised after it was granted and
before the memory is taken, lowered once that is gone. The observer reads the pages of the living
inside the gate, while nobody can be granted anything: so each of its sums is exact. It fails where
a sum is over the budget, a worker is refused or stuck, or anything is left in the folder.

Run it as ``tox -e soak``, or ``tox -e soak -- --seconds 600``.
"""

from __future__ import annotations

import argparse
import fcntl
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from warmcache._node.ledger import NodeLedger

MIB = 2**20
BUDGET = 64 * MIB
WORKERS = 4
LARGE = BUDGET * 9 // 10  # what one of sixty loads takes
WAIT = 20.0  # seconds, after which a worker is stuck
FIELDS = struct.Struct("<6Q3d")  # pid, bytes, loads, refused, large loads, -; seconds of grow()


def page_of(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 4096)


class Worker:
    """A process that loads, keeps what is idle until it is asked for it, and is killed one day."""

    def __init__(self, folder: str, page: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.page = page_of(page)
        self.pages = page.parent
        self.blocks: dict[int, mmap.mmap | None] = {}  # None while it is loaded
        self.sizes: dict[int, int] = {}
        self.prices: dict[int, float] = {}
        self.lock = threading.Lock()
        self.loads = self.refused = self.large = 0
        self.slowest = [0.0, 0.0]
        self.ledger = NodeLedger(
            folder,
            budget=BUDGET,
            quotes=self.quotes,
            reclaim=self.reclaim,
            available=self.available,
            confirm=1.0,
        )

    def note(self) -> None:
        held = sum(self.sizes.values())
        numbers = os.getpid(), held, self.loads, self.refused, self.large, 0
        FIELDS.pack_into(self.page, 0, *numbers, *self.slowest, 0.0)

    def available(self) -> float:
        """Return what the "device" has left: the dead have given back what they had."""
        held = 0
        for page in self.pages.iterdir():
            pid, nbytes, *_ = FIELDS.unpack_from(page.read_bytes())
            held += nbytes if pid and Path(f"/proc/{pid}").exists() else 0
        return BUDGET - held

    def idle(self) -> list[int]:
        return sorted(
            (key for key, block in self.blocks.items() if block is not None),
            key=lambda key: self.prices[key],
        )

    def quotes(self) -> list[tuple[float, float]]:
        with self.lock:
            return [(self.sizes[key], self.prices[key]) for key in self.idle()]

    def reclaim(self, nbytes: int) -> int:
        gone = 0
        while gone < nbytes:
            with self.lock:
                victims = self.idle()
                if not victims:
                    break
                block = self.blocks.pop(victims[0])
            assert block is not None
            block.close()  # the memory is back with that
            with self.lock:
                size = self.sizes.pop(victims[0])
                self.note()
            self.ledger.shrink(size)
            gone += size
        return gone

    def load(self, key: int, nbytes: int, large: bool) -> None:
        began = time.monotonic()
        refusal = self.ledger.grow(nbytes, WAIT)
        took = time.monotonic() - began
        self.slowest[large] = max(self.slowest[large], took)
        if refusal is not None:
            self.refused += 1
            print(refusal, file=sys.stderr, flush=True)
            return
        with self.lock:
            self.blocks[key], self.sizes[key] = None, nbytes
            self.prices[key] = self.random.random()
            self.loads += 1
            self.large += large
            self.note()
        block = mmap.mmap(-1, nbytes)
        block[::4096] = bytes(len(range(0, nbytes, 4096)))
        time.sleep(self.random.random() * 0.01)
        self.ledger.landed(nbytes)
        with self.lock:
            self.blocks[key] = block
        self.ledger.publish()

    def run(self) -> None:
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        threads = [threading.Thread(target=self.serve, args=(ended, at)) for at in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.reclaim(BUDGET)
        self.ledger.close()

    def serve(self, ended: threading.Event, at: int) -> None:
        while not ended.is_set():
            large = not self.random.randrange(60)
            key = int(self.random.paretovariate(0.7)) % 40 * 2 + at
            with self.lock:
                there = key in self.sizes
            if not there:
                self.load(key, LARGE if large else (key % 7 + 1) * 2 * MIB, large)
            time.sleep(self.random.random() * 0.004)


class Observer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="node-")
        self.pages = Path(tempfile.mkdtemp(prefix="pages-"))
        self.workers: list[tuple[subprocess.Popen[bytes], mmap.mmap]] = []
        self.started = self.samples = self.worst = self.over = self.kills = 0
        self.loads = self.refused = self.large = 0
        self.slowest = [0.0, 0.0]

    def start(self) -> None:
        self.started += 1
        path = self.pages / str(self.started)
        path.write_bytes(bytes(4096))
        command = [sys.executable, __file__, "--worker", self.folder, str(path), str(self.started)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.workers.append((process, page_of(path)))

    def sample(self) -> None:
        with Inside(self.folder):
            held = sum(
                FIELDS.unpack_from(page)[1] for process, page in self.workers if alive(process)
            )
        self.samples += 1
        self.worst = max(self.worst, held)
        self.over += held > BUDGET

    def end(self, worker: tuple[subprocess.Popen[bytes], mmap.mmap]) -> None:
        self.workers.remove(worker)
        worker[0].wait(WAIT)
        assert worker[0].stdin is not None
        worker[0].stdin.close()
        _, _, loads, refused, large, _, small_took, large_took, _ = FIELDS.unpack_from(worker[1])
        self.loads += loads
        self.refused += refused
        self.large += large
        self.slowest = [max(self.slowest[0], small_took), max(self.slowest[1], large_took)]

    def run(self, seconds: float) -> None:
        for _ in range(WORKERS):
            self.start()
        ends = time.monotonic() + seconds
        kill_at = time.monotonic() + 2
        while time.monotonic() < ends:
            self.sample()
            if time.monotonic() > kill_at:
                kill_at = time.monotonic() + self.random.uniform(0.3, 1.5)
                worker = self.random.choice(self.workers)
                os.kill(worker[0].pid, signal.SIGKILL)
                self.kills += 1
                self.end(worker)
                self.start()
            time.sleep(0.002)
        self.stop()

    def stop(self) -> None:
        """Have half of them killed and half leave; then one alone must get everything."""
        for at, worker in enumerate([*self.workers]):
            if at % 2:
                worker[0].kill()
            else:
                assert worker[0].stdin is not None
                worker[0].stdin.close()
            self.end(worker)
        last = NodeLedger(
            self.folder,
            budget=BUDGET,
            quotes=list,
            reclaim=lambda nbytes: 0,
            available=lambda: None,
            confirm=1.0,
        )
        self.all_of_it = last.grow(BUDGET, 5) is None
        last.close()
        self.left = os.listdir(self.folder)  # noqa: PTH208

    def report(self) -> int:
        print(
            f"{self.samples} exact samples, {self.kills} kills, {self.loads} loads "
            f"({self.large} of {LARGE / MIB:.0f} MiB); the worst sum is "
            f"{self.worst / MIB:.0f} of {BUDGET / MIB:.0f} MiB, {self.over} over; "
            f"refused {self.refused}; grow() took {self.slowest[0]:.3f} s at most, "
            f"{self.slowest[1]:.3f} s of the large; the last one got everything: "
            f"{self.all_of_it}; left in the folder: {self.left}"
        )
        right = self.all_of_it and not (self.over or self.refused or self.left)
        return 0 if right and self.samples and self.loads else 1


class Inside:
    """Inside the gate, as who is none of the ledger's own enters it."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "lock"

    def __enter__(self) -> None:
        while True:
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self.file, fcntl.LOCK_EX)
            try:
                if self.path.stat().st_ino == os.fstat(self.file).st_ino:
                    return
            except FileNotFoundError:
                pass
            os.close(self.file)  # the last one has removed it meanwhile

    def __exit__(self, *exc: object) -> None:
        os.close(self.file)


def alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        folder, page, seed = options.worker
        Worker(folder, Path(page), int(seed)).run()
        return 0
    observer = Observer(options.seed)
    observer.run(options.seconds)
    return observer.report()


if __name__ == "__main__":
    sys.exit(main())
