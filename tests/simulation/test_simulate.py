"""``warmcache simulate``: what it prints, draws and recommends, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from replays import TRACES, paid, trace

import warmcache
from warmcache import cli
from warmcache._simulation.budget import Budget
from warmcache._simulation.recommend import recommend
from warmcache._simulation.replay import Outcome
from warmcache._simulation.simulation import table
from warmcache._simulation.trace_file import Trace
from warmcache._tables import aligned

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "simulate.md"
SMALL = "t_s,key,size_bytes,load_s\n" + "".join(
    f"{n},{key},{size},{seconds}\n"
    for n, (key, size, seconds) in enumerate([("a", 10, 1), ("b", 10, 9), ("c", 20, 2)] * 5)
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(SMALL)
    return path


def simulate(*arguments: str | Path) -> int:
    try:
        return cli.main(["simulate", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


def test_it_prints_a_row_for_each_budget_and_policy(small: Path, capsys: Any) -> None:
    assert 0 == simulate(small, "--budget", "75%,20B", "--policy", "cost,lru")
    said = capsys.readouterr()
    assert "" == said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("small: 15 requests for 3 keys of 40 B in all, which take 60 s")
    rows = [line.split() for line in lines[2:7]]
    assert ["budget", "policy", "load", "seconds", "/", "lru", "misses", "bytes", "evictions"] == (
        rows[0]
    )
    budgets = [" ".join(row[:4]) for row in rows[1:]]
    assert ["50.0% 20 B cost", "50.0% 20 B lru"] == budgets[:2]
    assert ["75.0% 30 B cost", "75.0% 30 B lru"] == budgets[2:]
    lru = rows[2]
    assert ["60", "1.00", "100.0%", "100.0%"] == lru[4:8]


def test_it_prints_a_bound_and_what_lru_pays_whatever_policies_were_asked_for(
    small: Path, capsys: Any
) -> None:
    for policies in ("gdsf", "lru,gdsf"):
        assert 0 == simulate(small, "--budget", "75%,20B", "--policy", policies)
        blocks = capsys.readouterr().out.split("\n\n")
        title, head, *rows = blocks[2].splitlines()
        assert "no policy goes below" in title
        assert ["budget", "at", "least", "/", "lru", "lru"] == head.split()
        assert [["50.0%", "20", "B"], ["75.0%", "30", "B"]] == [row.split()[:3] for row in rows]
        for row in rows:
            least, ratio, lru = row.split()[3:]
            assert 12 <= float(least) <= float(lru) == 60  # each key has to be loaded once
            assert abs(float(least) / 60 - float(ratio)) < 0.02


@pytest.mark.traces
def test_figures_are_those_of_the_replay(capsys: Any) -> None:
    path = TRACES / "synth_hub60.csv.gz"
    assert 0 == simulate(path, "--budget", "20%,40%", "--policy", "lru,cost")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:7]]
    for row, (share, policy) in zip(
        rows, [(0.2, "lru"), (0.2, "cost"), (0.4, "lru"), (0.4, "cost")], strict=True
    ):
        outcome = paid("synth_hub60", policy, share)
        assert [policy, f"{outcome.load_seconds:,.0f}"] == row[3:5]
        assert f"{outcome.evictions:,}" == row[-1]


@pytest.mark.traces
def test_the_how_to_shows_what_it_prints(capsys: Any) -> None:
    path = TRACES / "azfunc2019_100apps.csv.gz"
    assert 0 == simulate(path, "--budget", "10%,20%,30%,40%", "--policy", "lru,gdsf,cost")
    assert f"```text\n{capsys.readouterr().out}```" in HOWTO.read_text(encoding="utf-8")


def test_it_draws_the_curve(small: Path, tmp_path: Path, capsys: Any) -> None:
    picture = tmp_path / "out.png"
    assert 0 == simulate(small, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out


def test_policies_that_others_registered_work_too(small: Path, capsys: Any) -> None:
    class Largest(warmcache.Cache[Any, Any]):
        def rank(self, entry: warmcache.Entry) -> float:
            return -entry.weight

    warmcache.policies.register("largest")(Largest)
    try:
        assert 0 == simulate(small, "--policy", "largest", "--budget", "20B")
    finally:
        warmcache.policies.unregister("largest")
    row = capsys.readouterr().out.splitlines()[3].split()
    assert ["largest", "1.00"] == [row[3], row[5]]


BAD = {
    "no file": (["nix.csv"], "nix.csv: No such file"),
    "an unknown policy": (["--policy", "lruu"], "no policy 'lruu'; did you mean 'lru'?"),
    "a policy that wants more": (["--policy", "lru,ttl"], "'ttl' cannot be simulated.*'ttl'"),
    "no name": (["--policy", "lru,"], "--policy: 'lru,' has an empty name"),
    "no budget": (["--budget", "0%"], "--budget: a budget must be more than nothing"),
    "no number": (["--budget", "10%,x%"], "--budget: 'x%' is no percentage"),
    "no size": (["--budget", "10 parsecs"], "--budget: '10 parsecs' is not a size"),
    "an endless share": (["--budget", "inf%"], "--budget: a budget must be"),
    "no folder": (["--plot", "nix/out.png"], "--plot: there is no folder nix"),
    "no picture": (["--plot", "out.txt"], "--plot: out.txt must end in one of: .*png"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_simulated_is_one_line_and_exit_code_2(
    kind: str, small: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(small.parent)
    arguments, message = BAD[kind]
    trace = [] if kind == "no file" else [small]
    assert 2 == simulate(*trace, *arguments)
    said = capsys.readouterr()
    assert "" == said.out
    assert 1 == said.err.count("\n")
    assert said.err.startswith("warmcache simulate: error: ")
    assert pytest.raises(AssertionError, match=message).matches(AssertionError(said.err))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns t_s, key, size_bytes, load_s missing"),
        ("t_s,key,size_bytes,load_s\n", "no requests"),
        ("t_s,key,size_bytes,load_s\n0,a,-1,1\n", "row 2: size_bytes is -1"),
        ("t_s,key,size_bytes,load_s\n0,a,0,1\n", "nothing in it has a size"),
    ],
)
def test_a_bad_trace_is_one_line_and_exit_code_2(
    text: str, message: str, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert 2 == simulate(tmp_path / "bad.csv")
    error = capsys.readouterr().err
    assert message in error
    assert 1 == error.count("\n")


def test_without_matplotlib_a_plot_is_refused_before_anything_is_replayed(
    small: Path, capsys: Any, monkeypatch: Any
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert 2 == simulate(small, "--plot", "out.png")
    said = capsys.readouterr()
    assert "" == said.out
    assert 'pip install "warmcache[plot]"' in said.err


def test_on_a_terminal_it_shows_how_far_it_is(small: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert 0 == simulate(small, "--budget", "20B", "--policy", "lru")
    assert "lru with 20 B" in capsys.readouterr().err


# -- what it recommends ----------------------------------------------------------------


def outcomes(trace: Trace, seconds: dict[tuple[str, int], float]) -> list[Outcome]:
    return [
        Outcome(policy, budget, budget / trace.footprint, len(trace), 1, 1, paid, 1, 1)
        for (policy, budget), paid in seconds.items()
    ]


def hundred() -> Trace:
    """Return a trace of 100 bytes, 100 seconds at least and 1,100 at most."""
    keys = ["a", "b"]
    sizes, seconds = dict.fromkeys(keys, 50.0), dict.fromkeys(keys, 50.0)
    return Trace("hundred", [float(n) for n in range(22)], keys * 11, sizes, seconds)


def test_the_budget_is_the_knee_and_the_policy_the_one_that_pays_least_there() -> None:
    chosen = recommend(
        hundred(),
        outcomes(
            hundred(),
            {
                ("lru", 10): 1000,
                ("cost", 10): 900,
                ("lru", 30): 700,
                ("cost", 30): 400,
                ("lru", 60): 330,
                ("cost", 60): 340,
            },
        ),
    )
    assert ("cost", 30) == (chosen.policy, chosen.budget)
    text = "\n".join(chosen.why)
    assert "10 B would cost 500 s more; 60 B would save 70 s more" in text
    assert "36% of what keeping nothing costs" in text
    assert "lru 700 s" in text


def test_of_policies_within_one_per_cent_the_one_named_first_is_as_good() -> None:
    paid = {("lru", 50): 201.0, ("cost", 50): 200.0}
    assert "lru" == recommend(hundred(), outcomes(hundred(), paid)).policy
    paid["lru", 50] = 203.0
    assert "cost" == recommend(hundred(), outcomes(hundred(), paid)).policy


def test_where_nothing_comes_back_it_says_that_nothing_helps() -> None:
    once = Trace("once", [0, 1], ["a", "b"], {"a": 1, "b": 1}, {"a": 1, "b": 1})
    chosen = recommend(once, outcomes(once, {("lru", 1): 2, ("lru", 2): 2}))
    assert 1 == chosen.budget
    assert "nothing is asked for twice" in chosen.why[-1]


def test_budgets_too_small_for_anything_are_not_recommended(small: Path, capsys: Any) -> None:
    assert 0 == simulate(small, "--budget", "5B,8B")
    said = capsys.readouterr().out
    assert "no policy and no budget of these saves anything: try larger ones" in said
    assert "take policy" not in said


def test_who_reads_only_the_beginning_sees_no_traceback(small: Path) -> None:
    command = [sys.executable, "-m", "warmcache", "simulate", str(small)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (141, "") == (done.returncode, done.stderr)  # as of what SIGPIPE has ended


def _table(paid: dict[tuple[str, int], float]) -> list[str]:
    return aligned(table(hundred(), outcomes(hundred(), paid))).splitlines()


def test_the_table_is_relative_to_lru_or_to_the_first_policy() -> None:
    paid = {("cost", 50): 100.0, ("lfu", 50): 150.0}
    assert "/ cost" in _table(paid)[0]
    assert "1.50" in _table(paid)[2]
    assert "/ lru" in _table(paid | {("lru", 50): 300.0})[0]
    assert "0.33" in _table(paid | {("lru", 50): 300.0})[1]


def test_budgets_are_shares_or_bytes() -> None:
    whole = trace("synth_hub60")
    assert int(whole.footprint * 0.2) == Budget.parse(" 20% ").of(whole)
    assert 4 * 2**30 == Budget.parse("4GiB").of(whole)


def test_the_budget_that_it_recommends_can_be_pasted(small: Path, capsys: Any) -> None:
    assert 0 == simulate(small, "--budget", "30B", "--policy", "gdsf")
    pasted = re.search(r'maxsize="([^"]+)"', capsys.readouterr().out)
    assert pasted is not None
    assert 30 == warmcache.LRUCache(pasted[1]).maxsize
