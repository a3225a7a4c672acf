"""What runs in other processes: a loader and bodies that leave a journal in files."""

from __future__ import annotations

import gc
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from warmcache import CapacityError, warm

CAP = 5.0


def note(folder: str, journal: str, line: str) -> None:
    with (Path(folder) / journal).open("a") as file:
        file.write(f"{os.getpid()} {line}\n")


class Model:
    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def close(self) -> None:
        note(self.folder, "torn down", self.name)


class Hanging(Model):
    def close(self) -> None:
        super().close()
        threading.Event().wait(20 * CAP)


@warm(policy="lru", maxsize=1, teardown="close")
def load(folder: str, name: str) -> Model:
    note(folder, "loads", name)
    if name == "none":
        raise LookupError(name)
    return Model(folder, name)


class Large(Model):
    def __init__(self, folder: str, name: str) -> None:
        super().__init__(folder, name)
        self.weights = bytearray(50 * 2**20)


@warm(policy="ram", budget="120MiB", teardown="close")
def load_large(folder: str, name: str) -> Model:
    note(folder, "loads", name)
    return Large(folder, name)


def use(folder: str, name: str) -> tuple[int, str]:
    return os.getpid(), load(folder, name).name


def fail(folder: str, name: str) -> None:
    raise ValueError(load(folder, name).name)


def die(folder: str, name: str) -> None:
    os._exit(3)


def want_another(folder: str, name: str) -> str:
    """Say what comes of a load that could have its room only from what this call wants."""
    try:
        load(folder, "another")
    except CapacityError:
        return "leased"
    return "torn down"


def pid() -> int:
    return os.getpid()


def waiting(folder: str, name: str, gate: str) -> int:
    Gate.enter(folder, gate)
    return os.getpid()


def unimportable() -> tuple[Any, Any]:
    """Return a loader and a body that uses it; neither can be imported."""

    @warm(policy="lru", maxsize=2)
    def nested(folder: str, name: str) -> str:
        note(folder, "loads", name)
        return name

    def use_nested(folder: str, name: str) -> tuple[int, str]:
        return os.getpid(), nested(folder, name)

    return nested, use_nested


class Gate:
    """Two pipes by which a body says that it runs, and is told to go on."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.folder, self.name = str(folder), name
        self._ends = {}
        for pipe in ("here", "go"):
            path = folder / f"{name}.{pipe}"
            os.mkfifo(path)
            self._ends[pipe] = os.open(path, os.O_RDWR)  # so that no open() waits

    @staticmethod
    def enter(folder: str, name: str) -> None:
        with (Path(folder) / f"{name}.here").open("w") as here:
            here.write(f"{os.getpid()}\n")
        with (Path(folder) / f"{name}.go").open("rb", buffering=0) as go:
            go.read(1)

    def entered(self) -> int:
        """Wait for a body to enter; return its process."""
        readable, _, _ = select.select([self._ends["here"]], [], [], 6 * CAP)
        assert readable, "nobody came"
        return int(os.read(self._ends["here"], 100))

    def open(self, bodies: int = 1) -> None:
        os.write(self._ends["go"], b"x" * bodies)

    def close(self) -> None:
        for end in self._ends.values():
            os.close(end)


def side_by_side(folder: Path, submit: Callable[[str], Any]) -> set[int]:
    """Have two workers run something at a time, and return their processes.

    ``submit`` submits :func:`waiting` at the gate of this name, and returns the future.
    """
    gates = [Gate(folder, uuid4().hex) for _ in range(2)]
    futures = [submit(gate.name) for gate in gates]
    processes = {gate.entered() for gate in gates}
    for gate in gates:
        gate.open()
    assert processes == {future.result(6 * CAP) for future in futures}
    for gate in gates:
        gate.close()
    return processes


def journal(folder: Path, name: str) -> list[str]:
    """Return the lines of a journal, without the processes that wrote them."""
    path = folder / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition(" ")[2] for line in lines]


def wanted(folder: Path, name: str) -> Any:
    return partial(load, str(folder), name)


def torn_down_once(folder: Path) -> bool:
    return Counter(journal(folder, "loads")) == Counter(journal(folder, "torn down"))


def gone(process: int) -> bool:
    """Wait until a process has ended, as a zombie at least."""
    status = Path(f"/proc/{process}/status")
    end = time.monotonic() + 6 * CAP
    while time.monotonic() < end:
        try:
            if "State:\tZ" in status.read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        gc.collect()  # again: another thread may just now be leaving what held the pool
        select.select([], [], [], 0.02)
    return False
