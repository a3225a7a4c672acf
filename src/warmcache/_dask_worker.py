"""A Dask worker's part: it holds what a task wants, says what is warm, and closes caches."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

from distributed import WorkerPlugin, get_worker  # pyright: ignore[reportMissingImports]
from distributed.core import Status  # pyright: ignore[reportMissingImports]

from ._cache import Cache
from ._exit import closing
from ._wanted import Wanted

NAME = "warmcache"  # of the plugins, the metric and the topic of the reports


def hold(wanted: Wanted, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` while what it wants is warm and leased: the body of a task."""
    begun, cold = time.monotonic(), not wanted.is_warm()
    with wanted.lease():
        _tell(wanted, time.monotonic() - begun if cold else None)
        return function(*args, **kwargs)


async def hold_async(
    wanted: Wanted, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Do the same for an ``async`` loader and an ``async`` function."""
    begun, cold = time.monotonic(), not wanted.is_warm()
    async with wanted.lease():
        _tell(wanted, time.monotonic() - begun if cold else None)
        return await function(*args, **kwargs)


def _tell(wanted: Wanted, seconds: float | None) -> None:
    """Have this worker's plugin, if it has one, know of ``wanted`` and what its load took."""
    try:
        plugin = get_worker().plugins.get(NAME)
    except ValueError:  # this is no worker
        return
    if isinstance(plugin, WarmWorker):
        plugin.leased(wanted, seconds)


class WarmWorker(WorkerPlugin):
    """Reports what is warm of what tasks wanted, and tears down as the worker ends.

    A report is an event of the topic ``warmcache``, sent when something has changed: after a
    load, when a task has ended, and with each heartbeat. It says all that is warm, so one more
    or less does no harm; ``at`` tells which of two is later. ``leased`` runs in the threads
    of tasks, all else in the event loop's.
    """

    name = NAME
    idempotent = True

    def setup(self, worker: Any) -> None:
        self._worker = worker
        self._lock = threading.Lock()  # of all below; only `contains` is called under it
        self._wanted: dict[str, Wanted] = {}
        self._said: set[str] = set()
        worker.metrics[NAME] = self._metric

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        if finish == "long-running":
            self._worker.log_event(NAME, {"seceded": [key]})
        elif start in ("executing", "long-running"):
            self._report()

    def leased(self, wanted: Wanted, seconds: float | None) -> None:
        """Note that a task has ``wanted`` warm, and the seconds it took if it was cold."""
        with self._lock:
            self._wanted[wanted.name] = wanted
        self._report([] if seconds is None else [(wanted.name, seconds)])

    def _metric(self, _: Any) -> dict[str, Any]:
        self._report()
        with self._lock:
            return {"warm": sorted(self._said)}

    def _report(self, loads: list[tuple[str, float]] | None = None) -> None:
        with self._lock:
            for name in [name for name, each in self._wanted.items() if not each.is_warm()]:
                del self._wanted[name]
            if loads or self._said != self._wanted.keys():
                self._said = set(self._wanted)
                report = dict(warm=[*self._said], loads=loads or [], at=time.monotonic())
                self._worker.log_event(NAME, report)

    async def teardown(self, worker: Any) -> None:
        """Tear down what is idle; what a task still leases goes when that has ended.

        Under a nanny the process is this worker's alone, and all its caches are closed.
        Without one others may live here, so only what its tasks wanted goes; the end of the
        process does the rest.
        """
        worker.metrics.pop(NAME, None)
        if worker.status not in (Status.closing, Status.closed):
            return  # the plugin goes, and the worker stays
        if worker.nanny:
            await asyncio.to_thread(_close_caches)
            return
        for wanted in reversed(self._wanted.values()):
            torn_down = await asyncio.to_thread(wanted.evict)
            if inspect.isawaitable(torn_down):
                await torn_down


def _close_caches() -> None:
    for cache in closing():
        if isinstance(cache, Cache):
            try:
                cache.close()
            except ExceptionGroup:  # each is in the log
                pass
