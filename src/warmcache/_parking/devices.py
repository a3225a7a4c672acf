"""The devices whose bytes are moved, as parking asks of them: torch's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from warmcache._walk import imported


class Device(Protocol):
    """What parking asks of devices; tests simulate one."""

    def has(self, place: Any) -> bool:
        """Whether a ``torch.device`` is one of them."""
        ...

    def holds(self, storage: Any) -> bool:
        """Whether the bytes of a storage lie on one of them."""
        ...

    def why_not_now(self) -> str | None:
        """Return what no copy may be made during; None if nothing is under way."""

    def allocate(self, nbytes: int, place: Any) -> Any:
        """Return a new storage on a device."""

    def copy(self, into: Any, of: Any) -> None:
        """Begin to copy a tensor."""

    def synchronize(self, places: Iterable[Any]) -> None:
        """Wait for all that devices have begun."""


class Accelerators:
    """All that torch knows, besides the host."""

    def has(self, place: Any) -> bool:
        return place.type not in ("cpu", "meta")

    def holds(self, storage: Any) -> bool:
        return self.has(storage.device)

    def why_not_now(self) -> str | None:
        cuda = imported("torch", "cuda").cuda
        if cuda.is_initialized() and cuda.is_current_stream_capturing():
            return "a CUDA graph is being captured"
        return None

    def allocate(self, nbytes: int, place: Any) -> Any:
        return imported("torch", "UntypedStorage").UntypedStorage(nbytes, device=place)

    def copy(self, into: Any, of: Any) -> None:
        into.copy_(of, non_blocking=True)

    def synchronize(self, places: Iterable[Any]) -> None:
        torch = imported("torch", "cuda")
        for place in places:
            # The oldest torch that has `accelerator` is 2.6.
            (torch.cuda if place.type == "cuda" else torch.accelerator).synchronize(place)


ACCELERATORS: Device = Accelerators()
