"""Processes at the ledger of a node that do what they are told, one line at a time.

A :class:`Member` is one in this process; :class:`Process` is one in a process of its own, told
through a pipe. ``load`` keeps what it was granted idle, ``lease`` keeps it in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warmcache._node.ledger import NodeLedger

CAP = 5.0


class Member:
    """What a cache is to a ledger: it has entries, idle ones at a price, and lets them go."""

    def __init__(
        self, folder: str | Path, budget: int = 100, floor: int = 0, **options: Any
    ) -> None:
        self.entries: list[tuple[float, int]] = []  # idle: price, bytes
        self.reclaims: list[int] = []
        self.gate: Callable[[], object] = lambda: None  # before anything is given
        self.ledger = NodeLedger(
            folder,
            budget=budget,
            floor=floor,
            quotes=lambda: [(nbytes, price) for price, nbytes in self.entries],
            reclaim=self.reclaim,
            **{"available": lambda: None, **options},
        )

    def load(self, nbytes: int, price: float = 1.0, wait: float = CAP) -> str:
        said = self.lease(nbytes, wait)
        if said == "granted":
            self.entries.append((price, nbytes))
            self.ledger.publish()
        return said

    def lease(self, nbytes: int, wait: float = CAP) -> str:
        refusal = self.ledger.grow(nbytes, wait)
        if refusal is None:
            self.ledger.landed(nbytes)
        return "granted" if refusal is None else str(refusal)

    def reclaim(self, nbytes: int) -> int:
        self.reclaims.append(nbytes)
        self.gate()
        gone = 0
        for entry in sorted(self.entries):
            if gone < nbytes:
                self.entries.remove(entry)
                self.ledger.shrink(entry[1])
                gone += entry[1]
        return gone

    def keep(self, nbytes: int, price: float) -> None:
        """Have idle what was in use, and tell nobody."""
        self.entries.append((price, nbytes))

    def forget(self) -> None:
        """Have nothing idle any more, and tell nobody."""
        self.entries.clear()

    def shrink(self, nbytes: int) -> None:
        self.ledger.shrink(nbytes)

    def gave(self) -> list[int]:
        return self.reclaims

    def status(self) -> list[int]:
        return [*self.ledger.status()]

    def close(self) -> None:
        self.ledger.close()


class Process:
    """A member in a process of its own; ``tell`` waits for its answer, ``begin`` does not."""

    program = __file__

    def __init__(self, folder: str | Path, budget: int = 100, floor: int = 0) -> None:
        self.folder = Path(folder)
        command = [sys.executable, self.program, str(folder), str(budget), str(floor)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._answers.put(line)

    def tell(self, what: str, *numbers: float) -> Any:
        self.begin(what, *numbers)
        return self.answer()

    def begin(self, what: str, *numbers: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([what, *numbers]) + "\n")
        self.process.stdin.flush()

    def answer(self, cap: float = CAP) -> Any:
        return json.loads(self._answers.get(timeout=cap))

    def stop(self) -> None:
        """Stop it, and not inside the gate, where it would hold up everybody."""
        with contextlib.ExitStack() as gates:
            for path in self.folder.rglob("lock"):
                gate = gates.enter_context(path.open("rb+"))
                fcntl.flock(gate, fcntl.LOCK_EX)
            os.kill(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait(CAP)
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass


@contextmanager
def processes(kind: type[Process] = Process) -> Iterator[Callable[..., Process]]:
    """Give what starts processes of a ``kind``; all of them are killed in the end."""
    started: list[Process] = []

    def start(*args: Any, **options: Any) -> Process:
        started.append(kind(*args, **options))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.kill()


Start = Callable[..., Process]


def until(claim: Callable[[], object]) -> None:
    """Return once ``claim`` holds, which another process or thread brings about."""
    deadline = time.monotonic() + CAP
    while not claim():
        assert time.monotonic() < deadline, "it did not come to that"
        threading.Event().wait(0.002)


def begun(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin ``work`` in a thread; what is returned waits for it, and gives what it gave."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(work()), daemon=True)
    thread.start()

    def end() -> Any:
        thread.join(CAP)
        assert given, "it hangs, or has failed"
        return given[0]

    return end


def main(kind: Any = Member) -> None:
    folder, budget, floor = sys.argv[1:]
    member = kind(folder, int(budget), int(floor))
    for line in sys.stdin:
        what, *numbers = json.loads(line)
        print(json.dumps(getattr(member, what)(*numbers)), flush=True)
    member.close()


if __name__ == "__main__":
    main()
