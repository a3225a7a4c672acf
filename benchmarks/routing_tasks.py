"""What the tasks of ``routing`` do; worker processes import it."""

from __future__ import annotations

import time
from typing import Any

from warmcache import warm

LOAD, USE = 0.15, 0.03  # seconds


def _load(model: int) -> int:
    time.sleep(LOAD)
    return model


LOADERS: dict[int, Any] = {keeps: warm(policy="lru", maxsize=keeps)(_load) for keeps in (1, 2)}


def infer(keeps: int, model: int) -> int:
    """Use a model, which is loaded if it is not warm; ``keeps``: how many a worker keeps."""
    value: int = LOADERS[keeps](model)
    time.sleep(USE)
    return value


def loads() -> int:
    """Return how many loads this worker has made."""
    return sum(loader.cache.stats().loads for loader in LOADERS.values())
