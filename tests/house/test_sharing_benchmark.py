"""The benchmark of one budget for a node, in its smallest size. No time is judged here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_pages import page_in_docs, small_run


@pytest.fixture
def sharing(module: Callable[[str], Any]) -> ModuleType:
    found: ModuleType = module("sharing")
    return found


def test_a_quick_run_measures_everything_and_writes_between_the_markers(tmp_path: Path) -> None:
    text = small_run("sharing", tmp_path, "--quick")
    [loads] = re.findall(r"^\| one busy at a time \|.* (\d+) \| (\d+) \|$", text, re.M)
    assert all(int(count) > 0 for count in loads)
    assert 0 < text.count("| reached |") + text.count("| missed |")
    assert text.count("not measured") <= 1  # system calls, where they cannot be counted


def test_the_page_has_its_markers_and_the_figures_of_all_traffics(sharing: ModuleType) -> None:
    text = page_in_docs("sharing")
    for traffic in sharing.TRAFFICS:
        assert f"| {traffic.name} |" in text


def test_the_same_seed_draws_the_same_work_and_another_one_other_work(
    module: Callable[[str], Any],
) -> None:
    traffic = module("sharing_traffic")
    one, again, other = (traffic.drawn(traffic.JUDGED, seed, 2) for seed in (0, 0, 1))
    assert one == again != other


def test_each_period_another_process_is_the_busiest(module: Callable[[str], Any]) -> None:
    traffic = module("sharing_traffic")
    work = traffic.drawn(traffic.JUDGED, 0, 4)
    busiest = []
    for period in range(4):
        counts = [sum(period <= at < period + 1 for at, _ in each) for each in work.requests]
        busiest.append(counts.index(max(counts)))
        assert max(counts) > sum(counts) / 2
    assert [0, 1, 2, 3] == sorted(busiest)


def test_every_model_fits_the_split_budget(module: Callable[[str], Any]) -> None:
    traffic = module("sharing_traffic")
    work = traffic.drawn(traffic.JUDGED, 0, 1)
    heaviest = max(weight for models in work.models for weight, _ in models)
    assert heaviest <= traffic.BUDGET / traffic.WORKERS


@pytest.mark.parametrize(("shared", "parts"), [(True, 1), (False, 4)])
def test_processes_share_one_budget_or_have_a_part_of_it_each(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, *, shared: bool, parts: int
) -> None:
    traffic, made = module("sharing_traffic"), list[tuple[Any, float]]()

    class Told:
        def __init__(self, node: Any, budget: float) -> None:
            made.append((node, budget))

        def tell(self, *what: object) -> None: ...
        def begin(self, *what: object) -> None: ...
        def answer(self) -> dict[str, float]:
            return {"loads": 1, "paid": 0.5, "uses": 2}

        def __enter__(self) -> Told:
            return self

        def __exit__(self, *exc: object) -> None: ...

    monkeypatch.setattr(traffic, "Told", Told)
    paid = traffic.served(traffic.drawn(traffic.JUDGED, 0, 1), shared=shared)
    [(node, budget)] = {*made}
    assert (4, shared, traffic.BUDGET / parts) == (len(made), node is not None, budget)
    assert (4, 2.0, 8, 0.25) == (paid.loads, paid.seconds, paid.uses, paid.each)


@pytest.mark.parametrize(("ours", "word"), [(0.5, "reached"), (0.6, "missed")])
def test_the_load_seconds_are_judged_by_the_sums_over_all_seeds(
    sharing: ModuleType, module: Callable[[str], Any], ours: float, word: str
) -> None:
    paid = module("sharing_traffic").Paid
    mine, theirs = (paid(1, ours, 10), paid(1, 2 * ours, 10)), (paid(1, 1.0, 10), paid(1, 2.0, 10))
    results = {
        (sharing.JUDGED, name): [*each]
        for name, each in zip(sharing.CONTENDERS, (mine, theirs), strict=True)
    }
    line = module("timing").Line.beside(
        "hit", "a hit", "without", {"node=": [1.0, 1.0], "without": [1.0, 1.0]}
    )
    verdicts = sharing.judge(sharing.Found(results, {}, line, None))
    assert [word, "reached", "not measured"] == [verdict.word for verdict in verdicts]


@pytest.mark.parametrize(("calls", "word"), [(0, "reached"), (3, "missed")])
def test_one_system_call_of_a_hit_is_too_many(
    sharing: ModuleType, module: Callable[[str], Any], calls: int, word: str
) -> None:
    paid = module("sharing_traffic").Paid(1, 1.0, 10)
    results = {(sharing.JUDGED, name): [paid] for name in sharing.CONTENDERS}
    line = module("timing").Line.beside(
        "hit", "a hit", "without", {"node=": [1.05, 1.05], "without": [1.0, 1.0]}
    )
    *_, hit, system = sharing.judge(sharing.Found(results, {}, line, calls))
    assert ["missed", word] == [hit.word, system.word]


def test_system_calls_are_counted_between_the_marks_of_the_thread_that_makes_hits(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    latencies = module("sharing_latencies")
    strace = tmp_path / "strace"
    strace.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "with open(sys.argv[sys.argv.index('-o') + 1], 'w') as trace:\n"
        "    print(*TRACE, sep='\\n', file=trace)\n"
        "at = sys.argv.index('-o') + 2\n"
        "os.execv(sys.argv[at], sys.argv[at:])\n".replace(
            "*TRACE",
            "'7 read(0)', '7 getppid() = 1', '8 futex()', '7 read(1)', '7 getppid() = 1', '7 x()'",
        )
    )
    strace.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(latencies, "HITS", 10)
    assert 1 == latencies.system_calls_of_hits()


def test_without_strace_system_calls_are_not_counted(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module("sharing_latencies").system_calls_of_hits() is None


def test_a_process_that_ends_unasked_is_noticed(module: Callable[[str], Any]) -> None:
    with module("sharing_member").Told(None, 100) as told:
        with pytest.raises(RuntimeError, match="has ended"):
            told.tell("no such thing")
