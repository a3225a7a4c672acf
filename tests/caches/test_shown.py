"""How a cache is shown: what is warm and of what limit, never its values, and nothing internal."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cachetools
import pytest

import warmcache
from warmcache import Cache, HostMemoryCache, LRUCache, TTLCache, warm
from warmcache.testing import FakeProbe, ManualClock

MiB = 2**20
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "caches.md"


class Unsayable:
    def __repr__(self) -> str:
        raise AssertionError("a value is never shown")


def filled(cache: Any, count: int = 2) -> Any:
    for number in range(count):
        cache[number] = Unsayable()
    return cache


def host(budget: str) -> Any:
    return HostMemoryCache(budget, lambda value: 30 * MiB, probe=FakeProbe(2**40), poll=0)


SHOWN: dict[str, Callable[[], Any]] = {
    "LRUCache(2 warm of 3)": lambda: filled(LRUCache(3)),
    "LRUCache(0 warm of 3)": lambda: LRUCache(3),
    "LRUCache(2 warm)": lambda: filled(LRUCache(None)),
    "LRUCache(1,200 warm of 2,000)": lambda: filled(LRUCache(2000), 1200),
    "LRUCache(2 warm, 8 of 10)": lambda: filled(LRUCache(10, lambda value: 4)),
    "LRUCache(2 warm, 8.0 MiB of 1.0 GiB)": lambda: filled(LRUCache("1GiB", lambda v: 4 * MiB)),
    "LRUCache(2 warm, 0.5 of 1)": lambda: filled(LRUCache(1, lambda value: 0.25)),
    "HostMemoryCache(2 warm, 8 B of 1.0 GiB)": lambda: filled(
        HostMemoryCache("1GiB", lambda value: 4, probe=FakeProbe(2**40), poll=0)
    ),
    "HostMemoryCache(0 warm, 0 B of 1.0 GiB)": lambda: host("1GiB"),
    "HostMemoryCache(2 warm, 60.0 MiB of 1.0 GiB)": lambda: filled(host("1GiB")),
}


@pytest.mark.parametrize("text", SHOWN)
def test_its_repr_is_its_class_what_is_warm_and_the_limit(text: str) -> None:
    assert text == repr(SHOWN[text]())


SIZED: dict[str, dict[str, Any]] = {
    "2 warm, 2.0 MiB of 3.0 MiB": {"maxsize": "3MiB", "size": "1MiB"},
    "2 warm, 4 of 10": {"maxsize": 10, "size": 2},
    "2 warm of 10": {"maxsize": 10, "size": 1},
    "2 warm, 2.0 MiB": {"maxsize": None, "size": lambda value: "1MiB"},
}


@pytest.mark.parametrize("text", SIZED)
def test_what_loaders_say_that_values_weigh_is_not_shown_as_a_number_of_entries(text: str) -> None:
    @warm(**SIZED[text])
    def load(name: str) -> list[str]:
        return [name]

    load("a"), load("b")
    assert f"LRUCache({text})" == repr(load.cache)
    assert text in repr(load.lease.__self__)


def test_few_bytes_of_memory_have_their_unit_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "warmcache")
    cache: Any = HostMemoryCache("1MiB", probe=FakeProbe(2**40), poll=0)
    load = warm(cache=cache, size="512 KiB")(Model)
    load("a")
    assert caplog.messages[-1].endswith(", 512.0 KiB (size)")
    assert "weight=512.0 KiB" in repr(cache.entries()[0])
    assert "<td>512.0 KiB</td>" in cache._repr_html_()
    with load.lease("a"), load.lease("b"), pytest.raises(warmcache.CapacityError) as caught:
        load("c")
    assert "needs 512.0 KiB of 1.0 MiB; 0 B free, 1.0 MiB in use" in str(caught.value)


class Model:
    def __init__(self, name: str) -> None:
        self.name = name


def test_one_that_modules_share_is_shown_with_its_name() -> None:
    cache = warmcache.cache("gpu0", policy="lru", maxsize=2)
    assert "LRUCache('gpu0', 0 warm of 2)" == repr(cache)
    cache.close()


def test_one_that_is_closed_says_so() -> None:
    cache = filled(LRUCache(3))
    cache.close()
    assert "LRUCache(closed)" == repr(cache)


def test_what_has_ended_is_not_counted() -> None:
    clock = ManualClock()
    cache = filled(TTLCache(3, ttl=1, timer=clock))
    clock.advance(2)
    assert "TTLCache(0 warm of 3)" == repr(cache)


class Cells(HTMLParser):
    """The texts of table cells, and all tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert [] == attrs
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_it_is_a_table_of_entries_in_a_notebook() -> None:
    @warm(maxsize=3)
    def load(name: str) -> Unsayable:
        return Unsayable()

    load("ada"), load("ada"), load("eve")
    with load.lease("eve"):
        html = Cells(load.cache._repr_html_())
    assert "LRUCache(2 warm of 3)" == html.cells[0]
    assert ["call", "state", "weight", "uses", "idle, s", "load, s", "leases"] == html.cells[1:8]
    ada, eve = html.cells[8:15], html.cells[15:22]
    assert ["load('ada')", "live", "1", "2"] == ada[:4] and "0" == ada[-1]
    assert ["load('eve')", "live", "1", "2"] == eve[:4] and "1" == eve[-1]


def test_nothing_in_a_key_or_a_name_is_html() -> None:
    cache = warmcache.cache("<script>", policy="lru", maxsize=2)
    cache["<img src=x onerror=alert(1)>"] = cache["&lt;b&gt;"] = 1
    html = Cells(cache._repr_html_())
    cache.close()
    assert {"p", "table", "thead", "tbody", "tr", "th", "td"} == html.tags
    assert "'<img src=x onerror=alert(1)>'" in html.cells and "'&lt;b&gt;'" in html.cells


def test_a_long_table_and_a_long_key_are_cut() -> None:
    cache = filled(LRUCache(None), 250)
    cache["k" * 10_000] = 1
    assert "and 151 more" in cache._repr_html_()
    assert len(cache._repr_html_()) < 20_000


def test_an_empty_cache_has_no_table() -> None:
    assert "<p>LRUCache(0 warm of 3)</p>" == LRUCache(3)._repr_html_()


@pytest.mark.parametrize("make", [lambda: LRUCache(3), lambda: host("1GiB")])
def test_what_completion_offers_is_what_is_documented(make: Callable[[], Any]) -> None:
    reference = REFERENCE.read_text() + (REFERENCE.parent / "memory.md").read_text()
    documented = {line.split()[-1] for line in reference.splitlines() if ":: " in line}
    inherited = {name for name in dir(cachetools.Cache(1)) if not name.startswith("_")}
    offered = {name for name in dir(make()) if not name.startswith("__")}
    assert set() == offered - inherited - documented - {"drifts"}, "and how-to policies has that"
    assert {"lease", "evict", "entries", "stats", "close"} <= offered


def test_completion_offers_what_a_policy_of_ones_own_has() -> None:
    class Mine(Cache[Any, Any]):
        colour = "red"

    cache = Mine(1)
    cache.size_of_it = 1  # type: ignore[attr-defined]
    assert {"colour", "size_of_it"} <= {*dir(cache)}
