"""Policies that others ship through entry points."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import (
    FIFOCache,
    LRUCache,
    policies,
    warm,
)

CAP = 5.0


PLUGIN = """
import warmcache
loaded = globals().get("loaded", 0) + 1

class Theirs(warmcache.LRUCache):
    pass

class Clash(warmcache.LRUCache):
    pass

not_a_policy = dict
"""
POINTS = """
[warmcache.policies]
theirs = {0}:Theirs
lru = {0}:Clash
wrong = {0}:not_a_policy
broken = {0}_that_is_not_there:Anything
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install a distribution with entry points, whose module is named as the test."""
    name = f"warm_plugin_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS.format(name))
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)
    for policy in ("theirs", "wrong", "broken"):
        policies.registry._factories.pop(policy, None)
        policies.registry._forgotten.discard(policy)


def test_third_parties_ship_policies_through_entry_points(plugin: str) -> None:
    assert {"theirs", "wrong", "broken", "lru"} <= set(policies.names())
    assert plugin not in sys.modules, "a name costs no import"

    load = warm(policy="theirs", maxsize=1)(lambda x: x)

    assert "Theirs" == type(load.cache).__name__ == policies.get("theirs").__name__
    assert type(load.cache) is policies.get("theirs") and 1 == sys.modules[plugin].loaded
    with pytest.raises(ValueError, match="did you mean 'theirs'"):
        warm(policy="their", maxsize=1)(lambda x: x)


def test_what_is_registered_here_wins_over_an_entry_point(plugin: str) -> None:
    assert LRUCache is policies.get("lru") and plugin not in sys.modules


def test_an_entry_point_that_is_no_policy_or_not_there_says_so(plugin: str) -> None:
    whose = f"of the distribution {plugin} 1.0"
    with pytest.raises(TypeError, match=f"'wrong' .* {whose}.* must be a subclass of"):
        warm(policy="wrong", maxsize=1)(lambda x: x)
    with pytest.raises(ModuleNotFoundError, match=f"'broken' .* {whose}.*not_there'; repair"):
        warm(policy="broken", maxsize=1)(lambda x: x)


@pytest.mark.parametrize("error", ["ValueError", "KeyError", "AttributeError", "ZeroDivisionError"])
def test_an_error_in_a_plugin_names_its_distribution_whoever_asks(
    plugin: str, tmp_path: Path, error: str
) -> None:
    (tmp_path / f"{plugin}.py").write_text(f"raise {error}('bad plugin')")
    for ask in (policies.get, policies.registry.__getitem__, policies.create):
        with pytest.raises(ImportError, match=f"of the distribution {plugin} 1.0") as raised:
            ask("theirs")
        assert error == type(raised.value.__cause__).__name__
        assert f"{error}: " in str(raised.value) and "bad plugin" in str(raised.value)


def test_to_look_for_a_name_imports_nothing(plugin: str) -> None:
    assert "theirs" in policies.registry and "broken" in [*policies.registry]
    assert plugin not in sys.modules


def test_an_entry_point_can_be_unregistered_and_replaced(plugin: str) -> None:
    policies.unregister("theirs")
    assert "theirs" not in policies.names()
    with pytest.raises(ValueError, match="there is no policy 'theirs'"):
        policies.create("theirs", maxsize=1)

    policies.register("theirs")(FIFOCache)
    assert FIFOCache is policies.get("theirs")


@pytest.mark.race
def test_threads_that_ask_for_a_plugin_at_once_get_one_class(plugin: str) -> None:
    start, found = threading.Barrier(4), []

    def ask() -> None:
        start.wait(CAP)
        found.append(policies.get("theirs"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)

    assert [policies.get("theirs")] * 4 == found and warmcache.policies.registry is not None
