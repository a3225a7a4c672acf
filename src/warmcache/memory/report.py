"""The table of devices: which there are, what is free on them, which cache holds what."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmcache._sizes import format_size
from warmcache._tables import aligned
from warmcache.errors import ProbeUnavailable
from warmcache.probes import cuda_numbering
from warmcache.probes.cuda_numbering import Card
from warmcache.probes.host import HostProbe
from warmcache.probes.nvml import NvmlProbe, cards
from warmcache.probes.nvml_session import explained, session
from warmcache.probes.probe import Sample
from warmcache.probes.torch_allocator import TorchProbe

_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
_HEADER = ("GPU", "name", "UUID", "total", "used", "free", "")


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What a cache holds on its device.

    Attributes:
        cache: its name, for people.
        device: the name of its probe.
        entries: how many are warm.
        held: bytes that they weigh.
        budget: bytes that they may weigh.
    """

    cache: str
    device: str
    entries: int
    held: float
    budget: float


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        text: the table.
        problem: why there are no GPUs in it, if there are none.
    """

    text: str
    problem: ProbeUnavailable | None = None


def devices_table(reports: Sequence[DeviceReport] = ()) -> str:
    """Return a table of this machine's GPUs, its memory, and what caches hold of them.

    The figures are the driver's. Where torch has initialised CUDA in this process, a
    second line has torch's own.
    """
    found = survey(reports)
    return found.text if found.problem is None else f"{found.text}\n\nno GPU: {found.problem}"


def survey(reports: Sequence[DeviceReport] = ()) -> Survey:
    """Return the table, and why it has no GPUs, where it has none."""
    lines: list[Sequence[str]] = [_HEADER]
    notes = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    problem = None
    try:
        with explained(), session.calls() as nvml:
            unreadable: dict[int, Exception] = {}
            found = cards(nvml, unreadable)
            notes.insert(0, f"driver {nvml.nvmlSystemGetDriverVersion()}")
        if not found and not unreadable:
            raise cuda_numbering.no_cards()
        notes += [f"the driver's GPU {number}: {error}" for number, error in unreadable.items()]
        lines += _gpus(found, _numbers(found, notes) if not unreadable else {})
    except ProbeUnavailable as error:
        problem = error
    host = HostProbe()
    lines.append(("", host.name, "", *_figures(host.sample()), _mine("process", host.allocated())))
    text = "\n".join([aligned(lines), *(f"({note})" for note in notes)])
    return Survey(f"{text}\n\n{_holdings(reports)}" if reports else text, problem)


def _gpus(found: Sequence[Card], numbers: Mapping[str, int]) -> list[Sequence[str]]:
    """Return the lines of all cards and their MIG instances."""
    lines: list[Sequence[str]] = []
    for uuid in cuda_numbering.names(found):
        number = str(numbers.get(uuid, "-"))
        try:
            probe = NvmlProbe(uuid)
        except ProbeUnavailable as error:
            lines.append((number, "?", uuid, *_figures(Sample()), error.reason))
            continue
        lines.append((number, probe.model, uuid, *_figures(probe.sample()), ""))
        lines += _by_torch(probe)
    return lines


def _numbers(found: Sequence[Card], notes: list[str]) -> Mapping[str, int]:
    """Return how torch numbers the cards that it sees, so far as can be known."""
    if cuda_numbering.cuda() is not None:
        known = {uuid: cuda_numbering.torch_index(uuid) for uuid in cuda_numbering.names(found)}
        return {uuid: number for uuid, number in known.items() if number is not None}
    numbers: dict[str, int] = {}
    try:
        for number in range(cuda_numbering.count(found, os.environ)):
            numbers[cuda_numbering.by_index(found, number, os.environ)] = number
    except ProbeUnavailable as error:
        notes.append(str(error))
    return numbers


def _by_torch(probe: NvmlProbe) -> list[Sequence[str]]:
    """Return a line with what torch says, if it has initialised CUDA."""
    torch = TorchProbe(probe.uuid, base=probe)
    sample = torch.by_cuda()
    if sample is None:
        return []
    held = torch.sample().reserved
    more = f"{_mine('tensors', torch.allocated())}, {_mine('in reserve', held)}"
    return [("", "  by torch", "", *_figures(sample), more)]


def _figures(sample: Sample) -> tuple[str, str, str]:
    return _size(sample.total), _size(sample.used), _size(sample.free)


def _size(nbytes: int | None) -> str:
    return "?" if nbytes is None else format_size(nbytes)


def _mine(what: str, nbytes: int | None) -> str:
    return f"{what} {_size(nbytes)}"


def _holdings(reports: Sequence[DeviceReport]) -> str:
    rows = [
        (
            report.cache,
            report.device,
            f"{report.entries:,}",
            format_size(report.held),
            format_size(report.budget),
        )
        for report in reports
    ]
    return aligned([("cache", "device", "entries", "holds", "of"), *rows])
