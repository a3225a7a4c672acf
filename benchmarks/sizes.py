"""What an entry takes beside its value, and how long it takes to see what a model holds."""

from __future__ import annotations

import gc
import importlib.util
import time
import tracemalloc
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

import cachetools

import warmcache

from .contenders import OURS, Cachetools
from .timing import Line, Settings, interleave

_PARAMETERS = 10_000


def memory(settings: Settings) -> list[Line]:
    """Bytes that an entry takes, of an int under an int, beside both."""
    count = settings.sizes[-1] // 10
    title = f"bytes an entry, {count:,} entries"
    made: dict[str, Callable[[], MutableMapping[Any, Any]]] = {
        OURS: lambda: warmcache.LRUCache(count),
        Cachetools.name: lambda: cachetools.LRUCache(count),
    }
    numbers = [*range(count)]
    measures = {name: partial(_taken, make, numbers) for name, make in made.items()}
    samples = interleave(measures, 3, tick=partial(settings.tick, title))
    return [Line.beside("memory", title, Cachetools.name, samples, amount=_bytes)]


def _taken(make: Callable[[], MutableMapping[Any, Any]], numbers: list[int]) -> float:
    gc.collect()
    tracemalloc.start()
    cache = make()
    for number in numbers:
        cache[number] = number
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / len(numbers)


def _bytes(number: float) -> str:
    return f"{number:.0f} B"


def footprint(settings: Settings) -> list[Line]:
    """Seeing what a torch module of 10,000 parameters holds; where torch is installed."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    from warmcache.memory.footprint import footprint as seen

    title = f"footprint of a module of {_PARAMETERS:,} parameters"
    layers = (torch.nn.Linear(4, 4) for _ in range(_PARAMETERS // 2))
    model = torch.nn.ModuleList(layers)

    def walked() -> int:
        parameters = (p for module in model.modules() for p in module._parameters.values())
        return sum(p.untyped_storage().nbytes() for p in parameters if p is not None)

    whole = seen(model, "cpu")
    assert whole is not None and whole.nbytes == walked()
    measures = {
        "ours": partial(_timed, partial(seen, model, "cpu")),
        "bare": partial(_timed, walked),
    }
    samples = interleave(measures, settings.slow_rounds, tick=partial(settings.tick, title))
    against = "modules() and _parameters"
    return [Line("footprint", title, against, {OURS: samples["ours"]}, {OURS: samples["bare"]})]


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
