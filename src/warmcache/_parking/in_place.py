"""Parking in place, by storage, what has tensors of torch.

Each storage is copied once into one slab, and every tensor looks at the copy: tied weights stay
tied, views views, and the value is the object that it was. What somebody else took of it, by
``detach()`` or as a view, keeps the old bytes: they are right, and their room is not free.

The tensors are looked for at each parking, and none of it is kept: a view that was taken since
would, unseen, be left behind with bytes of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from warmcache._sizes import format_size
from warmcache._walk import imported

from .devices import Device
from .finding import Finding, Held
from .moving import move
from .parking import CannotPark
from .retained import Copy
from .slabs import Slab, Slabs
from .views import parts_of

_ENOUGH = 0.9  # of the weight: what holds more that is not seen would stay on the device
_NOTHING = Held((), (), {}, ())
_ALIGNED = 64  # bytes: what lies in a slab begins at a multiple of it


class InPlaceParker:
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
            raise _unknown(value)
        # Subclasses of tensors are not asked, nor is who has said what torch does by default.
        with torch._C.DisableTorchFunction():
            return self._moved(torch, value, weight)

    def _moved(self, torch: Any, value: Any, weight: float) -> ParkedInPlace:
        found = Finding(torch, self._device)
        found.of(value)
        if not found.storages and found.elsewhere is not None:
            raise CannotPark(f"its tensors lie on {found.elsewhere}, and there is nothing to move")
        if not found.storages:
            raise _unknown(value)
        if found.nbytes < _ENOUGH * weight:
            raise CannotPark(
                f"of its {format_size(weight)} only {format_size(found.nbytes)} are of tensors "
                f"that are seen: say park=(park, unpark)"
            )
        return self._copied(torch, value, found)

    def _copied(self, torch: Any, value: Any, found: Finding) -> ParkedInPlace:
        held = found.held
        places = {*held.places}
        if why_not := self._device.why_not_now(places):
            raise CannotPark(why_not)
        self._device.synchronize(places)
        slab, offsets, copied = self._slab_for(found)
        try:
            copies = _cut(torch, slab, found.storages, offsets)
            move(torch, held, copies, self._device, copied)
        except BaseException:
            with suppress(Exception):  # one that cannot say when it is through is broken
                self._device.synchronize(places)  # what was begun still writes into the slab
            self._slabs.give_back(slab)
            raise
        there = held._replace(storages=copies)
        return ParkedInPlace(value, there, slab, offsets, self._slabs, self._device)

    def _slab_for(self, found: Finding) -> tuple[Slab, Sequence[int], set[int]]:
        """Return a slab, where in it copies are to be, and the numbers of those that are there."""
        copy: Copy | None = self._slabs.copies.get(found.storages[0])
        if copy is not None:
            copied = copy.unchanged(found)
            if copied is not None and self._slabs.take_again(copy.slab, copy.uses):
                return copy.slab, copy.offsets, copied
        *offsets, end = accumulate(map(_aligned, found.storages), initial=0)
        return self._slabs.take(end), offsets, set()


class ParkedInPlace:
    """A value whose tensors look into a slab."""

    def __init__(
        self,
        value: Any,
        held: Held,
        slab: Slab,
        offsets: Sequence[int],
        slabs: Slabs,
        device: Device,
    ) -> None:
        self.nbytes = slab.nbytes
        self.seconds = 0.0
        self._value = value
        self._held = held
        self._slab: Slab | None = slab
        self._offsets = offsets
        self._slabs = slabs
        self._device = device

    def unpark(self) -> Any:
        """Return the value, its bytes back on the device; the slab is given back with that."""
        slab, value = self._slab, self._value
        if slab is None:
            raise RuntimeError("it is parked no more")
        try:
            torch = imported("torch", "UntypedStorage")
            with torch._C.DisableTorchFunction():
                back = self._move_back(torch)
        except BaseException as error:
            _let_go_of_locals(error)
            raise
        copy = Copy(slab, self._offsets, back, self._held.tensors) if self._slabs.retain else None
        self.drop()
        if copy is not None:
            self._slabs.copies[back[0]] = copy
        return value

    def drop(self) -> None:
        slab, self._slab = self._slab, None
        self._value = None
        self._held = _NOTHING
        if slab is not None:
            self._slabs.give_back(slab)

    def _move_back(self, torch: Any) -> list[Any]:
        held = self._held
        if why_not := self._device.why_not_now({*held.places}):
            raise RuntimeError(f"it stays parked: {why_not}")
        back = [
            self._device.allocate(storage.nbytes(), place)
            for storage, place in zip(held.storages, held.places, strict=True)
        ]
        tensors = [each for each in held.tensors if self._is_here(torch, *each)]
        move(torch, held._replace(tensors=tensors), back, self._device)
        return back

    def _is_here(self, torch: Any, tensor: Any, numbers: tuple[int | None, ...]) -> bool:
        """Whether a tensor still looks into the slab, and was given no other bytes since."""
        return all(
            number is None or part.untyped_storage()._cdata == self._held.storages[number]._cdata
            for part, number in zip(parts_of(torch, tensor), numbers, strict=True)
        )


def _unknown(value: object) -> CannotPark:
    return CannotPark(
        f"nobody knows how to park {type(value).__qualname__}: say park=(park, unpark)"
    )


def _let_go_of_locals(error: BaseException) -> None:
    """Have no frame of a traceback, however long that is kept, hold memory of a device."""
    import traceback

    traceback.clear_frames(error.__traceback__)


def _aligned(storage: Any) -> int:
    nbytes: int = -(-storage.nbytes() // _ALIGNED) * _ALIGNED
    return nbytes


def _cut(torch: Any, slab: Slab, storages: list[Any], offsets: Sequence[int]) -> list[Any]:
    """Return storages in a slab, one for each of some others."""
    return [
        torch.frombuffer(
            slab.view, dtype=torch.uint8, offset=offset, count=storage.nbytes()
        ).untyped_storage()
        for storage, offset in zip(storages, offsets, strict=True)
    ]
