"""What other ways of serving the same requests would have paid for loading."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._requests import Request
from ._spec import Spec, served


@dataclass(frozen=True, slots=True)
class Paid:
    """How often a way of serving loads, and the seconds that takes."""

    loads: int
    seconds: float


def cold_start(
    requests: Sequence[Request], specs: Sequence[Spec], seconds: Mapping[str, float]
) -> Paid:
    """Return what loading everything for every request would have paid.

    ``seconds`` is what one load of each takes.
    """
    needs = {spec.name: (*spec.needs, spec.name) for spec in specs}
    loaded = [name for request in requests for name in needs[request.model]]
    return Paid(len(loaded), sum(seconds[name] for name in loaded))


def certain_entries(specs: Sequence[Spec], budget: int) -> int:
    """Return how many models surely fit ``budget``: as many as of the largest.

    ``lru_cache`` counts entries and does not know their bytes, so this is the largest
    ``maxsize`` that never exceeds the budget. What models need beside them is left
    out, in its favour.
    """
    count = total = 0
    for weight in sorted((spec.weight for spec in served(specs)), reverse=True):
        total += weight
        if total > budget:
            break
        count += 1
    return count


def lru_cache(
    requests: Sequence[Request],
    specs: Sequence[Spec],
    seconds: Mapping[str, float],
    maxsize: int,
) -> Paid:
    """Return what ``functools.lru_cache(maxsize)`` pays when it replays the requests.

    A real one, over a function that adds up ``seconds`` of the model instead of
    loading it. What models need beside them is loaded once and kept, in its favour.
    """
    needs = {spec.name: spec.needs for spec in specs}
    paid = 0.0

    def load(name: str) -> None:
        nonlocal paid
        paid += seconds[name]

    model, beside = functools.lru_cache(maxsize)(load), functools.lru_cache(None)(load)
    for request in requests:
        for name in needs[request.model]:
            beside(name)
        model(request.model)
    return Paid(model.cache_info().misses + beside.cache_info().misses, paid)
