"""The simulation of routing is honest, and shows what its page says, in a small size."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import ROOT, small_run

import warmcache

NAMES = ("least loaded", "first free", "two choices", "hashing", "bounded hashing",
         "Router", "Backlog")  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.routing_world")


@pytest.fixture
def contenders(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(ROOT)
    return dict(importlib.import_module("benchmarks.routing_contenders").CONTENDERS)


@pytest.fixture
def failing(world: ModuleType) -> Any:
    """A scenario in which ten workers fail thirty times."""
    return world.Scenario(
        workers=10, models=50, requests=2000, slots=2, failures=30, away=2.0, keeps=12
    )


@pytest.mark.oracle
def test_a_simulated_cache_throws_out_what_an_lru_cache_does(world: ModuleType) -> None:
    draw, theirs = random.Random(0), []
    real: Any = warmcache.LRUCache(
        maxsize=10, getsizeof=lambda weight: weight, on_removal=lambda gone: theirs.append(gone.key)
    )
    cache, ours = world.Cache(10), []
    weights = [draw.randint(1, 4) for _ in range(20)]
    for _ in range(2000):
        key = draw.randrange(20)
        if not cache.use(key):
            ours += cache.load(key, weights[key])
        cache.users[key] -= 1
        if real.get(key) is None:
            real[key] = weights[key]
    real.close()
    assert len(ours) > 500
    assert ours == theirs[: len(ours)]


def test_a_simulated_cache_never_throws_out_what_is_in_use(world: ModuleType) -> None:
    cache = world.Cache(2)
    cache.load("used", 1)
    cache.load("idle", 1)
    cache.users["idle"] -= 1
    assert ["idle"] == cache.load("new", 1)
    assert [] == cache.load("newer", 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_request_is_served_though_workers_fail(
    world: ModuleType, failing: Any, contenders: dict[str, Any], name: str
) -> None:
    run = world.World(failing, contenders[name]())
    run.run()
    assert all(end > come for end, come in zip(run.finished, run.arrivals, strict=True))
    assert 15 < sum(worker.life for worker in run.workers), "too few have failed"


@pytest.mark.parametrize("name", ["Router", "Backlog"])
def test_the_books_balance_after_workers_failed(
    world: ModuleType, failing: Any, contenders: dict[str, Any], name: str
) -> None:
    contender = contenders[name]()
    world.World(failing, contender).run()
    fleet = getattr(contender, f"_{name.lower()}")
    for worker in fleet._workers.values():
        assert (0, 0, 0, 0) == (
            len(worker.placed), len(worker.booked), worker.loading, worker.work
        )  # fmt: skip
    assert all(model.homes for model in fleet._models.values())
    if name == "Backlog":
        assert (0, {}) == (len(fleet), fleet._waiting)
        assert len(fleet._workers) == len(fleet._idle) + len(fleet._free)


def test_the_same_seed_gives_the_same(world: ModuleType, contenders: dict[str, Any]) -> None:
    scenario = world.Scenario(workers=5, models=20, requests=500, failures=3)
    one, other = (world.simulate(scenario, contenders["Backlog"]) for _ in range(2))
    assert (one.loads, one.makespan, one.p99) == (other.loads, other.makespan, other.p99)


@pytest.mark.parametrize("zipf", [0.6, 0.9, 1.4])
def test_ours_load_a_fraction_and_are_done_before_the_others(
    world: ModuleType, contenders: dict[str, Any], zipf: float
) -> None:
    scenario = world.Scenario(workers=30, models=300, requests=10_000, failures=3, zipf=zipf)
    found = {name: world.simulate(scenario, make) for name, make in contenders.items()}
    base = found["least loaded"]
    for name in ("Router", "Backlog"):
        assert found[name].loads <= 0.25 * base.loads
        assert found[name].makespan <= 0.6 * base.makespan
        others = [found[other] for other in NAMES[:5]]
        assert found[name].p99 < min(other.p99 for other in others)
        assert found[name].makespan < min(other.makespan for other in others)
    assert found["Backlog"].p99 < found["Router"].p99


@pytest.mark.parametrize("busy", [0.0, 0.7])
def test_three_workers_of_two_models_load_a_fraction_for_six(
    world: ModuleType, contenders: dict[str, Any], busy: float
) -> None:
    scenario = world.Scenario(
        workers=3, keeps=2, models=6, alike=True, requests=120, zipf=1.1, use=0.05, load=0.15,
        busy=busy, seeds=10,
    )  # fmt: skip
    base = world.simulate(scenario, contenders["least loaded"])
    ours = world.simulate(scenario, contenders["Backlog"])
    assert ours.loads <= 0.25 * base.loads
    assert ours.makespan <= 0.6 * base.makespan


def test_the_command_runs_in_a_small_size_and_writes_where_it_is_told(tmp_path: Path) -> None:
    text = small_run("routing_simulated", tmp_path, "--small", page="routing")
    assert all(f"| {name} |" in text.replace("**", "") for name in NAMES)
