"""The registry, and the policies that are registered by name."""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping, MutableMapping
from typing import Any, Unpack

import pytest

from warmcache import (
    Cache,
    CacheOptions,
    FIFOCache,
    LFUCache,
    LRUCache,
    Registry,
    RRCache,
    TLRUCache,
    TTLCache,
    policies,
    warm,
)
from warmcache._registry import options_of

CAP = 5.0


# -- a registry of one's own -------------------------------------------------------


def test_what_is_registered_is_created_with_its_options() -> None:
    loaders: Registry[Any] = Registry("loader")

    @loaders.register("llama")
    def load_llama(size: str = "8b", *, quantised: bool = False) -> tuple[str, bool]:
        return size, quantised

    assert load_llama() == ("8b", False), "the decorator hands it back as it is"
    assert ["llama"] == loaders.names() and load_llama is loaders.get("llama")
    assert ("70b", True) == loaders.create("llama", size="70b", quantised=True)
    assert "Registry('loader': llama)" == repr(loaders)


def test_registries_share_nothing() -> None:
    first, second = Registry[Any]("thing"), Registry[Any]("thing")
    first.register("a")(dict)

    assert [] == second.names() and "a" not in policies.names()


def test_a_name_is_taken_once_unless_overridden() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("a")(dict)
    with pytest.raises(ValueError, match=r"thing 'a' is registered already, as .*dict.*override"):
        things.register("a")(list)
    assert {} == things.create("a")

    things.register("a", override=True)(list)
    assert [] == things.create("a")


def test_what_is_unregistered_is_unknown() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("alpha")(dict)
    things.unregister("alpha")

    assert [] == things.names()
    with pytest.raises(ValueError, match=r"there is no thing 'alpha'\. There are: none"):
        things.unregister("alpha")
    things.register("alpha")(list)
    assert [] == things.create("alpha")


def test_an_unknown_name_lists_what_exists_and_suggests_the_nearest() -> None:
    things: Registry[Any] = Registry("thing")
    for name in ("llama", "whisper", "clip"):
        things.register(name)(dict)

    with pytest.raises(ValueError) as caught:
        things.create("lama")
    assert "there is no thing 'lama'; did you mean 'llama'? There are: clip, llama, whisper" == str(
        caught.value
    )
    with pytest.raises(ValueError, match=r"'xyz'\. There are: clip, llama, whisper"):
        things.options("xyz")
    with pytest.raises(KeyError, match=r"no thing 'lama'; did you mean 'llama'\? There are: clip"):
        things["lama"]


def test_a_registry_is_a_mapping_that_nobody_writes_to() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("b")(dict)
    things.register("a")(list)

    assert isinstance(things, Mapping)
    assert {"a": list, "b": dict} == dict(things) == things
    assert (["a", "b"], [list, dict], 2) == ([*things], [*things.values()], len(things))
    assert dict is things["b"] is things.get("b")
    assert (None, 5) == (things.get("c"), things.get("c", 5))
    assert [True, False, False] == [name in things for name in ("a", "c", 3)]
    assert not isinstance(things, MutableMapping)


def test_positional_arguments_go_before_the_options_as_in_any_call() -> None:
    things: Registry[Any] = Registry("thing")

    @things.register("scheduler")
    def make(optimizer: Any, name: str = "cosine", **options: Any) -> Any:
        return optimizer, name, options

    assert ("adam", "step", {"gamma": 0.1}) == things.create("scheduler", "adam", "step", gamma=0.1)
    with pytest.raises(TypeError, match="multiple values for argument 'optimizer'"):
        things.create("scheduler", "adam", optimizer="sgd")


def test_too_many_arguments_are_an_error_before_anything_is_called() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("x")(lambda size=1: pytest.fail("it was called"))
    with pytest.raises(TypeError, match="thing 'x': too many positional arguments"):
        things.create("x", 1, 2)


@pytest.mark.parametrize("bad", ["", None, 3, dict])
def test_a_name_is_a_text(bad: Any) -> None:
    with pytest.raises(TypeError, match="a thing's name must be a text"):
        Registry[Any]("thing").register(bad)


def test_what_cannot_be_called_or_fails_the_check_is_refused_at_registration() -> None:
    def check(thing: Any) -> None:
        if thing is list:
            raise TypeError("no lists here")

    things: Registry[Any] = Registry("thing", check=check)
    with pytest.raises(TypeError, match="a thing must be callable, got 3"):
        things.register("a")(3)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="no lists here"):
        things.register("a")(list)
    assert [] == things.names()


class Wide:
    def __init__(self, size: int, **rest: Any) -> None:
        self.options = {"size": size, **rest}


class Narrow(Wide):
    def __init__(self, colour: str = "red", **rest: Any) -> None:
        super().__init__(**{"size": 1, **rest})
        self.options["colour"] = colour


class Closed(Narrow):
    def __init__(self, *, a: int, b: int = 2) -> None:
        super().__init__(colour=f"{a}{b}")


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        (Closed, {"a": 1, "colour": "blue"}, r"no option 'colour'\. There are: a, b"),
        (Closed, {"b": 1}, r"thing 'x': missing a required .*'a'"),
        (lambda first, /, second=2: 0, {"frist": 1}, r"no option 'frist'\. There are: second"),
        (functools.partial(Closed, a=1), {"colour": 1}, "no option 'colour'"),
        (lambda size=1: 0, {"sise": 1}, r"no option 'sise'; did you mean 'size'\? There are: size"),
    ],
)
def test_an_unknown_or_missing_option_is_an_error_before_anything_is_called(
    factory: Any, options: dict[str, Any], message: str
) -> None:
    things: Registry[Any] = Registry("thing")
    things.register("x")(factory)
    with pytest.raises(TypeError, match=message):
        things.create("x", **options)


def test_whoever_takes_any_option_gets_any() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("wide")(Wide)
    things.register("narrow")(Narrow)
    things.register("function")(lambda **rest: rest)
    things.register("built in")(dict)

    assert {"size": 3, "depth": 4} == things.create("wide", size=3, depth=4).options
    assert {"size": 1, "depth": 4, "colour": "red"} == things.create("narrow", depth=4).options
    assert {"a": 1} == things.create("function", a=1) == things.create("built in", a=1)
    assert things.options("function") is None and {"a", "b"} == _options(Closed)


def _options(factory: Any) -> Any:
    things: Registry[Any] = Registry("thing")
    things.register("x")(factory)
    return things.options("x")


def test_an_option_called_name_is_no_trouble() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("x")(lambda name: name)
    assert "y" == things.create("x", name="y")


# -- policies ----------------------------------------------------------------------


def test_the_policies_that_come_with_it() -> None:
    expected = {
        "fifo": FIFOCache,
        "lfu": LFUCache,
        "lru": LRUCache,
        "rr": RRCache,
        "tlru": TLRUCache,
        "ttl": TTLCache,
    }
    assert sorted(expected) == [name for name in policies.names() if name in expected]
    assert expected == {name: policies.get(name) for name in expected}
    assert (3, 5) == ((cache := policies.create("ttl", maxsize=3, ttl=5)).maxsize, cache.ttl)


@pytest.fixture
def tidy() -> Any:
    before = policies.names()
    yield
    for name in set(policies.names()) - set(before):
        policies.unregister(name)


@pytest.mark.usefixtures("tidy")
def test_a_policy_of_ones_own_is_a_line() -> None:
    @policies.register("cheapest-first")
    class CheapestFirst(Cache[Any, Any]):
        def rank(self, entry: Any) -> Any:
            return entry.key[1]

    load = warm(policy="cheapest-first", maxsize=2)(lambda x: x)
    load(5), load(1), load(9)

    assert isinstance(load.cache, CheapestFirst)
    assert [False, True, True] == [load.contains(x) for x in (1, 5, 9)]
    with pytest.raises(TypeError, match=r"'cheapest-first' has no option 'maxsise'; did you mean"):
        warm(policy="cheapest-first", maxsise=2)(lambda x: x)


@pytest.mark.usefixtures("tidy")
def test_options_of_ones_own_are_known_beside_the_inherited_ones() -> None:
    class Open(TTLCache[Any, Any]):
        def __init__(self, maxsize: float, shelf: int = 1, **options: Any) -> None:
            super().__init__(maxsize, **{"ttl": 7, **options})

    class Typed(LRUCache[Any, Any]):
        def __init__(
            self, maxsize: float, *, shelf: int = 1, **options: Unpack[CacheOptions]
        ) -> None:
            super().__init__(maxsize, **options)

    policies.register("open")(Open)
    policies.register("typed")(Typed)
    shared = {"maxsize", "shelf", *CacheOptions.__optional_keys__}

    assert {"ttl", "timer", "getsizeof", *shared} == options_of(Open)
    assert shared == options_of(Typed)
    for name in ("open", "typed"):
        known = policies.registry.options(name)
        assert known is not None and {"ttl", "budget", "device", *shared} <= known
        assert "order" not in known, "the policy is the order"
    assert 7 == policies.create("open", maxsize=1, timer=lambda: 0).ttl
    with pytest.raises(TypeError, match="no option 'timer'"):
        policies.create("typed", maxsize=1, timer=lambda: 0)
    with pytest.raises(TypeError, match=r"no option 'shel'; did you mean 'shelf'\?"):
        policies.create("open", maxsize=1, shel=2)


class Unfinished(Cache[Any, Any]):
    @abc.abstractmethod
    def rank(self, entry: Any) -> Any: ...


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (dict, "a policy must be a subclass of warmcache.Cache, got <class 'dict'>"),
        (LRUCache(1), "a policy must be"),
        (lambda maxsize: LRUCache(maxsize), "a policy must be a subclass of warmcache.Cache"),
        (Unfinished, "policy Unfinished is abstract: it lacks rank"),
    ],
)
def test_what_is_no_policy_is_refused_at_registration(policy: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        policies.register("bad")(policy)
    assert "bad" not in policies.names()


def test_a_built_in_name_is_not_taken_by_accident() -> None:
    with pytest.raises(ValueError, match="policy 'lru' is registered already"):
        policies.register("lru")(FIFOCache)
    assert LRUCache is policies.get("lru")
