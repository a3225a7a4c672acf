"""SIGKILL at every executed line of what writes to a store; then others look.

A child overwrites an entry, adds others, so that one has to go, removes, evicts and checks; it is
killed at one line of `_disk/`, and at the next in the next child. What another process then finds
must be whole, nothing that was not touched may be lost, nor what was overwritten, and no limit be
exceeded; what the dead one has left is cleared away, and everything works on.

It runs as part of ``tox -e crashes``; ``--once`` is the short form: each line the first time.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from disk_stores import FILE, KINDS, bytes_of, expected, files, key_of, read, write

from warmcache import _disk
from warmcache._disk.filters import Filter
from warmcache._disk.store import DiskStore

CODE = str(Path(_disk.__file__).parent)
LIMIT = 6  # entries
NEVER = 10**9


def prepare(root: Path, kind: str) -> None:
    store = DiskStore(root, maxitems=LIMIT)
    for name in range(6):
        write(
            store,
            f"old {name}",
            kind,
            key=name,
            seconds=float(10 - name),
            tags=("t",) * (name == 3),
        )
    store.close()


def work(root: Path, kind: str) -> None:
    """Do what is to be interrupted: everything that changes anything."""
    store = DiskStore(root, maxitems=LIMIT)
    write(store, "new 0", kind, key=0, seconds=10.0, size=60_000)
    with store.alone(key_of(9), 0):
        write(store, "new 9", kind, key=9, seconds=100.0)  # for which 5 goes
    store.used(key_of(1))
    store.evict(Filter(tags=("t",)))
    store.remove(key_of(4))
    store.check()
    store.close()


class Counted:
    """Counts the executed lines of the store, and ends the process at one of them."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.lines: list[tuple[str, int]] = []

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self.line if frame.f_code.co_filename.startswith(CODE) else None

    def line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.lines.append((frame.f_code.co_filename, frame.f_lineno))
            if len(self.lines) == self.end:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.line


def run(root: Path, kind: str, end: int) -> tuple[int, list[tuple[str, int]]]:
    """Work in a child that is killed at one line; return how it ended, and its lines."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 3
        try:
            os.close(reading)
            counted = Counted(end)
            sys.settrace(counted)
            work(root, kind)
            sys.settrace(None)
            with os.fdopen(writing, "w") as pipe:
                pipe.writelines(f"{name}:{line}\n" for name, line in counted.lines)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = [line.rpartition(":") for line in pipe]
    _, ended = os.waitpid(child, 0)
    return ended, [(name, int(line)) for name, _, line in said]


def noted_by_the_index(root: Path) -> float:
    """Return the bytes that the index has noted, as the dead one has left it."""
    if not (root / "index.db").exists():
        return math.inf
    database = sqlite3.connect(root / "index.db")
    try:
        return float(database.execute("select bytes from sums").fetchone()[0])
    except sqlite3.OperationalError:  # it was not made yet
        return math.inf
    finally:
        database.close()


def complaints(root: Path, kind: str) -> Iterator[str]:
    """Yield what is not as it should be after a crash."""
    old = {name: expected(f"old {name}", kind) for name in range(6)}
    new = {name: expected(f"new {name}", kind) for name in (0, 9)}
    may_be = {
        0: (old[0], new[0]),
        **{name: (old[name],) for name in (1, 2)},
        **{name: (old[name], None) for name in (3, 4, 5)},
        9: (new[9], None),
    }
    taken, noted = bytes_of(root), noted_by_the_index(root)
    if taken > noted:
        yield f"the index has {noted} bytes, and there are {taken}"
    store = DiskStore(root, maxitems=LIMIT)
    for name, values in may_be.items():
        if read(store, name) not in values:
            yield f"{name} is lost, or not what was written"
    if store.counts.damaged:
        yield "something is damaged"
    if left := files(root, "tmp") + files(root, "locks"):
        yield f"there is litter: {left}"
    totals = store.totals()
    if totals.bytes < bytes_of(root) or totals.entries < len([*store.entries()]):
        yield f"the index has too little: {totals}, and there are {bytes_of(root)} bytes"
    if totals.entries > LIMIT:
        yield f"there are too many: {totals}"
    for name in (7, 8):
        if not write(store, name, kind, seconds=50.0) or read(store, name) != expected(name, kind):
            yield "a write afterwards does not work"
    with store.alone(key_of(9), 0) as alone:
        if not alone:
            yield "a dead process has a lock"
    report = store.check()
    names = sum(1 for each in (root / "o").rglob("*") if each.is_file())
    each_has = {"inline": 1, "file": 2, "folder": 3}[kind]
    if report.damaged or names != each_has * report.entries or report.bytes != bytes_of(root):
        yield f"a check leaves something: {report}, {names} files"
    if report.entries > LIMIT:
        yield f"there are too many afterwards: {report}"
    store.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="each line only the first time")
    parser.add_argument("--seconds", type=float, default=NEVER, help="for which it goes on")
    options = parser.parse_args()
    ends, points, wrong = time.monotonic() + options.seconds, 0, 0
    seen: set[tuple[str, int]] = set()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # which is faster
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        base, root = Path(folder) / "base", Path(folder) / "store"
        for kind in KINDS:
            for lost in (False, True)[: 2 if kind == FILE else 1]:
                shutil.rmtree(base, ignore_errors=True)
                prepare(base, kind)
                if lost:
                    (base / "index.db").unlink()
                shutil.copytree(base, root, copy_function=shutil.copy2)
                ended, lines = run(root, kind, NEVER)
                assert not ended, "it does not work at all"
                for at, line in enumerate(lines, 1):
                    if options.once and line in seen:
                        continue
                    seen.add(line)
                    if time.monotonic() > ends:
                        print(f"no time is left after {points} points", file=sys.stderr)
                        return 2
                    shutil.rmtree(root)
                    shutil.copytree(base, root)
                    ended, _ = run(root, kind, at)
                    points += 1
                    found = [] if ended == signal.SIGKILL else [f"it ended with {ended}"]
                    found += complaints(root, kind)
                    for each in found:
                        wrong += 1
                        print(f"{kind}, line {at}, {Path(line[0]).name}:{line[1]}: {each}")
                shutil.rmtree(root)
                print(f"{kind}{', no index' * lost}: {len(lines)} lines", flush=True)
    print(f"killed at {points} lines; {wrong} complaints")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
