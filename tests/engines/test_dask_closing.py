"""What a Dask worker does as it ends, without a worker: the last loaded goes first."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed.core import Status

import warmcache
from warmcache import ClosedError, warm
from warmcache._engines import dask_worker as _dask_worker
from warmcache._engines.dask_worker import WarmWorker, _in_turn
from warmcache._loaders.disabled import unfinished
from warmcache._process.at_exit import Overdue

pytestmark = pytest.mark.engines
CAP = 20.0  # seconds, after which something hangs


class Worker:
    """What the plugin needs of one, in a process where this test's caches are all there is."""

    address, status, nanny = "inproc://here", Status.closing, "inproc://nanny"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.metrics: dict[str, Any] = {}
        self.plugin = WarmWorker()
        self.plugin.setup(self)
        self.closing: list[Any] = []
        monkeypatch.setattr(_dask_worker, "closing", lambda: self.closing)

    def log_event(self, topic: str, message: Any) -> None:
        pass

    def close(self) -> None:
        asyncio.run(asyncio.wait_for(self.plugin.teardown(self), CAP))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(_dask_worker, "PATIENCE", CAP)
    return Worker(monkeypatch)


def test_what_is_idle_goes_last_loaded_first_over_all_caches(worker: Worker) -> None:
    torn_down: list[str] = []
    one, other = (warm(teardown=torn_down.append)(lambda name: name) for _ in range(2))
    worker.closing += one.cache, other.cache
    one("a"), other("b"), one("c"), other("d")
    with one.lease("c"):
        worker.close()
        assert ["d", "b", "a"] == torn_down
    assert ["d", "b", "a", "c"] == torn_down


def test_a_task_cannot_lease_what_awaits_its_turn(worker: Worker) -> None:
    torn_down: list[str] = []

    def tear_down(name: str) -> None:
        if name == "b":
            with pytest.raises(ClosedError), load.lease("a"):
                torn_down.append("under a lease")
        torn_down.append(name)

    load: Any = warm(policy="lru", maxsize=2, teardown=tear_down)(lambda name: name)
    worker.closing += [load.cache]
    load("a"), load("b")
    worker.close()
    assert ["b", "a"] == torn_down


def test_recordings_stop_and_what_nobody_owns_goes_too(worker: Worker, tmp_path: Path) -> None:
    torn_down: list[str] = []

    @warm
    def load(name: str) -> Iterator[str]:
        yield name
        torn_down.append(name)

    with warmcache.disabled():
        load("a")
    worker.closing += unfinished, load.cache, load.cache.record(tmp_path / "uses.csv")
    load("b")
    worker.close()
    assert ["b", "a"] == torn_down
    assert "stopped" in repr(worker.closing[-1])
    assert "'b'" in (tmp_path / "uses.csv").read_text()


class Asked:
    """Something warm; when asked how to tear it down, another task has loaded something."""

    def __init__(self, name: str, worker: Worker, torn_down: list[str]) -> None:
        self.name, self._worker, self._torn_down = name, worker, torn_down

    def is_warm(self) -> bool:
        return True

    @property
    def evict(self) -> Callable[[], object]:
        another: Any = Asked(f"with {self.name}", self._worker, self._torn_down)
        task = threading.Thread(target=self._worker.plugin.note, args=("key", another, None))
        task.start()
        task.join(CAP)
        return lambda: self._torn_down.append(self.name)


def test_without_a_nanny_tasks_may_load_as_their_worker_ends(worker: Worker) -> None:
    torn_down: list[str] = []
    worker.nanny = None  # type: ignore[assignment]
    for name in "ab":
        asked: Any = Asked(name, worker, torn_down)
        worker.plugin.note("key", asked, None)
    worker.close()
    assert ["b", "a"] == torn_down


# -- one after the other -----------------------------------------------------------------


def in_turn(*jobs: tuple[str, Callable[[], Any]]) -> None:
    asyncio.run(asyncio.wait_for(_in_turn(jobs), CAP))


def late(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says was not torn down in time; it says nothing else."""
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert all("not torn down in time" in line.getMessage() for line in lines)
    return [str(line.args[0]) for line in lines if isinstance(line.args, tuple)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first teardown be late at once, and the others never."""
    monkeypatch.setattr(_dask_worker, "PATIENCE", 0.05)
    monkeypatch.setattr(_dask_worker, "LEAST", CAP)
    monkeypatch.setattr(_dask_worker, "TOTAL", CAP)


@pytest.mark.usefixtures("impatient")
def test_what_hangs_is_named_before_the_others_go_and_waited_for_in_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = threading.Event()
    named: list[str] = []
    done: list[str] = []

    def hangs() -> None:
        assert go.wait(CAP)
        done.append("hangs")

    def following() -> None:
        named.extend(late(caplog))
        done.append("next")
        go.set()

    in_turn(("hangs", hangs), ("next", following))
    assert ["'hangs'"] == named
    assert ["next", "hangs"] == done


def test_however_many_hang_others_have_their_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    wait = asyncio.wait

    async def at_once(jobs: Any, timeout: float) -> Any:  # noqa: ASYNC109
        waits.append(timeout)
        return await wait(jobs, timeout=0)

    monkeypatch.setattr(asyncio, "wait", at_once)
    go = threading.Event()
    in_turn(*((f"hangs {number}", lambda: go.wait(CAP)) for number in range(9)))
    go.set()
    assert [1.5, 0.75, 0.375, 0.1875, *[0.1] * 5] == waits[:9]
    assert 9 == len(late(caplog))


def test_what_another_thread_fails_to_tear_down_is_late_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def overdue() -> None:
        raise Overdue("another thread is still tearing it down")

    monkeypatch.setattr(_dask_worker, "PATIENCE", CAP)
    in_turn(("hangs", overdue))
    assert ["'hangs'"] == late(caplog)


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_what_fails_is_in_the_log_and_stops_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error("a defect")

    monkeypatch.setattr(_dask_worker, "PATIENCE", CAP)
    done: list[str] = []
    in_turn(("fails", fail), ("next", lambda: done.append("next")))
    assert ["next"] == done
    assert ["closing failed"] == [record.getMessage() for record in caplog.records]
