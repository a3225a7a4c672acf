"""The devices whose bytes are moved, as parking asks of them: torch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

    def why_not_now(self, places: Iterable[Any]) -> str | None:
        """Return what these devices must not be waited for during; None if nothing is under way."""

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

    def why_not_now(self, places: Iterable[Any]) -> str | None:
        # Whoever captures does so on a stream, and mostly in another thread than this one. Torch
        # does not list its streams: asked are those that captures are made on, if not told where.
        cuda = imported("torch", "cuda").cuda
        used = [place for place in places if place.type == "cuda"]
        asks: list[Callable[[Any], Any]] = [cuda.current_stream, cuda.default_stream]
        streams = [cuda.graph.default_capture_stream] if used else []
        streams += [ask(place) for place in used for ask in asks]
        if any(_is_captured(cuda, stream) for stream in streams if stream is not None):
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


def _is_captured(cuda: Any, stream: Any) -> bool:
    with cuda.stream(stream):
        try:
            return bool(cuda.is_current_stream_capturing())
        except RuntimeError:  # the default stream would wait for one that is
            return True


ACCELERATORS: Device = Accelerators()
