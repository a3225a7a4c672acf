"""A Dask worker's part: it holds what a task wants, says what is warm, and closes caches."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from distributed import WorkerPlugin, get_worker  # pyright: ignore[reportMissingImports]
from distributed.core import Status  # pyright: ignore[reportMissingImports]

from warmcache._log import log
from warmcache._process.at_exit import ExitJob, Overdue, closing
from warmcache._texts import text_of
from warmcache.caches.cache import Cache
from warmcache.caches.leftovers import idle_of

from .wanted import Wanted
from .worker_side import leased, leased_async, still_warm

NAME = "warmcache"  # of the plugins, the metric and the topic of the reports
# Seconds. The nanny of a LocalCluster sends SIGKILL four after it has asked a worker to close.
PATIENCE = 1.5  # that others wait for a teardown, and half as long for the next that is late
LEAST = 0.1  # that they wait even then
TOTAL = 3.0  # that the worker waits for what is late, from the first teardown on


def under_lease(
    key: Hashable, wanted: Wanted, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call ``function`` while what it wants is warm and leased: the body of the task ``key``."""
    with leased(wanted) as loading:
        _tell(key, wanted, loading)
        return function(*args, **kwargs)


async def under_lease_async(
    key: Hashable, wanted: Wanted, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Do the same for an ``async`` loader and an ``async`` function."""
    async with leased_async(wanted) as loading:
        _tell(key, wanted, loading)
        return await function(*args, **kwargs)


def _tell(key: Hashable, wanted: Wanted, loading: float | None) -> None:
    """Have this worker's plugin, if it has one, know of ``wanted`` and what its load took."""
    try:
        plugin = get_worker().plugins.get(NAME)
    except ValueError:  # this is no worker
        return
    if isinstance(plugin, WarmWorker):
        plugin.note(key, wanted, loading)


class WarmWorker(WorkerPlugin):
    """Reports what is warm of what tasks wanted, and tears down as the worker ends.

    A report is an event of the topic ``warmcache``, sent when something has changed: after a
    load, when a task has ended, and with each heartbeat. It says all that is warm, so one more
    or less does no harm; ``at`` tells which of two is later. ``note`` runs in the threads
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

    def note(self, key: Hashable, wanted: Wanted, loading: float | None) -> None:
        """Note that task ``key`` has ``wanted`` warm, and the seconds it took if it was cold."""
        with self._lock:
            self._wanted[wanted.name] = wanted
        self._report([] if loading is None else [(key, loading)])

    def _metric(self, _: Any) -> dict[str, Any]:
        self._report()
        with self._lock:
            return {"warm": sorted(self._said)}

    def _report(self, loads: Sequence[tuple[Hashable, float]] = ()) -> None:
        with self._lock:
            warm = {*still_warm(self._wanted)}
            if loads or self._said != warm:
                self._said = warm
                report = dict(warm=[*warm], loads=[*loads], at=time.monotonic())
                self._worker.log_event(NAME, report)

    async def teardown(self, worker: Any) -> None:
        """Tear down what is idle, the last loaded first; what a task leases goes with its end.

        Under a nanny the process is this worker's alone, and all its caches are closed.
        Without one others may live here, so only what its tasks wanted goes; the end of the
        process does the rest.
        """
        worker.metrics.pop(NAME, None)
        if worker.status not in (Status.closing, Status.closed):
            return  # the plugin goes, and the worker stays
        if worker.nanny:
            await _in_turn(_all_that_is_idle())
        else:
            with self._lock:
                wanted = [*self._wanted.items()]
            await _in_turn([(name, each.evict) for name, each in reversed(wanted)])


_BY = "the end of the Dask worker"
Job: TypeAlias = tuple[Hashable, Callable[[], Any]]


def _all_that_is_idle() -> list[Job]:
    """Close all caches; return how to tear down what is idle, and what is to follow that."""
    things, last = closing(), list[ExitJob]()
    for thing in things:
        if isinstance(thing, Cache):
            last += idle_of(thing._view, TOTAL, thing.why_closed(_BY))
        else:
            last += thing.close_at_exit(TOTAL, _BY)
    last.sort(key=attrgetter("loaded"), reverse=True)
    return [
        *((each.key, each.let_go) for each in last),
        *((type(thing).__name__, thing.finish_at_exit) for thing in things),
    ]


async def _in_turn(jobs: Iterable[Job]) -> None:
    """Do one job after the other; what takes too long goes on while the others are done.

    The log names it at once, for the worker may be killed while it waits for that.
    """
    end, patience = time.monotonic() + TOTAL, PATIENCE
    late: list[asyncio.Task[bool]] = []
    for key, job in jobs:
        running = asyncio.create_task(_do(job))
        done, _ = await asyncio.wait([running], timeout=patience)
        if not done or not running.result():
            log().error(
                "not torn down in time, and left if the worker closes first: %s", text_of(key)
            )
            late.append(running)
            patience = max(patience / 2, LEAST)
    if late:
        await asyncio.wait(late, timeout=max(LEAST, end - time.monotonic()))
    for running in late:
        running.cancel()


async def _do(job: Callable[[], Any]) -> bool:
    """Do a job in a thread of its own, which nobody waits for at the end of the process.

    Return whether it has ended, in whatever way.
    """
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="warmcache-teardown", daemon=True).start()
    try:
        torn_down = await asyncio.wrap_future(future)
        if inspect.isawaitable(torn_down):
            await torn_down
    except Overdue:  # another thread was faster, and is at it still
        return False
    except asyncio.CancelledError:
        raise
    except BaseException:  # a SystemExit, too, would end the loop
        log().exception("closing failed")
    return True
