"""Processes of one store that are killed at random, and the limit that holds all the same.

Eight processes read, write, remove, evict, check and load alone in one folder; one after the other
is killed by SIGKILL, and another begins. Each value shows whose it is, so each reader knows whether
it is right. Meanwhile the sums are looked at, in the index' own transaction: so they are exact. In
the end others look: nothing is damaged, nothing is left.

It runs as part of ``tox -e crashes``; a short form is among the tests.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from disk_stores import KINDS, LARGE, bytes_of, expected, files, key_of, read, write

from warmcache._disk.store import DiskStore

WORKERS = 8
NAMES = 40
LIMIT = 20 * LARGE
SLOT = struct.Struct("<3Q")  # operations, wrong values, errors
SIZE = 4096


def kind_of(name: int) -> str:
    return KINDS[name % 3]


def hammer(root: Path, seed: int, page: mmap.mmap, at: int) -> None:
    """Do one thing after the other, until this process is killed."""
    rnd = random.Random(seed)
    store = DiskStore(root, maxsize=LIMIT)
    operations = wrong = errors = 0
    while True:
        name, what = rnd.randrange(NAMES), rnd.random()
        try:
            if what < 0.45:
                wrong += read(store, name) not in (None, expected(name, kind_of(name)))
                store.used(key_of(name))
            elif what < 0.8:
                size = rnd.choice([None, LARGE, 10])
                write(store, name, kind_of(name), seconds=rnd.random(), size=size)
            elif what < 0.9:
                with store.alone(key_of(name), 0.01):
                    if read(store, name) is None:
                        write(store, name, kind_of(name), seconds=rnd.random())
            elif what < 0.95:
                store.remove(key_of(name))
            elif what < 0.98:
                found = [store.header(key_of(rnd.randrange(NAMES))) for _ in range(2)]
                store.evict_all([each for each in found if each is not None])
            elif what < 0.99:
                store.check()
            else:
                store.close()
        except Exception as error:
            errors += 1
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        operations += 1
        bad = wrong + store.counts.damaged + store.counts.refused
        SLOT.pack_into(page, at, operations, bad, errors)


def begin(root: Path, seed: int, page: mmap.mmap, at: int) -> int:
    child = os.fork()
    if not child:
        try:
            hammer(root, seed, page, at)
        finally:
            os._exit(1)
    return child


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=300.0, help="for which it goes on at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rnd, ends, kills = random.Random(options.seed), time.monotonic() + options.seconds, 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        root, page = Path(folder) / "store", mmap.mmap(-1, SIZE)
        sums, most, complaints = [0, 0, 0], 0, 0
        watcher = DiskStore(root, maxsize=LIMIT)
        running = [begin(root, at, page, at * SLOT.size) for at in range(WORKERS)]
        while kills < options.kills and time.monotonic() < ends:
            time.sleep(rnd.uniform(0, 0.05))
            at = rnd.randrange(WORKERS)
            os.kill(running[at], signal.SIGKILL)
            _, ended = os.waitpid(running[at], 0)
            complaints += ended != signal.SIGKILL
            done = SLOT.unpack_from(page, at * SLOT.size)
            sums = [before + more for before, more in zip(sums, done, strict=True)]
            SLOT.pack_into(page, at * SLOT.size, 0, 0, 0)
            kills += 1
            running[at] = begin(root, 1000 + kills, page, at * SLOT.size)
            there, noted = watcher._index.run(lambda rows: (bytes_of(root), rows.sums()[1]))
            most = max(most, there)
            if not there <= noted <= LIMIT:
                complaints += 1
                print(f"there are {there} bytes, {noted} are noted, and {LIMIT} may be")
        for each in running:
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)
        watcher.close()
        store = DiskStore(root, maxsize=LIMIT)
        left = files(root, "tmp") + files(root, "locks")
        served = [read(store, name) for name in range(NAMES)]
        wrong = sum(
            value not in (None, expected(name, kind_of(name))) for name, value in enumerate(served)
        )
        report = store.check()
        exact = (report.bytes, len([*store.entries()])) == (bytes_of(root), report.entries)
        complaints += bool(left) + wrong + report.damaged + (not exact)
        store.close()
    operations, wrong_meanwhile, errors = sums
    print(
        f"{kills} kills, {operations} operations: {wrong_meanwhile} wrong meanwhile, {wrong} "
        f"afterwards, {errors} errors; at most {most} of {LIMIT} bytes; {report}, litter {left}"
    )
    in_time = kills == options.kills
    if not in_time:
        print(f"only {kills} of {options.kills} kills in {options.seconds} s", file=sys.stderr)
    return int(bool(complaints or wrong_meanwhile or errors) or not in_time)


if __name__ == "__main__":
    sys.exit(main())
