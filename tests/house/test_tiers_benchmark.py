"""The benchmark of parking on the host, in its smallest size. No time is judged here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import page_in_docs, small_run


@pytest.fixture
def tiers(module: Callable[[str], Any]) -> ModuleType:
    found: ModuleType = module("tiers")
    return found


@pytest.fixture
def soak(module: Callable[[str], Any]) -> ModuleType:
    found: ModuleType = module("tiers_soak")
    return found


@pytest.mark.models
def test_a_quick_run_measures_everything_and_writes_between_the_markers(
    tmp_path: Path, tiers: ModuleType
) -> None:
    text = small_run("tiers", tmp_path, "--quick")
    for title in tiers.TITLES.values():
        assert f"| {title} |" in text
    assert 6 == sum(text.count(f"| {word} |") for word in ("reached", "missed", "not measured"))


def test_the_page_has_its_markers_and_the_figures_of_all_rows(tiers: ModuleType) -> None:
    text = page_in_docs("tiers")
    for title in tiers.TITLES.values():
        assert f"| {title} |" in text
    for name in ("torch", "transformers", "load average"):
        assert name in text


def test_the_same_seed_draws_the_same_work_and_another_one_other_work(soak: ModuleType) -> None:
    one, again, other = (soak.drawn(seed, 50) for seed in (0, 0, 1))
    assert one == again != other
    assert (20, 50) == (len(one.models), len(one.requests))


def test_every_model_fits_the_device_and_all_of_them_do_not(soak: ModuleType) -> None:
    for seed in range(5):
        units = [units for units, _ in soak.drawn(seed, 1).models]
        assert max(units) <= soak.DEVICE * sum(units)


def test_with_all_models_on_the_host_each_is_loaded_once_and_then_comes_back(
    soak: ModuleType,
) -> None:
    work = soak.drawn(0, 300)
    asked_for = {*work.requests}
    without, parked = (soak.served(work, host) for host in (0.0, 1.0))
    assert (0, 0) == (without.unparks, without.unpark_seconds)
    assert len(asked_for) == parked.loads < without.loads
    assert sum(work.models[model][1] for model in asked_for) == pytest.approx(parked.load_seconds)
    assert parked.unparks > 0


def test_what_has_no_room_on_the_host_is_loaded_anew(soak: ModuleType) -> None:
    work = soak.drawn(0, 300)
    without, some, everything = (soak.served(work, host).loads for host in (0.0, 0.25, 1.0))
    assert everything < some < without


def _found(module: Callable[[str], Any], **other: Any) -> Any:
    """Return figures that reach every target, just so, but for what is said."""
    tiers, paid = module("tiers"), module("tiers_soak").Paid
    seconds = {name: [1.0, 1.0] for name in tiers.TITLES}
    seconds |= {"home": [0.8, 0.8], "reload": [5.0, 5.0]}
    seconds |= {"rebinding": [0.001, 0.001], "park many": [0.3, 0.3]}
    loads = {0.0: 100, 1.0: 25}
    return tiers.Found(
        seconds={**seconds, **other.get("seconds", {})},
        grown=other.get("grown", 1000),
        slab=1000,
        place="cpu",
        paid={
            host: [paid(count, 1.0, 0, 0.0)]
            for host, count in (loads | other.get("loads", {})).items()
        },
    )


def test_what_just_reaches_its_target_is_said_to(
    tiers: ModuleType, module: Callable[[str], Any]
) -> None:
    verdicts = tiers.judge(_found(module), tiers.Size())
    assert ["reached"] * 6 == [verdict.word for verdict in verdicts]


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (0, {"seconds": {"home": [0.79, 0.79]}}),
        (1, {"seconds": {"reload": [4.9, 4.9]}}),
        (2, {"seconds": {"rebinding": [0.0011, 0.0011]}}),
        (3, {"seconds": {"park many": [0.31, 0.31]}}),
        (4, {"loads": {1.0: 26}}),
        (5, {"grown": 2000}),
    ],
    ids=["copy rate", "reload", "rebinding", "many", "loads", "memory"],
)
def test_each_target_is_missed_by_what_it_is_about(
    number: int, other: dict[str, Any], tiers: ModuleType, module: Callable[[str], Any]
) -> None:
    verdicts = tiers.judge(_found(module, **other), tiers.Size())
    assert [number] == [at for at, each in enumerate(verdicts) if each.word == "missed"]


def test_where_memory_cannot_be_read_that_is_not_judged(
    tiers: ModuleType, module: Callable[[str], Any]
) -> None:
    *_, memory = tiers.judge(_found(module, grown=None), tiers.Size())
    assert "not measured" == memory.word
