"""Options of ``@warm`` that are refused at decoration; ``warm_up``."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, warm


class Model:
    """A value that can be closed, and knows how often it was."""

    def __init__(self, name: Any = None) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


async def compute(value: Any) -> int:
    return 1


def make(name: Any, dtype: str = "fp16") -> Model:
    return Model(name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"maxsze": 3},
            TypeError,
            r"no option 'maxsze'; did you mean 'maxsize'\? There are:.*key",
        ),
        ({"validat": 3}, TypeError, r"no option 'validat'; did you mean 'validate'\?"),
        (
            {"policy": "lru", "maxsize": 1, "ttu": min},
            TypeError,
            "policy 'lru' has no option 'ttu'",
        ),
        ({"policy": "lur", "maxsize": 1}, ValueError, r"no policy 'lur'; did you mean 'lru'.*fifo"),
        ({"policy": "ttl", "maxsize": 1}, TypeError, "policy 'ttl': missing .*'ttl'"),
        ({"policy": "lru"}, TypeError, "policy 'lru': missing .*'maxsize'"),
        ({"maxsize": -1}, ValueError, "maxsize.*-1"),
        (
            {"maxsize": "3 apples"},
            ValueError,
            "maxsize must be a size.*'3 apples'.*or None for no limit",
        ),
        ({"idle_ttl": 0}, ValueError, "idle_ttl must be seconds, more than 0"),
        ({"tags": "text"}, TypeError, "tags must be several texts"),
        ({"validate": 1}, TypeError, "validate must be callable"),
        ({"size": "3 apples"}, ValueError, "size must be a size.*'3 apples'.*write it as 3000000"),
        ({"size": -1}, ValueError, "size must be .* 0 or more, got -1"),
        ({"cache": LRUCache(1), "maxsize": 1}, TypeError, "cache= brings its own.*maxsize"),
        ({"cache": LRUCache(1), "policy": "lru"}, TypeError, "cache= brings its own.*policy"),
        ({"cache": LRUCache(1), "validte": 1}, TypeError, "validte.*did you mean 'validate'"),
        ({"cache": {}}, TypeError, r"cache must be a warmcache.Cache or a name, got \{\}"),
        ({"cache": ""}, ValueError, "cache must be a warmcache.Cache or a name, got ''"),
        ({"cache": "x", "maxsise": 1}, TypeError, "maxsise.*did you mean 'maxsize'"),
        ({"cache": "x", "policy": "lru"}, TypeError, "policy 'lru': missing .*'maxsize'"),
    ],
)
def test_a_wrong_option_fails_at_decoration_and_says_what_there_is(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        warm(**options)(make)


def test_options_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        warm("lru", 3)(make)  # type: ignore[call-overload]


# -- warming up ------------------------------------------------------------------


def test_warm_up_loads_each_once_in_order_however_it_is_written() -> None:
    loaded: list[Any] = []

    @warm
    def load(name: Any, dtype: str = "fp16") -> None:
        loaded.append((name, dtype))

    load.warm_up(iter(["a", ("b",), ("b", "fp32"), {"name": "c"}, "a", {"name": "b"}, (("t",),)]))

    assert [("a", "fp16"), ("b", "fp16"), ("b", "fp32"), ("c", "fp16"), (("t",), "fp16")] == loaded
    assert all(not entry.leases for entry in load.cache.entries())


def test_warm_up_stops_at_the_first_load_that_fails() -> None:
    load = warm(lambda x: 1 / x)
    with pytest.raises(ZeroDivisionError):
        load.warm_up([1, 0, 2])
    assert load.contains(1) and not load.contains(2)


class Terminal(io.StringIO):
    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


def test_a_progress_bar_is_drawn_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "FORCE_COLOR", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    drawn = {}
    for tty in (True, False):
        load = warm(make)
        drawn[tty] = Terminal(tty)
        monkeypatch.setattr(sys, "stderr", drawn[tty])
        load.warm_up(["a", "b"])
        assert load.contains("a") and load.contains("b")

    assert "warming up make()" in drawn[True].getvalue()
    assert "" == drawn[False].getvalue()


def test_a_terminal_without_rich_has_no_bar_but_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    load = warm(make)
    load.warm_up(["a"])
    assert load.contains("a") and "" == sys.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wrong", [{"validate_errors": 3}, {"key": {"name": compute}}, {"size": compute}]
)
def test_a_wrong_option_of_the_loader_is_refused_before_there_is_a_cache(
    wrong: dict[str, Any],
) -> None:
    before = {id(each) for each in warmcache.all_caches()}
    with pytest.raises(TypeError, match="must"):
        warm(policy="lru", maxsize=2, ttl=60, **wrong)(lambda name: name)
    assert [] == [each for each in warmcache.all_caches() if id(each) not in before]
