"""The benchmark of results on disk, in its smallest size. No time is judged here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import page_in_docs, small_run


@pytest.fixture
def disk(module: Callable[[str], Any]) -> ModuleType:
    found: ModuleType = module("disk")
    return found


def test_a_quick_run_measures_everything_and_writes_between_the_markers(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    text = small_run("disk", tmp_path, "--quick", "--folder", str(work))
    assert "| 1 at most, of 1 keys | reached |" in text
    assert [] == [*work.iterdir()]  # nothing of it is left


def test_the_page_has_its_markers_and_the_figures_of_all_rows(
    disk: ModuleType, module: Callable[[str], Any]
) -> None:
    text = page_in_docs("disk")
    for what in module("disk_rows").kinds(disk.WHOLE):
        for title in what.ways.values():
            assert f"| {what.title}: {title} |" in text


def test_the_contenders_that_are_there_give_back_what_they_were_given(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    import numpy as np

    with module("disk_rows").contenders(tmp_path) as opened:
        assert "warmcache" in {kept.name for kept in opened}
        for kept in opened:
            kept.write_bytes("bytes", b"value")
            kept.write("array", np.arange(10_000))
            assert b"value" == kept.read_bytes("bytes")
            assert np.array_equal(np.arange(10_000), kept.read("array"))
    assert [] == [*tmp_path.iterdir()]


def _found(module: Callable[[str], Any], ours: float, **other: Any) -> Any:
    """Return figures in which we take ``ours`` times what each peer takes."""
    timing, rows, disk = (module(name) for name in ("timing", "disk_rows", "disk"))
    lines = {}
    for what in rows.kinds(rows.Size.quick()):
        for way, title in what.ways.items():
            samples = {name: [1.0, 1.0] for name in ("diskcache", "joblib", "permacache")}
            samples["warmcache"] = [ours, ours]
            line = timing.Line.beside(f"{what.id} {way}", title, "diskcache", samples)
            lines[line.id] = line
    hit = timing.Line.beside(
        "hit", "a hit", "without", {"warmcache": [1.0, 1.0], "without": [1.0, 1.0]}
    )
    known = dict(lines=lines, hit=hit, cold=rows.Cold([1, 1], [1.1, 1.2]), checked=1.0)
    return disk.Found(**{**known, "file_system": "tmpfs", **other})


@pytest.mark.parametrize(("ours", "missed"), [(0.3, 0), (0.9, 1), (1.2, 3), (1.5, 4), (4.0, 7)])
def test_each_time_is_judged_beside_the_peer_that_its_target_names(
    ours: float, missed: int, disk: ModuleType, module: Callable[[str], Any]
) -> None:
    verdicts = disk.judge(_found(module, ours), module("disk_rows").Size.quick())
    assert missed == sum(verdict.word == "missed" for verdict in verdicts)
    assert 11 == len(verdicts)


def test_loads_waits_and_the_check_are_judged(
    disk: ModuleType, module: Callable[[str], Any]
) -> None:
    cold = module("disk_rows").Cold
    for other, missed in (
        ({"cold": cold([1, 2], [1.0, 1.0])}, "a cold key in 8 processes: 1 load"),
        ({"cold": cold([1, 1], [1.2, 1.3])}, "all of them have it after at most 1.15 x its load"),
        ({"checked": 2.1}, "warmcache disk check of 300 entries: at most 2 s"),
    ):
        verdicts = disk.judge(_found(module, 0.1, **other), module("disk_rows").Size.quick())
        assert [missed] == [each.target for each in verdicts if each.word == "missed"]


def test_what_a_peer_that_is_not_there_takes_is_not_judged(
    disk: ModuleType, module: Callable[[str], Any]
) -> None:
    found = _found(module, 0.1)
    for line in found.lines.values():
        line.samples.pop("permacache")
    verdicts = disk.judge(found, module("disk_rows").Size.quick())
    unjudged = [each.target for each in verdicts if each.word == "not measured"]
    assert 2 == len(unjudged) and all("x permacache" in target for target in unjudged)
