"""What parking costs beside a bare copy: ``python -m benchmarks.parking [--quick]``.

Where torch has CUDA, values lie there. Elsewhere host memory is the device: blocks of it, reused as
an allocator of a device reuses its own; so the copies are as fast as ``memcpy``, and what parking
does besides shows more than it would behind a bus.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from warmcache._parking import Slabs, parker_for
from warmcache._parking.devices import Accelerators
from warmcache._parking.finding import Finding
from warmcache._parking.moving import rebind, views_of

PLACE = "cuda" if torch.cuda.is_available() else "cpu"


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
    """One value, parked and back again and again, beside copies of as many bytes."""

    def __init__(self, value: Any, *, retain: bool = False) -> None:
        self.value = value
        self.device: Any = Accelerators() if PLACE == "cuda" else Blocks()
        self.slabs = Slabs(retain=retain)
        self.parker = parker_for(None, self.slabs, self.device)
        self.round()  # which maps the slab, and touches it

    def round(self) -> tuple[float, float]:
        """Return the seconds of a parking, and those of the way back."""
        parked, going = timed(lambda: self.parker.park(self.value, 0))
        if isinstance(self.device, Blocks):
            self.device.all_left()
        _, coming = timed(parked.unpark)
        return going, coming


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    found = function()
    return found, time.perf_counter() - started


def copying(nbytes: int, pieces: int) -> Callable[[bool], float]:
    """Return what copies as many bytes, as many pieces, there or back; it returns the seconds."""
    there = [torch.ones(nbytes // pieces, dtype=torch.uint8, device=PLACE) for _ in range(pieces)]
    host = [torch.ones(nbytes // pieces, dtype=torch.uint8) for _ in range(pieces)]
    host = [each.pin_memory() for each in host] if PLACE == "cuda" else host

    def copy(back: bool) -> float:
        started = time.perf_counter()
        for one, other in zip(there, host, strict=True):
            (one if back else other).copy_(other if back else one, non_blocking=True)
        if PLACE == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    copy(True)
    return copy


def rebinding(value: Any, device: Any) -> float:
    """Return the seconds that the tensors of a value take to look elsewhere, a hundred storages."""
    found = Finding(torch, device)
    found.of(value)
    made = views_of(torch, found.tensors, found.storages)
    return timed(lambda: rebind(torch, found.tensors, made))[1] * 100 / len(found.storages)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, interleaved, and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parking", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes")
    quick = parser.parse_args(arguments).quick
    rounds, side, layers, many = (3, 64, 6, 100) if quick else (31, 674, 50, 10_000)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with torch.device(PLACE):
        model = torch.nn.Sequential(*[torch.nn.Linear(side, side) for _ in range(layers)])
        small = torch.nn.ModuleList([torch.nn.Linear(16, 16) for _ in range(many // 2)])
        other = torch.nn.Sequential(*[torch.nn.Linear(side, side) for _ in range(layers)])
    bench, retained, of_many = Bench(model), Bench(other, retain=True), Bench(small)
    nbytes = sum(each.nbytes for each in model.parameters())
    copy = copying(nbytes, 2 * layers)
    before = peak()
    rows = [
        (*bench.round(), copy(False), copy(True), *retained.round(), rebinding(model, bench.device))
        for _ in range(rounds)
    ]
    grown = peak() - before
    started = time.process_time()
    for _ in range(5):
        of_many.round()
    both_ways = (time.process_time() - started) / 5
    park, unpark, away, home, again, _, change = (statistics.median(row) for row in zip(*rows))  # noqa: B905
    rates = [statistics.median(row[at + 2] / row[at] for row in rows) for at in (0, 1)]
    milliseconds = {
        f"to park; that is {rates[0]:.0%} of the rate of a bare copy": park,
        "by that": away,
        f"to unpark; that is {rates[1]:.0%} of the rate of a bare copy": unpark,
        "by that ": home,
        "to park what has a copy on the host still": again,
        "to have a hundred storages looked into elsewhere": change,
        f"of the processor to park {many:,} parameters, and to unpark them": both_ways,
    }
    print(
        f"{nbytes >> 20} MiB in {2 * layers} tensors, on {PLACE}; medians of {rounds} rounds, in ms"
    )
    for what, seconds in milliseconds.items():
        print(f"{seconds * 1e3:10.3f}  {what}")
    print(f"the peak of memory grew by {grown:,} KiB; a slab has {bench.slabs.kept >> 10:,}")
    return 0


def peak() -> int:
    """Return the most KiB that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    raise SystemExit(main())
