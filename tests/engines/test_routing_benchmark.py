"""The benchmark of routing on Dask, in the smallest size: one worker that keeps one model."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import ROOT, empty_page, written

pytestmark = pytest.mark.engines


@pytest.fixture
def routing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT)  # workers have the path, too
    routing = importlib.import_module("benchmarks.routing")
    scenarios = [routing.Scenario(1, 1, how) for how in ("burst", "window")]
    monkeypatch.setattr(routing, "SCENARIOS", scenarios)
    level = logging.getLogger("distributed").level
    yield routing
    logging.getLogger("distributed").setLevel(level)


def test_the_command_measures_both_in_each_scenario(
    routing: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty_page(tmp_path, "routing-dask")
    routing.main(["--small", "--out", str(tmp_path)])
    text = written(tmp_path, "routing-dask", capsys.readouterr().out)
    assert "1 runs each with 12 tasks" in text
    rows = re.findall(r"^\| 1 workers that keep 1, (\w+) \| (\d+) .*? \| (\d+) ", text, re.M)
    wanted = len({*routing.drawn(0, 12)})
    for how, (_, dask, ours) in zip(("burst", "window"), rows, strict=True):
        assert wanted <= int(ours) <= 12, how
        assert wanted < int(dask) <= 12, how
    assert wanted == int(rows[0][2]), "a burst is grouped by model, by warmcache alone"


@pytest.mark.parametrize("how", ["burst", "window"])
def test_a_contender_that_drops_a_task_is_noticed(
    routing: ModuleType, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run = getattr(routing, f"_{how}")

    def dropping(*arguments: Any) -> Any:
        return run(*arguments)[1:]

    monkeypatch.setattr(routing, f"_{how}", dropping)
    with pytest.raises(AssertionError):
        routing.run(routing.Scenario(1, 2, how), "warmcache", [0, 1])
