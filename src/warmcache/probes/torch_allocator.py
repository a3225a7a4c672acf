"""A GPU's memory, with what torch's allocator holds of it in reserve."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from warmcache._log import log
from warmcache.errors import ProbeUnavailable

from . import cuda_numbering
from .cuda_numbering import DeviceName
from .host import HostProbe
from .nvml import NvmlProbe
from .probe import Probe, Sample

_ALLOCATED, _RESERVED = "allocated_bytes.all.current", "reserved_bytes.all.current"


class TorchProbe:
    """A GPU's memory, and what torch's caching allocator holds of it in reserve.

    What tensors leave behind stays with torch's allocator: the driver calls it used,
    though the next tensor can have it. This probe tells the two apart, as soon as torch
    has initialised CUDA in this process. It never does that itself, nor imports torch.

    Where the driver has no figures, because CPU and GPU share one memory, CUDA is asked
    through torch if it is initialised, else the machine.

    Args:
        device: the index as torch counts it, or a UUID.
        base: what tells of the card; an :class:`NvmlProbe` of ``device`` by default.

    Raises:
        ProbeUnavailable: there is no such card, or neither the driver nor torch
            can read it.
    """

    def __init__(self, device: DeviceName = 0, base: Probe | None = None) -> None:
        wanted = cuda_numbering.parse(device)
        self._wanted = wanted
        self._index = wanted if isinstance(wanted, int) else None
        self._host = HostProbe()
        self.base: Probe | None = base
        if base is None:
            try:
                self.base = NvmlProbe(device)
            except ProbeUnavailable:
                if self._torch() is None:
                    raise

    @property
    def name(self) -> str:
        """The card, for people."""
        return f"GPU {self._wanted}" if self.base is None else self.base.name

    @property
    def device_id(self) -> Hashable:
        """What caches of the same memory have in common: the card's UUID, where it is known."""
        if self.base is not None:
            return getattr(self.base, "device_id", None) or id(self.base)
        return (self._index is not None and cuda_numbering.torch_uuid(self._index)) or self.name

    @property
    def index(self) -> int | None:
        """What torch calls the card; of a UUID it is known once CUDA is initialised."""
        self._torch()
        return self._index

    def __repr__(self) -> str:
        return f"<TorchProbe of {self.name}>"

    def sample(self) -> Sample:
        sample = self.base.sample() if self.base is not None else Sample()
        shares = getattr(self.base, "shares", False)
        if self.base is None or shares:
            sample = self.by_cuda() or (self._host.sample() if shares else Sample())
        figures = self._figures()
        held, used = figures.get(_RESERVED), figures.get(_ALLOCATED)
        reserved = None if held is None or used is None else max(held - used, 0)
        return replace(sample, reserved=reserved)

    def allocated(self) -> int | None:
        """Return the bytes of all tensors of this process on the card.

        They are 0 as long as torch has not initialised CUDA.
        """
        return 0 if cuda_numbering.cuda() is None else self._figures().get(_ALLOCATED)

    def by_cuda(self) -> Sample | None:
        """Return what CUDA says; None while it is not initialised, for asking would do that."""
        found = self._torch()
        if found is None:
            return None
        cuda, index = found
        try:
            free, total = cuda.mem_get_info(index)
        except Exception as error:
            log().debug("torch cannot tell the memory of %s: %s", self.name, error)
            return Sample()
        return Sample(total=total, free=free, used=total - free)

    def _figures(self) -> dict[str, int]:
        """Return what torch's allocator counts, as far as it tells."""
        found = self._torch()
        try:
            return {} if found is None else dict(found[0].memory_stats(found[1]))
        except Exception as error:
            log().debug("torch cannot tell what it holds of %s: %s", self.name, error)
            return {}

    def _torch(self) -> tuple[Any, int] | None:
        """Return ``torch.cuda`` and its index of the card; None while it has none."""
        cuda = cuda_numbering.cuda()
        if cuda is None:
            return None
        if self._index is None:
            self._index = cuda_numbering.torch_index(getattr(self.base, "uuid", str(self._wanted)))
        return None if self._index is None else (cuda, self._index)
