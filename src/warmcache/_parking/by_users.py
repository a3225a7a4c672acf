"""Parking by two functions of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .cannot_park import CannotPark


class ByUsers:
    """Parks by ``park=(park, unpark)``: what the first returns, the second gets."""

    def __init__(self, park: Callable[[Any], Any], unpark: Callable[[Any], Any]) -> None:
        self._park = park
        self._unpark = unpark

    def park(self, value: Any, weight: float) -> ParkedByUsers:
        started = time.perf_counter()
        try:
            state = self._park(value)
        except Exception as error:
            raise CannotPark(f"park= raised {type(error).__name__}: {error}") from error
        if state is None:
            raise CannotPark("park= returned None, and not what unpark= is to get")
        # What it takes of the host is not told; so it counts as what it took of the device.
        return ParkedByUsers(value, state, self._unpark, int(weight), time.perf_counter() - started)


class ParkedByUsers:
    """A value that a function of the user's has parked."""

    __slots__ = ("_state", "_unpark", "_value", "nbytes", "seconds")

    def __init__(
        self,
        value: Any,
        state: Any,
        unpark: Callable[[Any], Any],
        nbytes: int,
        seconds: float,
    ) -> None:
        self._value = value
        self._state = state
        self._unpark = unpark
        self.nbytes = nbytes
        self.seconds = seconds

    def unpark(self) -> Any:
        back = self._unpark(self._state)
        if back is not self._value:
            raise TypeError(
                f"unpark= must return the very value that was parked, and it returned {back!r:.80}"
            )
        return back

    def drop(self) -> None:
        self._value = self._state = None
