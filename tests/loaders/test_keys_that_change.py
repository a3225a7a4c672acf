"""What is compared by identity and has a state that is put in is refused as an argument."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import numpy as np
import pytest

from warmcache import KeyingError, warm


class Module:
    """As torch's modules: compared by identity, and changed in place."""

    def __init__(self) -> None:
        self.weights = [1]

    def state_dict(self) -> Any:
        return {"weights": self.weights}

    def load_state_dict(self, state: Any) -> None:
        self.weights = state["weights"]


class Estimator:
    def get_params(self) -> Any: ...
    def set_params(self) -> Any: ...


class Keras:
    def get_weights(self) -> Any: ...
    def set_weights(self) -> Any: ...


CHANGING = [Module(), Estimator(), Keras(), random.Random(1), np.random.RandomState(1)]
CHANGING.append(np.random.default_rng(1))


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it], lambda it: {"model": it}])
@pytest.mark.parametrize("it", CHANGING, ids=lambda it: type(it).__name__)
def test_it_is_refused_with_advice_wherever_it_hides(it: Any, wrap: Any) -> None:
    loads: list[Any] = []
    load = warm(lambda model, *rest, **named: loads.append(model))
    for call in (lambda: load(wrap(it)), lambda: load(1, wrap(it)), lambda: load(1, x=wrap(it))):
        with pytest.raises(KeyingError, match=r"by identity.*changed it.*weakref\.ref") as refused:
            call()
        assert type(it).__name__ in str(refused.value)
    assert [] == loads


class OfItsOwnMind(Module):
    def __warm_key__(self) -> Any:
        return self.weights


class Equal(Module):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.weights == other.weights

    def __hash__(self) -> int:
        return 1


def test_a_class_that_says_what_it_is_compared_by_is_taken() -> None:
    load = warm(lambda model: object())
    for kind in (OfItsOwnMind, Equal):
        first, same, other = kind(), kind(), kind()
        other.load_state_dict({"weights": [2]})
        assert load(first) is load(same) is not load(other)


def test_the_class_itself_and_other_objects_by_identity_are_taken() -> None:
    load, one = warm(lambda model: object()), object()
    assert load(Module) is load(Module) is not load(Estimator)
    assert load(one) is load(one) is not load(object())


def test_the_key_can_leave_it_out_or_mean_this_very_object() -> None:
    free = warm(key={"model": None})(lambda name, model: object())
    assert free("a", Module()) is free("a", Module())

    by_identity = warm(key={"model": weakref.ref})(lambda model: object())
    model = Module()
    first = by_identity(model)
    assert first is by_identity(model) is not by_identity(Module())
    del model
    gc.collect()
    assert all(first is not by_identity(Module()) for _ in range(10)), "no id is taken over"


def test_an_unchanged_default_of_that_kind_is_known_as_itself() -> None:
    load = warm(lambda name, chance=random.Random(1): object())  # noqa: B008
    assert load("a") is load("a")
    with pytest.raises(KeyingError):
        load("a", random.Random(1))


@pytest.mark.models
def test_what_torch_has_of_that_kind_is_refused() -> None:
    import torch  # pyright: ignore[reportMissingImports]

    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    load = warm(lambda model: object())
    for it in (module, torch.nn.Sequential(module), optimizer, scheduler, torch.Generator()):
        with pytest.raises(KeyingError, match=f"{type(it).__name__} cannot .* by identity"):
            load(it)
    assert load(torch.nn.Linear) is load(torch.nn.Linear)
    assert load(torch.float16) is load(torch.float16) is not load(torch.device("cpu"))


class Layered:
    @warm
    def built(self) -> object:
        return object()


class LayeredModule(Module, Layered):
    """The instance of a warm method is no argument."""


def test_a_warm_method_of_such_a_class_is_fine() -> None:
    model = LayeredModule()
    assert model.built() is model.built()
