"""Warm on a real Dask cluster: worker processes under their nannies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import dask_models as models
import pytest
from bodies import Gate
from dask_models import CAP, load, load_single
from distributed import Client, Event, LocalCluster, Nanny, Worker, wait

import warmcache.dask as wd

pytestmark = pytest.mark.engines


class Patient(Nanny):
    """One that sends no SIGKILL after four seconds, which a slow machine may well take."""

    async def close(self, timeout: float = 3 * CAP, reason: str = "") -> Any:  # noqa: ASYNC109
        return await super().close(timeout=timeout, reason=reason)


def cluster(**options: Any) -> LocalCluster:
    default = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    return LocalCluster(**{**default, "worker_class": Patient, **options})


@pytest.fixture
def client() -> Iterator[Client]:
    # A new one each, for Dask 2026.8 may fail to bring workers back in `client.restart()`.
    with cluster() as two_workers, Client(two_workers) as client:
        wd.install(client)
        yield client


def until(claim: Callable[[], object]) -> None:
    end = time.monotonic() + CAP
    while not claim():
        assert time.monotonic() < end, "it never came true"


def at(client: Client, name: str, **options: Any) -> str:
    """Return where a task ran that wanted ``name``."""
    future = wd.submit(client, models.where, name, warm=partial(load, name), pure=False, **options)
    return str(future.result(CAP))


def test_a_task_goes_where_its_model_is_warm(client: Client) -> None:
    homes = {name: at(client, name) for name in "ab"}
    assert 2 == len({*homes.values()})
    assert [homes[name] for name in "abbaabba"] == [at(client, name) for name in "abbaabba"]
    assert [["a"], ["b"]] == sorted(client.run(models.loaded).values())


def test_a_burst_is_grouped_by_key_where_slots_are_fewer_than_models() -> None:
    with cluster(n_workers=1) as alone, Client(alone) as client:
        wd.install(client)
        names = [*"abcd"] * 6
        futures = wd.map(
            client, models.single, names, range(24), warm=[partial(load_single, n) for n in names]
        )
        assert names == client.gather(futures)
        assert [4] == [len(loads) for loads in client.run(models.loaded).values()]


def test_a_worker_runs_what_it_was_handed_in_the_order_in_which_it_was_placed() -> None:
    begun, go = uuid4().hex, uuid4().hex
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 3.0}),  # two wait at a worker
        cluster(n_workers=1) as alone,
        Client(alone) as client,
    ):
        wd.install(client)
        a, b = partial(load_single, "a"), partial(load_single, "b")
        first = wd.submit(client, models.wait_holding, "a", begun, go, warm=a)
        assert Event(begun, client=client).wait(CAP)
        rest = wd.map(client, models.single, [*"ba"], warm=[b, a])
        until(lambda: [3] == [len(tasks) for tasks in client.processing().values()])
        Event(go, client=client).set()
        assert [True, "b", "a"] == client.gather([first, *rest])
        assert [["a", "b"]] == [*client.run(models.loaded).values()]


def test_a_hot_model_is_loaded_again_where_many_wait_for_it(client: Client) -> None:
    one, other = uuid4().hex, uuid4().hex
    first = wd.submit(client, models.meet, "a", one, other, warm=partial(load, "a"))
    assert Event(one, client=client).wait(CAP)
    rest = wd.map(client, models.meet, ["a"] * 12, [other] * 12, [one] * 12,
                  warm=partial(load, "a"), pure=False)  # fmt: skip
    addresses = {first.result(CAP), *client.gather(rest)}
    assert 2 == len(addresses)


def test_an_eviction_that_a_worker_reports_changes_where_tasks_go(client: Client) -> None:
    home = at(client, "a")
    [other] = client.scheduler_info()["workers"].keys() - {home}
    at(client, "b", workers=[home])
    assert home == at(client, "a")
    assert 1 == client.submit(models.evict, "a", workers=[home], pure=False).result(CAP)
    assert other == at(client, "a")


def test_tasks_of_a_worker_that_is_killed_run_elsewhere(client: Client) -> None:
    begun, go = uuid4().hex, uuid4().hex
    hit = wd.submit(client, models.begin_and_wait, "a", begun, go, warm=partial(load, "a"))
    assert Event(begun, client=client).wait(CAP)
    [victim] = [address for address, tasks in client.processing().items() if tasks]
    pid = client.run(os.getpid, workers=[victim])[victim]
    names = [*"aabbcc"]
    rest = wd.map(client, models.where, names, range(6), warm=models.marks(names))
    os.kill(pid, signal.SIGKILL)
    Event(go, client=client).set()
    address, other_pid = hit.result(CAP)
    assert (pid, victim) != (other_pid, address) and pid != other_pid
    assert 6 == len([future.result(CAP) for future in rest])


def test_a_model_is_not_torn_down_under_a_task_that_wants_it() -> None:
    begun, go = "begun", "go"
    with cluster(n_workers=1, threads_per_worker=2) as alone, Client(alone) as client:
        wd.install(client)
        one = wd.submit(client, models.wait_holding, "a", begun, go, warm=partial(load_single, "a"))
        assert Event(begun, client=client).wait(CAP)
        other = wd.submit(client, models.single, "b", warm=partial(load_single, "b"))
        until(lambda: [1] == [*client.run(models.waits).values()])
        Event(go, client=client).set()
        assert one.result(CAP)
        assert "b" == other.result(CAP)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return the names of what was torn down, and in which thread."""
    path = tmp_path / "journal"
    monkeypatch.setenv("WARM_JOURNAL", str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


def torn_down(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def _close(client: Client) -> None:
    client.cluster.close()


def _scale_down(client: Client) -> None:
    client.cluster.scale(0)


def _retire(client: Client) -> None:
    until(lambda: not client.who_has())  # Dask retires no worker that alone has a result
    client.retire_workers([*client.scheduler_info()["workers"]])


def _restart(client: Client) -> None:
    client.restart(wait_for_workers=False)


@pytest.mark.parametrize("end", [_close, _scale_down, _retire, _restart])
def test_what_is_warm_is_torn_down_as_workers_end(
    end: Callable[[Client], None], journal: Callable[[], list[str]]
) -> None:
    with cluster() as both, Client(both) as client:
        wd.install(client)
        assert 2 == len({at(client, "a"), at(client, "b")})
        client.submit(load, "c", pure=False).result(CAP)  # which no plugin knows of
        end(client)
        until(lambda: 3 <= len(journal()))
    assert ["a", "b", "c"] == sorted(torn_down(journal()))
    # Not by the end of the process, of which a slow one may see little.
    assert not any("MainThread" in line for line in journal())


@pytest.mark.parametrize("nanny", [Patient, Worker], ids=["nanny", "no nanny"])
def test_the_last_loaded_goes_first_and_what_hangs_does_not_keep_the_others(
    nanny: Any, journal: Callable[[], list[str]], tmp_path: Path
) -> None:
    hanging = partial(load_single, f"hangs {tmp_path}")
    gate = Gate(tmp_path)
    with cluster(n_workers=1, worker_class=nanny) as alone, Client(alone) as client:
        wd.install(client)
        at(client, "a")
        wd.submit(client, models.single, *hanging.args, warm=hanging).result(CAP)
        at(client, "b")
        closing = threading.Thread(target=alone.close)
        closing.start()
        gate.entered()
        until(lambda: ["b", "hangs", "a"] == torn_down(journal()))
        gate.open()
        closing.join(CAP)
        assert not closing.is_alive()
    gate.close()


def test_what_a_task_leases_as_its_worker_ends_goes_with_the_lease(
    journal: Callable[[], list[str]], tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    with cluster(n_workers=1) as alone, Client(alone) as client:
        wd.install(client)
        at(client, "idle")
        wanted = partial(load_single, "leased")
        held = wd.submit(client, models.hold, "leased", str(tmp_path), warm=wanted)
        gate.entered()
        closing = threading.Thread(target=alone.close)
        closing.start()
        until(journal)
        assert ["idle"] == torn_down(journal())
        gate.open()
        closing.join(CAP)
        assert not closing.is_alive()
        assert "finished" != held.status, "its worker has gone before"
    assert ["idle", "leased"] == torn_down(journal())
    gate.close()


def test_a_sigterm_tears_down_what_a_worker_has_warm_if_it_was_told_to(
    journal: Callable[[], list[str]],
) -> None:
    with cluster() as both, Client(both) as client:
        wd.install(client)
        told, other = at(client, "a"), at(client, "b")
        client.run(models.mind_sigterm, workers=[told])
        scheduler: Any = both.scheduler
        for nanny in both.workers.values():
            nanny.close_gracefully()  # it brings no worker back
        for worker in [*scheduler.workers.values()]:
            os.kill(worker.pid, signal.SIGTERM)
        until(lambda: {told, other}.isdisjoint(scheduler.workers))
        assert ["a"] == torn_down(journal())


def test_a_scheduler_loads_nothing(client: Client) -> None:
    before = len(models.loads)
    at(client, "a"), at(client, "b")
    wait(wd.map(client, models.where, [*"abc"], warm=models.marks([*"abc"])), timeout=CAP)
    assert before == len(models.loads)  # whose scheduler is in this process


def _its_plugin(dask_worker: Any) -> int:
    return id(dask_worker.plugins["warmcache"])


def test_installing_twice_is_installing_once(client: Client) -> None:
    scheduler: Any = client.cluster.scheduler
    plugin, workers = scheduler.plugins["warmcache"], client.run(_its_plugin)
    home = at(client, "a")
    wd.install(client)
    assert workers == client.run(_its_plugin)
    assert plugin is scheduler.plugins["warmcache"]
    assert home == at(client, "a")
    assert [[], ["a"]] == sorted(client.run(models.loaded).values())


@pytest.mark.parametrize("how", ["map", "submit"])
def test_who_forgets_to_install_is_routed_all_the_same(how: str) -> None:
    names = [*"ab"] * 4
    with cluster() as two_workers, Client(two_workers) as client:
        if how == "map":
            wait(wd.map(client, models.where, names, warm=models.marks(names), pure=False), CAP)
        else:
            for name in names:
                at(client, name)
        loaded = client.run(models.loaded).values()
        assert [["a"], ["b"]] == sorted(sorted(each) for each in loaded)
        assert "warmcache" in two_workers.scheduler.plugins


def test_a_second_client_of_the_cluster_changes_nothing(client: Client) -> None:
    scheduler: Any = client.cluster.scheduler
    home, plugin = at(client, "a"), scheduler.plugins["warmcache"]
    with Client(client.cluster.scheduler_address) as other:
        assert home == at(other, "a")
    assert plugin is scheduler.plugins["warmcache"]


def test_who_takes_the_routing_away_is_not_given_it_back(client: Client) -> None:
    at(client, "a")
    client.unregister_scheduler_plugin("warmcache")
    at(client, "a")
    scheduler: Any = client.cluster.scheduler
    assert "warmcache" not in scheduler.plugins


def test_what_cannot_be_installed_is_said_once_and_tasks_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ModuleNotFoundError("No module named 'warmcache'")

    with cluster() as two_workers, Client(two_workers) as client:
        monkeypatch.setattr(Client, "register_plugin", fail)
        with pytest.warns(
            UserWarning, match="Dask alone .*No module named 'warmcache'.*pip"
        ) as said:
            at(client, "a")
        assert [__file__] == [each.filename for each in said]
        at(client, "a")  # without a warning


def test_what_is_warm_is_a_metric_of_workers(client: Client) -> None:
    home = at(client, "a")

    def metrics() -> dict[str, Any]:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        return {address: worker["metrics"].get("warmcache") for address, worker in workers.items()}

    until(lambda: (metrics().get(home) or {}).get("warm"))
    assert ["dask_models.load('a')"] == [*metrics()[home]["warm"]]
