"""Builds the fake NVIDIA library, and holds what a test moves in it."""

from __future__ import annotations

import ctypes
import importlib.metadata
import mmap
import os
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fake_nvml.c")
SONAME = "libnvidia-ml.so.1"
CARDS = 8
CALLS = [
    "init", "shutdown", "count", "by_index", "by_uuid", "uuid", "name", "pci", "mig", "memory",
    "memory_v2", "driver",
]  # fmt: skip
GIB = 2**30


class _Card(ctypes.Structure):
    _fields_ = [
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("reserved", ctypes.c_uint64),
        ("domain", ctypes.c_uint32),
        ("bus", ctypes.c_uint32),
        ("slot", ctypes.c_uint32),
        ("mig", ctypes.c_uint32),
        ("parent", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("uuid", ctypes.c_char * 96),
        ("model", ctypes.c_char * 96),
    ]


class _State(ctypes.Structure):
    _fields_ = [
        ("cards", ctypes.c_uint32),
        ("boot", ctypes.c_uint32),
        ("gate", ctypes.c_uint32),
        ("waiting", ctypes.c_uint32),
        ("together", ctypes.c_uint32),
        ("inits", ctypes.c_uint32),
        ("error", ctypes.c_int32 * len(CALLS)),
        ("calls", ctypes.c_uint32 * len(CALLS)),
        ("card", _Card * CARDS),
    ]


def build(folder: Path, *, old: bool = False) -> Path:
    """Compile the library into ``folder``; an old driver's lacks what came later."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / SONAME
    # fmt: off
    command = [
        os.environ.get("CC", "gcc"), "-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread",
        "-Wall", "-Wextra", "-Werror", "-Wmissing-prototypes",
        "-isystem", str(_header().parent), f"-DSTATE_SIZE={ctypes.sizeof(_State)}",
        *(["-DOLD_DRIVER"] if old else []), f"-Wl,-soname,{SONAME}",
        "-o", str(library), str(SOURCE),
    ]
    # fmt: on
    compiled = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == compiled.returncode, compiled.stderr
    return library


def _header() -> Path:
    """Return NVIDIA's nvml.h, of the package nvidia-nvml-dev."""
    files = importlib.metadata.files("nvidia-nvml-dev") or []
    [header] = [file for file in files if file.name == "nvml.h"]
    return Path(str(header.locate()))


class FakeNvml:
    """The figures of the library, in a file that it maps too."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_bytes(bytes(ctypes.sizeof(_State)))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)
        self.state = _State.from_buffer(self._map)

    def reset(self) -> None:
        """Go back to no cards and no faults; the library stays initialised."""
        boot = self.state.boot
        ctypes.memset(ctypes.addressof(self.state), 0, ctypes.sizeof(self.state))
        self.state.boot = boot

    def add(
        self,
        uuid: str = "GPU-11111111-aaaa-bbbb-cccc-000000000001",
        *,
        model: str = "Fake H100",
        total: int = 80 * GIB,
        used: int = 0,
        reserved: int = GIB // 2,
        bus: int = 0,
        mig: bool = False,
        parent: int = -1,
    ) -> Any:
        """Add a card, or an instance of card number ``parent``."""
        number = self.state.cards
        card = self.state.card[number]
        card.total, card.used, card.reserved = total, used, reserved
        card.free = total - used - reserved
        card.bus, card.mig, card.parent, card.error = bus, mig, parent, 0
        card.uuid, card.model = uuid.encode(), model.encode()
        self.state.cards = number + 1
        return card

    def fail(self, call: str, code: int) -> None:
        """Have a call return an error, until it is told to return 0."""
        self.state.error[CALLS.index(call)] = code

    def calls(self, call: str) -> int:
        """Return how often a call was made."""
        return int(self.state.calls[CALLS.index(call)])

    def environ(self, library: Path) -> dict[str, str]:
        """Return what has a new process find the library, and the library these figures."""
        return {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML": str(self.file)}
