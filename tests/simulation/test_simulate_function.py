"""``warmcache.simulate``: rows to go on with, a table to look at, and counts that are counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import WarmcacheError, cli, simulate, warm

ROWS = [("a", 10, 1), ("b", 10, 9), ("c", 20, 2)] * 5
SMALL = "t_s,key,size_bytes,load_s\n" + "".join(
    f"{n},{key},{size},{seconds}\n" for n, (key, size, seconds) in enumerate(ROWS)
)
COUNTS = SMALL.replace(",10,", ",1,").replace(",20,", ",1,")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(SMALL)
    return path


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    path.write_text(COUNTS)
    return path


def test_it_has_a_row_for_each_budget_and_policy(small: Path) -> None:
    found = simulate(small, policies=["lru", "cost"], budgets=["50%", "30B"])
    assert [("lru", 20), ("cost", 20), ("lru", 30), ("cost", 30)] == [
        (row.policy, row.budget) for row in found
    ]
    assert 4 == len(found) and (15, 15) == (found[0].requests, found[0].misses)
    assert list(found[1:3]) == [found[1], found[2]]


def test_its_columns_are_plain_and_of_one_length(small: Path) -> None:
    found = simulate(small, policies=["lru", "cost"], budgets=["50%"])
    columns = found.as_dict()
    assert columns == json.loads(json.dumps(columns))
    assert {2} == {len(column) for column in columns.values()}
    assert ["lru", "cost"] == columns["policy"]
    assert [found[0].load_seconds] * 2 == columns["lru_load_seconds"]
    assert columns["least_load_seconds"][0] <= min(columns["load_seconds"])


def test_it_shows_what_the_command_prints(small: Path, capsys: Any) -> None:
    assert 0 == cli.main(["simulate", str(small)])
    assert f"{simulate(small)!r}\n" == capsys.readouterr().out


def test_it_shows_itself_as_tables_in_a_notebook(small: Path) -> None:
    html = simulate(small, policies=["lru"], budgets=["50%"])._repr_html_()
    assert 2 == html.count("<table>") and 2 == html.count("<td>lru</td>") + 1
    assert "<td>50.0% 20 B</td>" in html


def test_nothing_that_a_file_is_called_is_html(tmp_path: Path) -> None:
    path = tmp_path / "<img src=x>.csv"
    path.write_text(SMALL)
    assert "<img" not in simulate(path)._repr_html_()


def test_it_says_what_to_take(small: Path) -> None:
    found = simulate(small, policies=["lru"], budgets=["100%"])
    assert ("lru", "40 B") == (found.policy, found.maxsize)
    assert found.why[0].startswith('take policy="lru", maxsize="40 B"')


def test_budgets_are_texts_numbers_or_shares(small: Path) -> None:
    def chosen(budgets: Any) -> list[float]:
        return [row.budget for row in simulate(small, policies="lru", budgets=budgets)]

    assert [20, 30] == chosen([0.5, 30])
    assert [20] == chosen("50%") == chosen(20) == chosen("20B")


@pytest.mark.parametrize("budget", [0, -1, 0.0, "nothing", "0%", float("nan"), 10**400])
def test_a_budget_that_makes_no_sense_is_refused(budget: Any, small: Path) -> None:
    with pytest.raises(ValueError):
        simulate(small, budgets=[budget])


class Heaviest(warmcache.Cache[Any, Any]):
    def rank(self, entry: warmcache.Entry) -> float:
        return -entry.weight


def test_a_policy_is_a_class_as_well_as_a_name(small: Path) -> None:
    by_class = simulate(small, policies=[warmcache.LRUCache, "cost"], budgets="50%")
    assert str(simulate(small, policies=["lru", "cost"], budgets="50%")) == str(by_class)
    assert 1 == len(simulate(small, policies=["lru", warmcache.LRUCache], budgets="50%"))
    (own,) = found = simulate(small, policies=Heaviest, budgets="100%")
    assert "Heaviest" == own.policy == found.policy
    assert "take policy=Heaviest, maxsize=" in found.why[0]
    assert "Heaviest" in found.as_dict()["policy"]


@pytest.mark.parametrize("policy", [warmcache.LRUCache(3), dict, 5])
def test_what_is_neither_is_refused(policy: Any, small: Path) -> None:
    with pytest.raises(WarmcacheError, match="the name of a policy, or a cache class"):
        simulate(small, policies=[policy])


def test_nothing_to_simulate_is_refused(small: Path) -> None:
    for options in (dict(policies=[]), dict(budgets=[])):
        with pytest.raises(ValueError, match="at least one policy and one budget"):
            simulate(small, **options)  # type: ignore[arg-type]


def test_what_is_no_trace_or_no_policy_is_an_error_of_ours(small: Path, tmp_path: Path) -> None:
    with pytest.raises(WarmcacheError, match=r"nowhere\.csv"):
        simulate(tmp_path / "nowhere.csv")
    with pytest.raises(WarmcacheError, match="did you mean 'lru'"):
        simulate(small, policies=["lruu"])


def test_it_draws_the_curve(small: Path, tmp_path: Path) -> None:
    simulate(small).plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


# -- of a cache that counts entries ----------------------------------------------------


def test_entries_are_counted_and_no_bytes_are_mentioned(counts: Path) -> None:
    found = simulate(counts, policies=["lru", "cost"], budgets=[2, "100%"])
    text = repr(found)
    assert text.startswith("counts: 15 requests for 3 keys, which take 60 s to load")
    head = text.splitlines()[2].split()
    assert ["entries", "policy", "load", "seconds", "/", "lru", "misses", "evictions"] == head
    assert " B" not in text and "GiB" not in text and "bytes" not in text
    assert "66.7% 2 " in text


def test_what_it_says_to_take_is_a_number_of_entries(counts: Path) -> None:
    found = simulate(counts, policies=["lru"], budgets=["100%"])
    assert 3 == found.maxsize and 'take policy="lru", maxsize=3 ' in found.why[0]
    assert 3 == warmcache.LRUCache(found.maxsize).maxsize


def test_a_share_of_entries_is_one_at_least(counts: Path) -> None:
    assert [1] == [row.budget for row in simulate(counts, policies="lru", budgets=["1%"])]


def test_a_recorded_cache_of_a_number_of_entries_is_one_of_these(tmp_path: Path) -> None:
    @warm(maxsize=2)
    def load(name: str) -> str:
        return name

    with load.cache.record(tmp_path / "recorded.csv"):
        for name in "abcab":
            load(name)
    found = simulate(tmp_path / "recorded.csv", policies="lru", budgets=2)
    assert isinstance(found.maxsize, int) and load.cache_info().misses == found[0].misses


def test_loads_that_take_little_are_not_said_to_take_nothing(tmp_path: Path) -> None:
    path = tmp_path / "quick.csv"
    path.write_text("t_s,key,size_bytes,load_s\n" + "0,a,1,0.00123\n1,b,1,0.00456\n" * 3)
    text = repr(simulate(path, policies=["lru"], budgets=[2]))
    assert "which take 0.017 s to load" in text
    assert "0.0058 s of loads" in text and " 0 s" not in text
