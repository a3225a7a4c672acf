"""What type checkers are told of the options is what there is."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from warmcache import Warm, WarmClass, _decorator, policies
from warmcache._loaders.calls import API
from warmcache._loaders.loader_options import LoaderOptions
from warmcache._registry import options_of
from warmcache._warm_types import classes, decorators, options, shared_caches
from warmcache.policies import option_types

COUNTS = sorted(typing.get_args(option_types.OrderName))
MEMORY = sorted(typing.get_args(option_types.MemoryName))
OF_THE_LOADER = {*LoaderOptions._fields}


class Overload(NamedTuple):
    """What one overload takes: policies by name, None for a class or a cache; and options."""

    names: frozenset[str] | None
    options: set[str]
    required: set[str]


def _overloads(module: str, name: str, typed: types.ModuleType) -> Iterator[Overload]:
    function: Any = types.SimpleNamespace(__module__=module, __qualname__=name)
    for each in typing.get_overloads(function):
        parameters = inspect.signature(each).parameters
        names = None
        if "policy" in parameters:
            said = str(parameters["policy"].annotation)
            names = _names(said) if "type[" not in said else None
        taken = {
            parameter.name: parameter.default is parameter.empty
            for parameter in parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        rest = [each for each in parameters.values() if each.kind is each.VAR_KEYWORD]
        unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(rest[0].annotation)) if rest else None
        further = getattr(typed, unpacked[1]).__optional_keys__ if unpacked else frozenset()
        yield Overload(
            names,
            ({*taken} | further) - {"policy"},
            {each for each, needed in taken.items() if needed} - {"policy"},
        )


def _names(annotation: str) -> frozenset[str]:
    found = {*re.findall(r"[\"'](\w+)[\"']", annotation)}
    for alias in re.findall(r"\b(\w+Name)\b", annotation):
        found |= {*typing.get_args(getattr(option_types, alias))}
    return frozenset(found)


WARM = [*_overloads("warmcache._decorator", "warm", options)]
NAMED = [*_overloads("warmcache._warm_types.shared_caches", "NamedCache.__call__", option_types)]
CREATE = [*_overloads("warmcache.policies.option_types", "Create.__call__", option_types)]
BY_NAME = pytest.mark.parametrize(
    ("overloads", "loader"),
    [(WARM, OF_THE_LOADER | {"cache"}), (NAMED, set()), (CREATE, set())],
)


def _of_class(kind: Any) -> set[str]:
    taken = options_of(kind)
    assert taken is not None
    return taken


def _orders(*, budgets: bool) -> set[str]:
    """Return what policies take, and ``budgets`` in which they are the order."""
    taken: set[str] = set()
    for name in COUNTS:
        taken |= (budgets and policies.registry.options(name)) or _of_class(policies.registry[name])
    return taken - {"maxsize"}


def test_the_names_that_type_checkers_know_are_those_of_warmcache() -> None:
    ours = {name for name in policies.names() if "warmcache" in policies.registry[name].__module__}
    assert ours == {*COUNTS, *MEMORY}


@pytest.mark.parametrize("name", COUNTS)
def test_a_policy_with_a_maxsize_takes_what_its_class_does(name: str) -> None:
    [found] = [each for each in WARM if name in (each.names or ()) and "maxsize" in each.required]
    kind = policies.registry[name]
    assert _of_class(kind) | OF_THE_LOADER - {"ttl"} | {"cache"} == found.options
    needed = {
        each.name
        for each in inspect.signature(kind).parameters.values()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    }
    assert needed == found.required


@BY_NAME
def test_a_budget_takes_what_any_policy_does_within_one(
    overloads: list[Overload], loader: set[str]
) -> None:
    found = [each for each in overloads if {*COUNTS} == {*(each.names or ())}]
    by_budget = [each for each in found if "budget" in each.required]
    by_device = [each for each in found if "device" in each.required]
    assert (1, 1) == (len(by_budget), len(by_device))
    expected = _orders(budgets=True) | (loader - {"ttl"})
    assert expected == by_budget[0].options
    assert expected - {"budget"} == by_device[0].options


@BY_NAME
@pytest.mark.parametrize("name", MEMORY)
def test_a_memory_policy_takes_what_its_class_and_its_order_do(
    overloads: list[Overload], loader: set[str], name: str
) -> None:
    [found] = [each for each in overloads if name in (each.names or ())]
    taken = _of_class(policies.registry[name]) | _orders(budgets=False)
    assert taken | (loader - {"ttl"}) <= found.options | {"device"}
    # Each has one of these, or both, and is not always told apart from the others.
    assert found.options - taken - loader <= {"device", "probe"}
    assert set() == found.required


def test_a_cache_takes_the_options_of_the_loader_beside_it() -> None:
    beside = [each for each in WARM if "cache" in each.required]
    assert 2 == len(beside)
    for each in beside:
        assert OF_THE_LOADER | {"cache"} == each.options


def test_a_warm_class_has_what_type_checkers_are_told() -> None:
    source = inspect.getsource(classes)
    told = {*re.findall(r"^        def (\w+)\(", source, re.MULTILINE)}
    assert {*API, "cache"} == told
    assert [] == [name for name in vars(WarmClass) if not name.startswith("__")]


def test_a_warm_function_has_what_type_checkers_are_told() -> None:
    told = {name for name in dir(Warm) if not name.startswith("_")}
    assert {*API, "cache"} == told


def test_what_no_memory_limits_is_told_apart_nowhere_but_in_types() -> None:
    assert [] == [name for name in dir(_decorator.Cache) if "limited_by" in name]
    assert hasattr(decorators, "Weighing") and hasattr(shared_caches, "NamedCache")
