"""Parking by two functions of the loader's author: ``park=(Engine.sleep, Engine.wake)``."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

from warmcache._signatures import not_coroutine

from .parking import CannotPark, Parked


class ParkedByPair:
    """What ``park`` returned, and what takes it back."""

    def __init__(self, state: Any, unpark: Callable[[Any], Any], nbytes: int, seconds: float):
        self._state = state
        self._unpark = unpark
        self.nbytes = nbytes
        self.seconds = seconds

    def unpark(self) -> Any:
        return not_coroutine("the second function of park=", self._unpark(self._state))

    def drop(self) -> None:
        self._state = None


class PairParker:
    """Parks by a pair of functions. What it takes is what ``park`` gives says, or the weight."""

    def __init__(self, park: Callable[[Any], Any], unpark: Callable[[Any], Any]) -> None:
        self._park = park
        self._unpark = unpark

    def park(self, value: Any, weight: float) -> Parked:
        began = time.perf_counter()
        try:
            state = not_coroutine("it", self._park(value))
        except Exception as error:
            raise CannotPark(f"park= raised {type(error).__name__}: {error}") from error
        if state is None:
            raise CannotPark("park= gave None, and so nothing to bring it back from")
        nbytes = _nbytes_of(state, weight)
        return ParkedByPair(state, self._unpark, nbytes, time.perf_counter() - began)


def _nbytes_of(state: Any, weight: float) -> int:
    """Return what ``state`` says that it takes; where it has no number for that, the weight."""
    said = getattr(state, "nbytes", None)
    try:
        nbytes = int(weight) if isinstance(said, bool) else operator.index(said)  # type: ignore[arg-type]
    except TypeError:
        return int(weight)
    if nbytes < 0:
        raise CannotPark(f"park= gave what says that it takes {nbytes} bytes")
    return nbytes
