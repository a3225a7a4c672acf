"""The benchmarks run, in turns, and write only where they may. No time is judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import MARKERS, ROOT, page_in_docs

import warmcache


@pytest.fixture
def timing(module: Callable[[str], Any]) -> Any:
    return module("timing")


@pytest.fixture
def contenders(module: Callable[[str], Any]) -> Any:
    return module("contenders")


@pytest.fixture
def report(module: Callable[[str], Any]) -> Any:
    return module("report")


@pytest.fixture
def targets(module: Callable[[str], Any]) -> Any:
    return module("targets")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )


# -- the command --------------------------------------------------------------------


def test_a_quick_run_of_one_row_prints_its_ratios_and_writes_nothing(
    contenders: ModuleType,
) -> None:
    written = [ROOT / "docs" / name for name in ("benchmarks.md", "benchmarks.png")]
    before = [path.stat().st_mtime_ns for path in written]
    done = run("--quick", "--only", "hit-1")
    assert (0, "") == (done.returncode, done.stderr)
    ratios, times = (
        dict(zip(re.split(r"  +", head), re.split(r"  +", row), strict=True))
        for head, row in re.findall(r"^(row .*)\n(hit, one argument .*)$", done.stdout, re.M)
    )
    assert "1.00" == ratios["functools"]
    measured = {name for name in contenders.NAMES if ratios.get(name, "-") != "-"}
    assert measured == {c.name for c in contenders.installed() if c.cached(len)}
    assert all(float(ratios[name]) > 0 for name in measured)
    assert re.fullmatch(r"[\d.]+ (ns|µs|ms)", times["warmcache"])
    assert "hit, three arguments" not in done.stdout
    assert before == [path.stat().st_mtime_ns for path in written]


def test_an_unknown_row_is_one_clear_line_and_exit_code_2() -> None:
    done = run("--only", "hit-9")
    assert (2, "") == (done.returncode, done.stdout)
    assert "hit-9" in done.stderr.splitlines()[-1]
    assert "hit-1" in done.stderr.splitlines()[-1]


# -- interleaving -------------------------------------------------------------------


def test_every_contender_is_measured_once_in_each_round(timing: ModuleType) -> None:
    calls: list[str] = []

    def measure(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    names = ["a", "b", "c", "d"]
    samples = timing.interleave({n: lambda n=n: measure(n) for n in names}, 20)
    rounds = [tuple(calls[start : start + 4]) for start in range(0, len(calls), 4)]
    assert dict.fromkeys(names, 21) == Counter(calls)
    assert {tuple(names)} == {tuple(sorted(round_)) for round_ in rounds}
    assert 1 < len(set(rounds)), "always in the same order"
    assert dict.fromkeys(names, 20) == {name: len(taken) for name, taken in samples.items()}


def test_the_first_round_warms_up_and_is_not_recorded(timing: ModuleType) -> None:
    taken = iter(range(4))
    assert {"a": [1, 2, 3]} == timing.interleave({"a": lambda: next(taken)}, 3)


def test_ratios_are_taken_within_the_rounds(timing: ModuleType) -> None:
    # The machine slowed down tenfold in the last two of three rounds; nothing else changed.
    line = timing.Line.beside("x", "x", "a", {"a": [1.0, 10.0, 10.0], "b": [2.0, 20.0, 20.0]})
    assert 2.0 == line.ratio("b")
    assert (2.0, 2.0) == line.spread("b")
    assert 0.5 == line.times_slower("a", than="b")


def test_a_timed_loop_runs_its_code_as_often_as_it_says(timing: ModuleType) -> None:
    calls: list[int] = []
    timed = timing.looped("f(1)", {"f": calls.append})
    assert timed(16) > 0
    assert 16 == len(calls)


def test_the_first_load_does_not_count_in_how_often_a_loop_is_run(timing: ModuleType) -> None:
    times = iter([1.0])

    def timed(n: int) -> float:
        return next(times, 2.0**-20)

    assert 2048 == timing.enough(timed, 2.0**-9)


def test_all_keys_get_one_value_before_the_next_turn(timing: ModuleType) -> None:
    stored: list[tuple[int, str]] = []
    timing.over_keys("f((k, v))", {"f": stored.append})([1, 2], ["x", "y"])
    assert [(1, "x"), (2, "x"), (1, "y"), (2, "y")] == stored


# -- judging ------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "reached"), [(1.5, True), (1.7, False)])
def test_a_target_is_judged_by_the_figures(
    timing: ModuleType, targets: ModuleType, ours: float, reached: bool
) -> None:
    samples = {"functools": [1.0, 1.0], "warmcache": [ours, ours]}
    line = timing.Line.beside("hit-1", "hit, one argument", "functools", samples)
    verdicts = {verdict.target: verdict for verdict in targets.judge({"hit-1": line})}
    verdict = verdicts["hit, one argument: at most 1.6 x functools.lru_cache"]
    assert (reached, f"{ours:.2f}") == (verdict.reached, verdict.found[:4])


@pytest.mark.parametrize(("ours", "reached"), [(4.5, True), (4.7, False)])
def test_what_costs_more_by_nature_is_judged_beside_its_peer(
    timing: ModuleType, targets: ModuleType, ours: float, reached: bool
) -> None:
    samples = {"functools": [0.1] * 2, "cachetools +Condition": [2.0] * 2, "warmcache": [ours] * 2}
    line = timing.Line.beside("miss", "a miss", "functools", samples)
    [verdict] = [v for v in targets.judge({"miss": line}) if v.target.startswith("miss with")]
    assert (reached, f"{ours / 2:.2f}") == (verdict.reached, verdict.found)


@pytest.mark.parametrize(("peer", "reached"), [(4.1, True), (3.9, False)])
def test_the_next_peer_is_the_fastest_thread_safe_one(
    timing: ModuleType, targets: ModuleType, peer: float, reached: bool
) -> None:
    times = {"functools": 0.5, "cachetools": 1.5, "cachebox": 9.0, "moka-py": peer, "warmcache": 1}
    samples = {name: [float(time)] * 2 for name, time in times.items()}
    line = timing.Line.beside("hit-1", "hit, one argument", "functools", samples)
    [verdict] = [
        v for v in targets.judge({"hit-1": line}) if "hit, one argument: at least" in v.target
    ]
    assert reached is verdict.reached
    assert "moka-py" in verdict.found


@pytest.mark.parametrize(("ours", "reached"), [(2.0, True), (2.1, False)])
def test_a_hit_while_recording_is_judged_by_its_own_without(
    timing: ModuleType, targets: ModuleType, ours: float, reached: bool
) -> None:
    samples, reference = {"warmcache": [ours, 3.0]}, {"warmcache": [1.0, 1.5]}
    line = timing.Line("hit-recording", "x", "its own", samples, reference)
    [verdict] = [v for v in targets.judge({line.id: line}) if "while recording" in v.target]
    assert reached is verdict.reached


def test_what_is_measured_as_recorded_is_all_in_the_recording(
    timing: ModuleType, module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Any, Any]] = []
    record = warmcache.Cache.record

    def watched(cache: warmcache.Cache[Any, Any], path: Path) -> Any:
        begun.append((cache, record(cache, path)))
        return begun[-1][1]

    monkeypatch.setattr(warmcache.Cache, "record", watched)
    [line] = module("hits").recording(timing.Settings.quick())
    [(cache, recording)] = begun
    stats = cache.stats()
    assert (stats.hits + stats.loads, 0) == (recording.written, recording.dropped)
    assert stats.hits > 7 * 16
    assert line.samples["warmcache"] != line.reference["warmcache"]


def test_what_was_not_measured_is_neither_reached_nor_missed(targets: ModuleType) -> None:
    assert {"not measured"} == {verdict.word for verdict in targets.judge({})}


def test_exact_order_and_counts_hold(timing: ModuleType, targets: ModuleType) -> None:
    line = timing.Line.beside("hit-1", "x", "functools", {"functools": [1.0], "warmcache": [1.0]})
    [verdict] = [v for v in targets.judge({"hit-1": line}) if v.target.startswith("exact")]
    assert verdict.reached, verdict.found


# -- writing ------------------------------------------------------------------------


def test_only_what_is_between_the_markers_is_replaced(report: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    before, after = "# Title\n\ntext | with a table\n\n", "\n\n## After\n\nmore\n"
    page.write_text(f"{before}{report.BEGIN}\nold\n{report.END}{after}", encoding="utf-8")
    for text in ("first", "second"):
        report.write_between(page, text)
        expected = f"{before}{report.BEGIN}\n\n{text}\n\n{report.END}{after}"
        assert expected == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", ["", "{begin}", "{end} {begin}", "{begin} {begin} {end}"])
def test_a_page_without_its_markers_stays_as_it_is(
    report: ModuleType, tmp_path: Path, wrong: str
) -> None:
    page, text = tmp_path / "page.md", wrong.format(begin=report.BEGIN, end=report.END)
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(report.BEGIN)):
        report.write_between(page, "new")
    assert text == page.read_text(encoding="utf-8")


def test_the_page_has_its_markers(report: ModuleType) -> None:
    assert MARKERS == (report.BEGIN, report.END)
    assert page_in_docs("benchmarks")


def test_what_a_contender_cannot_do_is_a_dash(timing: ModuleType, report: ModuleType) -> None:
    lines = [
        timing.Line.beside("x", "X", "functools", {"functools": [1e-7], "warmcache": [2e-7]}),
        timing.Line.beside("y", "Y", "cachetools", {"cachetools": [1e-6], "warmcache": [2e-6]}),
    ]
    head = ["row", "1.00 is", "warmcache", "functools", "cachetools"]
    rows = [["X", "functools", "2.00", "1.00", "-"], ["Y", "cachetools", "2.00", "-", "1.00"]]
    assert [head, *rows] == report.ratios(lines)
    assert ["X", "200 ns", "100 ns", "-"] == report.times(lines)[1]
    assert "| Y | 2 µs | - | 1 µs |" in report.as_markdown(lines, [], [])


# -- policies -----------------------------------------------------------------------


@pytest.mark.traces
def test_the_page_of_policies_is_what_the_command_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.policies", "--out", str(tmp_path)]
    command += ["--traces", "azfunc2019_100apps"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (0, "") == (done.returncode, done.stderr)
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    written = (tmp_path / "policies.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if "semi_" not in line and "synth_" not in line]
    assert written.splitlines() == rows
    assert (tmp_path / "policies.png").read_bytes().startswith(b"\x89PNG")
