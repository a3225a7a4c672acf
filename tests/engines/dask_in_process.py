"""Dask clusters whose workers are in this process, and what tasks are submitted to them.

Their schedulers validate themselves after each transition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import dask_models as models
from dask_models import CAP, load
from distributed import Event
from distributed.utils_test import gen_cluster

import warmcache.dask as wd
from warmcache._engines.dask_scheduler import WarmScheduler

SATURATION = "distributed.scheduler.worker-saturation"
# A worker is handed no more than it has threads for, or little would ever wait.
a_cluster = partial(gen_cluster, client=True, timeout=2 * CAP, config={SATURATION: 1.0})
one_worker = a_cluster(nthreads=[("", 1)])
two_workers = a_cluster(nthreads=[("", 1)] * 2)


async def installed(client: Any, scheduler: Any) -> WarmScheduler:
    await wd.install(client)
    plugin: WarmScheduler = scheduler.plugins["warmcache"]
    return plugin


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(CAP):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def submit(client: Any, function: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
    return wd.submit(client, function, name, *args, warm=partial(load, name), pure=False, **options)


async def blocked(client: Any, name: str = "x") -> tuple[Any, Any]:
    """Return a task that holds its slot, and what lets it go."""
    begun, go = uuid4().hex, uuid4().hex
    future = submit(client, models.begin_and_wait, name, begun, go)
    await Event(begun, client=client).wait()
    return future, Event(go, client=client)
