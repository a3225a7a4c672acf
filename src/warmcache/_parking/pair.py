"""Parking by two functions of the loader's author: ``park=(Engine.sleep, Engine.wake)``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from .parking import CannotPark, Pair, Parked, Parker


class Slabs:
    """Blocks of host memory that are used again and again."""

    def __init__(
        self, page_locked: bool | str = "auto", *, limit: float = math.inf, retain: bool = False
    ) -> None:
        self.page_locked = page_locked
        self.limit = limit
        self.retain = retain


class ParkedByPair:
    """What ``park`` returned, and what takes it back."""

    def __init__(self, state: Any, unpark: Callable[[Any], Any], nbytes: int, seconds: float):
        self._state = state
        self._unpark = unpark
        self.nbytes = nbytes
        self.seconds = seconds

    def unpark(self) -> Any:
        value = self._unpark(self._state)
        self._state = None
        return value

    def drop(self) -> None:
        self._state = None


class PairParker:
    """Parks by a pair of functions. What it takes is what ``park`` gives says, or the weight."""

    def __init__(self, park: Callable[[Any], Any], unpark: Callable[[Any], Any]) -> None:
        self._park = park
        self._unpark = unpark

    def park(self, value: Any, weight: float) -> Parked:
        began = time.perf_counter()
        state = self._park(value)
        if state is None:
            raise CannotPark("park= gave None, and so nothing to bring it back from")
        said = getattr(state, "nbytes", None)
        nbytes = said if isinstance(said, int) else int(weight)
        return ParkedByPair(state, self._unpark, nbytes, time.perf_counter() - began)


class NoParker:
    """Parks nothing: of such values nobody knows how."""

    def park(self, value: Any, weight: float) -> Parked:
        raise CannotPark(
            f"nobody knows how to park {type(value).__qualname__}: say park=(park, unpark)"
        )


def parker_for(pair: Pair | None, slabs: Slabs) -> Parker:
    """Return what parks the values of a loader that said ``park=pair``."""
    return NoParker() if pair is None else PairParker(*pair)
