"""Parking in place, by storage, what has tensors of torch.

Each storage is copied once into one slab, and every tensor looks at the copy: tied weights stay
tied, views views, and the value is the object that it was. What somebody else took of it, by
``detach()`` or as a view, keeps the old bytes: they are right, and their room is not free.

The tensors are looked for at each parking, and none of it is kept: a view that was taken since
would, unseen, be left behind with bytes of its own.
"""

from __future__ import annotations

import time
from typing import Any

from warmcache._sizes import format_size
from warmcache._walk import imported

from .cannot_park import CannotPark
from .devices import Device
from .finding import Finding
from .moving import Tensors, move
from .slabs import Slab, Slabs
from .views import parts_of

_ENOUGH = 0.9  # of the weight: what holds more that is not seen would stay on the device
_ALIGNED = 64  # bytes: what lies in a slab begins at a multiple of it


class InPlace:
    """Parks the tensors of torch that values have."""

    def __init__(self, slabs: Slabs, device: Device) -> None:
        self._slabs = slabs
        self._device = device

    def park(self, value: Any, weight: float) -> ParkedInPlace:
        started = time.perf_counter()
        try:
            parked = self._parked(value, weight)
        except BaseException as error:
            _let_go_of_locals(error)
            if isinstance(error, CannotPark) or not isinstance(error, Exception):
                raise
            raise CannotPark(f"{type(error).__name__}: {error}") from error
        parked.seconds = time.perf_counter() - started
        return parked

    def _parked(self, value: Any, weight: float) -> ParkedInPlace:
        torch = imported("torch", "Tensor", "nn", "UntypedStorage", "cuda")
        if torch is None:
            raise CannotPark("nothing of torch is in it; say how with park=(park, unpark)")
        if why_not := self._device.why_not_now():
            raise CannotPark(why_not)
        # Subclasses of tensors are not asked, nor is who has said what torch does by default.
        with torch._C.DisableTorchFunction():
            return self._moved(torch, value, weight)

    def _moved(self, torch: Any, value: Any, weight: float) -> ParkedInPlace:
        found = Finding(torch, self._device)
        found.of(value)
        if not found.storages or found.nbytes < _ENOUGH * weight:
            raise CannotPark(
                f"of its {format_size(weight)} {format_size(found.nbytes)} are of tensors that "
                f"are seen; say how with park=(park, unpark)"
            )
        return self._copied(torch, value, found)

    def _copied(self, torch: Any, value: Any, found: Finding) -> ParkedInPlace:
        places = [storage.device for storage in found.storages]
        with self._device.alone({*places}):
            self._device.synchronize({*places})
            slab = self._slabs.take(_room_for(found.storages))
            try:
                copies = _cut(torch, slab, found.storages)
                moved = found.tensors, found.storages, copies, found.whole
                move(torch, *moved, self._device, {*places})
            except BaseException:
                self._slabs.give_back(slab)
                raise
        parked = (value, found.tensors, copies, found.whole, places)
        return ParkedInPlace(*parked, slab, self._slabs, self._device)


class ParkedInPlace:
    """A value whose tensors look into a slab."""

    def __init__(
        self,
        value: Any,
        tensors: Tensors,
        storages: list[Any],
        whole: dict[int, Any],
        places: list[Any],
        slab: Slab,
        slabs: Slabs,
        device: Device,
    ) -> None:
        self.nbytes = slab.nbytes
        self.seconds = 0.0
        self._value = value
        self._tensors = tensors
        self._storages = storages
        self._whole = whole
        self._places = places
        self._slab = slab
        self._slabs = slabs
        self._device = device

    def unpark(self) -> Any:
        try:
            torch = imported("torch", "UntypedStorage")
            with torch._C.DisableTorchFunction():
                self._move_back(torch)
        except BaseException as error:
            _let_go_of_locals(error)
            raise
        value = self._value
        self._forget()
        return value

    def drop(self) -> None:
        self._forget()
        self._slabs.give_back(self._slab)

    def _move_back(self, torch: Any) -> None:
        places = {*self._places}
        with self._device.alone(places):
            back = [
                self._device.allocate(storage.nbytes(), place)
                for storage, place in zip(self._storages, self._places, strict=True)
            ]
            tensors = [each for each in self._tensors if self._is_here(torch, *each)]
            move(torch, tensors, self._storages, back, self._whole, self._device, places)

    def _is_here(self, torch: Any, tensor: Any, numbers: tuple[int | None, ...]) -> bool:
        """Whether a tensor still looks into the slab, and was given no other bytes since."""
        return all(
            number is None or part.untyped_storage()._cdata == self._storages[number]._cdata
            for part, number in zip(parts_of(torch, tensor), numbers, strict=True)
        )

    def _forget(self) -> None:
        self._value = None
        self._tensors, self._storages, self._whole, self._places = [], [], {}, []


def _let_go_of_locals(error: BaseException) -> None:
    """Have no frame of a traceback, however long that is kept, hold memory of a device."""
    import traceback

    traceback.clear_frames(error.__traceback__)


def _room_for(storages: list[Any]) -> int:
    return sum(_aligned(storage.nbytes()) for storage in storages)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGNED) * _ALIGNED


def _cut(torch: Any, slab: Slab, storages: list[Any]) -> list[Any]:
    """Return storages in a slab, one for each of some others."""
    cut, at = [], 0
    for storage in storages:
        nbytes = storage.nbytes()
        values = torch.frombuffer(slab.view, dtype=torch.uint8, offset=at, count=nbytes)
        cut.append(values.untyped_storage())
        at += _aligned(nbytes)
    return cut
