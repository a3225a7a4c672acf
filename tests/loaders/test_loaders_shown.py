"""How a loader is shown: with what it has warm, in a notebook too; and what completion offers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from real_shell import shown_by_ipython

import warmcache
from warmcache import warm

API = {
    *(
        "alease",
        "cache",
        "cache_clear",
        "cache_info",
        "cache_key",
        "cache_parameters",
        "contains",
        "evict",
        "evict_all",
        "forget",
    ),
    *("lease", "many", "peek", "warm_up"),
}


class Models:
    @warm(maxsize=3)
    def method(self, name: str) -> str:
        return name

    @warm(maxsize=3)
    @classmethod
    def of_class(cls, name: str) -> str:
        return name


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("__")}


def test_a_bound_method_is_shown_with_what_its_instance_has_warm() -> None:
    models, others = Models(), Models()
    models.method("ada"), models.method("eve"), others.method("ada")
    assert "<warm Models.method: 2 warm of 3>" == repr(models.method)
    assert "<warm Models.method: 1 warm of 3>" == repr(others.method)
    assert "<warm Models.of_class: 0 warm of 3>" == repr(Models.of_class)


def test_to_show_a_method_makes_nothing_of_its_instance() -> None:
    class Slotted:
        __slots__ = ()

        @warm
        def method(self) -> int:
            return 1

    assert repr(Slotted().method).endswith("method: 0 warm of 128>")


def test_what_a_loader_has_in_a_shared_cache_is_its_share() -> None:
    cache: Any = warmcache.LRUCache("1GiB", getsizeof=lambda value: 2**20)
    one, other = (warm(cache=cache)(functools.partial(name)) for name in (str, repr))
    one("a"), one("b"), other("c")
    assert "2 warm, 2.0 MiB of 1.0 GiB>" in repr(one.lease.__self__)


def test_completion_offers_the_same_for_a_function_and_a_method() -> None:
    load = warm(lambda name: name)
    assert {*API, "_ipython_display_"} == public(load)
    assert public(Models().method) == public(Models.of_class) == API
    assert set() == public(Models.method)


def test_ipython_shows_what_is_warm_of_a_loader(tmp_path: Path) -> None:
    source = """
    from warmcache import warm
    @warm(maxsize=3)
    def load(name):
        return name
    class Models:
        load = load
    """
    cells = source, "load('ada'); load('eve');", "load", "print(repr(load)[:15])", "load.cache"
    shown = [each.strip() for each in shown_by_ipython(tmp_path, *cells)]
    assert "Out[3]: <warm load: 2 warm of 3>" == " ".join(shown[2].split())
    assert "<function load" == shown[3]
    assert "Out[5]: LRUCache(2 warm of 3)" == shown[4]


@pytest.mark.parametrize("name", ["", "errors", "keys", "policies", "probes", "testing", "routing"])
def test_completion_offers_what_a_module_has_in_public(name: str) -> None:
    module: Any = getattr(warmcache, name, None) if name else warmcache
    if module is None:
        module = __import__(f"warmcache.{name}", fromlist=["__all__"])
    modules = {each for each in dir(module) if hasattr(getattr(module, each), "__path__")}
    files = {each for each in dir(module) if hasattr(getattr(module, each), "__file__")} - modules
    offered = {each for each in dir(module) if not each.startswith("__")} - modules - files
    assert {*module.__all__} - modules - files == offered
    assert {"__doc__", "__name__", "__all__"} <= {*dir(module)}
    assert not {"annotations", "Any", "TYPE_CHECKING", "importlib", "sys"} & {*dir(module)}


def test_nothing_that_completion_offers_is_missing() -> None:
    assert [] == [name for name in dir(warmcache) if not hasattr(warmcache, name)]
