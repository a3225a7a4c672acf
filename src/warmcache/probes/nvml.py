"""The driver's management library (NVML), through nvidia-ml-py's ``pynvml``.

NVML reads a card's memory without a CUDA context, which would take hundreds of
megabytes of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from warmcache._log import log

from . import cuda_numbering
from .cuda_numbering import Card, DeviceName
from .nvml_session import BusyError, code, explained, session
from .probe import Sample

_UNINITIALIZED = 1
_INVALID, _NOT_SUPPORTED, _NOT_FOUND, _NO_FUNCTION, _OTHER_VERSION = 2, 3, 6, 13, 25
# What drivers say that know version 1 of the memory figures alone.
_OLD = {_INVALID, _NOT_SUPPORTED, _NO_FUNCTION, _OTHER_VERSION}


class NvmlProbe:
    """A card's memory as the driver counts it, whoever uses it.

    While the card cannot be read (it fell off the bus, the driver is being replaced)
    its figures are unknown. It is tried again after 1, 2, 4, ... up to 60 seconds.

    Args:
        device: the index as torch counts it, or a UUID.
        timer: a clock, in seconds.

    Attributes:
        index: the index that was asked for; None with a UUID.
        uuid: the card's, or that of its MIG instance.
        model: what it is.
        shares: whether the card has no memory of its own to tell of: it uses the machine's.

    Raises:
        ProbeUnavailable: there is no such card, or it cannot be read.
    """

    def __init__(
        self, device: DeviceName = 0, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._timer = timer
        self._pause = 0.0  # seconds to wait after the next failure, less one doubling
        self._not_before: float | None = None
        self._v1 = False
        self._handle: Any = None
        self._generation = -1
        wanted = cuda_numbering.parse(device)
        self.index = wanted if isinstance(wanted, int) else None
        with explained(), session.calls() as nvml:
            self.uuid = _uuid(nvml, wanted)
            self.model = _text(nvml.nvmlDeviceGetName(self._found(nvml)))
            self.shares = self._read(nvml) is None

    @property
    def name(self) -> str:
        """The card, for people: ``"GPU 0 (NVIDIA H100, GPU-1234abcd)"``."""
        number = "" if self.index is None else f" {self.index}"
        return f"GPU{number} ({self.model}, {short(self.uuid)})"

    @property
    def device_id(self) -> str:
        """What caches of the same memory have in common: the card's UUID."""
        return self.uuid

    def __repr__(self) -> str:
        return f"<NvmlProbe of {self.name}>"

    def sample(self) -> Sample:
        if self._not_before is not None and self._timer() < self._not_before:
            return Sample()
        generation = session.generation
        try:
            sample = self._sample_once() or Sample()
        except Exception as error:
            self._failed(error, generation)
            return Sample()
        if self._not_before is not None:
            log().warning("%s can be read again", self.name)
            self._not_before, self._pause = None, 0.0
        return sample

    def allocated(self) -> None:
        """Return None: what NVML says of a process is not to be trusted.

        It counts with the host's process numbers, which a container does not know.
        """
        return

    def _sample_once(self) -> Sample | None:
        try:
            with session.calls() as nvml:
                return self._read(nvml)
        except Exception as error:
            if code(error) != _UNINITIALIZED:
                raise
        # Somebody shut it down once too often. It costs nothing to begin anew.
        session.restart(session.generation)
        with session.calls() as nvml:
            return self._read(nvml)

    def _failed(self, error: Exception, generation: int) -> None:
        if self._not_before is None:
            log().warning("%s cannot be read, so its memory is unknown: %s", self.name, error)
        self._pause = min(max(2 * self._pause, 1.0), 60.0)
        self._not_before = self._timer() + self._pause
        if not isinstance(error, BusyError):
            session.restart(generation)

    def _found(self, nvml: Any) -> Any:
        """Return the card's handle, found anew if the library was restarted."""
        if self._handle is None or self._generation != session.generation:
            self._handle = nvml.nvmlDeviceGetHandleByUUID(self.uuid)
            self._generation = session.generation
        return self._handle

    def _read(self, nvml: Any) -> Sample | None:
        """Return what the card has; None if the driver has no figures for such a card."""
        handle = self._found(nvml)
        if not self._v1:
            try:
                return _sample(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2))
            except nvml.NVMLError as error:
                if code(error) not in _OLD:
                    raise
        try:
            figures = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError as error:
            if code(error) == _NOT_SUPPORTED:
                return None
            raise
        self._v1 = True
        return _sample(figures)


def cards(nvml: Any, unreadable: dict[int, Exception] | None = None) -> list[Card]:
    """Return all cards that the driver shows.

    One that cannot be read is an error, for without it CUDA's numbers are not known;
    or it is left out and put into ``unreadable``, under the driver's own number.
    """
    found = []
    for number in range(nvml.nvmlDeviceGetCount()):
        try:
            found.append(_card(nvml, number))
        except nvml.NVMLError as error:
            if unreadable is None:
                raise
            unreadable[number] = error
    return found


def short(uuid: str) -> str:
    """Return the beginning of a UUID: ``GPU-1234abcd``."""
    kind, _, number = uuid.rpartition("GPU-") if "GPU-" in uuid else uuid.partition("-")
    return f"{'GPU' if kind != 'MIG' else kind}-{number[:8]}"


def _uuid(nvml: Any, wanted: int | str) -> str:
    """Return the whole UUID of the card that is meant."""
    if isinstance(wanted, str):
        return wanted if _exists(nvml, wanted) else cuda_numbering.by_uuid(cards(nvml), wanted)
    number = cuda_numbering.torch_uuid(wanted)
    for uuid in (f"GPU-{number}", f"MIG-{number}") if number else ():
        if _exists(nvml, uuid):
            return uuid
    return cuda_numbering.by_index(cards(nvml), wanted, os.environ)


def _exists(nvml: Any, uuid: str) -> bool:
    try:
        nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        if code(error) not in (_NOT_FOUND, _INVALID):
            raise
        return False
    return True


def _card(nvml: Any, number: int) -> Card:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    pci = nvml.nvmlDeviceGetPciInfo(handle)
    return Card(
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        model=_text(nvml.nvmlDeviceGetName(handle)),
        place=(pci.domain, pci.bus, pci.device),
        instances=_instances(nvml, handle),
    )


def _instances(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    """Return the UUIDs of a card's MIG instances; None if it is not divided."""
    try:
        now, _ = nvml.nvmlDeviceGetMigMode(handle)
        places = nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if now else 0
    except nvml.NVMLError:  # most cards have no such mode
        return None
    found = []
    for place in range(places):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
        except nvml.NVMLError:  # nobody there
            continue
        found.append(_text(nvml.nvmlDeviceGetUUID(instance)))
    return tuple(found) if now else None


def _sample(figures: Any) -> Sample:
    """Return NVML's figures; where there are none, the driver writes 0 or a huge number."""
    total = figures.total if 0 < figures.total < 2**63 else None
    free, used = (
        figure if total is not None and 0 <= figure <= total else None
        for figure in (figures.free, figures.used)
    )
    return Sample(total=total, free=free, used=used)


def _text(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
