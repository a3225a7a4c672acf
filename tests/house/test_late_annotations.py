"""What annotations name may be defined after a loader: Python 3.14 puts off what they mean."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from typing import Any

import cloudpickle
import pytest

from warmcache import Registry

# Before, a file has to say so.
PUT_OFF = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"
FILE = """
from warmcache import warm

@warm
def function(given: Later) -> Later:
    return given

@warm
async def coroutine(given: Later) -> Later:
    return given

class Zoo:
    @warm
    def method(self, given: Later) -> Later:
        return given

    @warm
    @classmethod
    def of_class(cls, given: Later) -> Later:
        return given

    @warm
    @staticmethod
    def static(given: Later) -> Later:
        return given

class Cold:
    def __init__(self, given: Later) -> None:
        self.given = given

@warm
class Model(Cold):
    pass
"""
LOADERS = ("function", "coroutine", "Zoo.method", "Zoo().method", "Zoo.of_class", "Zoo.static")


class Later:
    """What the annotations mean."""


def run(source: str) -> dict[str, Any]:
    """Run a file and return what it defines."""
    names = vars(types.ModuleType("annotated_late"))
    exec(compile(PUT_OFF + source, "<file>", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("loader", LOADERS)
def test_a_loader_may_be_annotated_with_what_is_defined_after_it(loader: str) -> None:
    names = run(FILE)
    load = eval(loader, names)
    with pytest.raises(NameError):
        typing.get_type_hints(load)
    names["Later"] = Later
    assert {"given": Later, "return": Later} == typing.get_type_hints(load)
    assert load.__wrapped__.__annotations__ == load.__annotations__
    annotation = inspect.signature(load.__wrapped__).parameters["given"].annotation
    assert annotation == inspect.signature(load).parameters["given"].annotation


def test_a_class_has_texts_in_its_signature_then_and_travels_by_value() -> None:
    names = run(FILE)
    signature = inspect.signature(names["Model"])
    names["Later"] = Later  # for cloudpickle evaluates what the class is annotated with
    assert "Later" == signature.parameters["given"].annotation
    assert 1 == cloudpickle.loads(cloudpickle.dumps(names["Model"]))(1).given


def test_a_class_has_the_signature_that_it_would_have_without_warm() -> None:
    names = run("class Later: pass\n" + FILE)
    assert inspect.signature(names["Cold"]) == inspect.signature(names["Model"])


def test_the_options_of_a_factory_are_known_all_the_same() -> None:
    registry: Registry[Any] = Registry("factory")
    registry.register("it")(run("def make(*, one: Later = 1) -> Later: return [one]")["make"])
    assert [2] == registry.create("it", one=2)
    with pytest.raises(TypeError, match="did you mean 'one'"):
        registry.create("it", on=2)
