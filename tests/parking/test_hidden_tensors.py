"""A tensor that a value has where few would look shares its bytes with the others as before."""

from __future__ import annotations

import abc
import weakref
from typing import Any

import pytest
from hiding_places import HIDING_PLACES, SHARED
from parking_rigs import ON_EACH_DEVICE, Rig, is_in_host_memory

pytestmark = ON_EACH_DEVICE


def check(rig: Rig, value: Any, whole: Any, view: Any) -> None:
    """Park a value and have it back; a ``view`` that it has somewhere must stay one."""
    storage = weakref.ref(whole.untyped_storage())
    before = whole.detach().clone()
    parked = rig.park(value)
    assert storage() is None, "its room is not free"
    assert is_in_host_memory(whole) and is_in_host_memory(view)
    parked.unpark()
    parked.drop()
    assert whole.untyped_storage()._cdata == view.untyped_storage()._cdata
    assert before.equal(whole)
    assert 0 == rig.slabs.in_use


@pytest.mark.parametrize("where", sorted(HIDING_PLACES))
def test_wherever_a_view_is_it_stays_one(torch: Any, rig: Rig, where: str) -> None:
    whole = torch.randn(4, 4)
    view = whole.t()
    check(rig, [whole, HIDING_PLACES[where](view)], whole, view)


@pytest.mark.parametrize("where", sorted(HIDING_PLACES.keys() - SHARED))
def test_what_is_the_values_alone_goes_along(torch: Any, rig: Rig, where: str) -> None:
    tensor = torch.randn(4)
    rig.park(HIDING_PLACES[where](tensor))
    assert is_in_host_memory(tensor)


def test_what_hooks_of_an_accumulated_gradient_have(torch: Any, rig: Rig) -> None:
    whole = torch.randn(4, requires_grad=True)
    view, factor = whole.detach()[1:], torch.randn(3)
    whole.register_post_accumulate_grad_hook(lambda leaf: leaf.grad[1:].mul_(view).mul_(factor))
    check(rig, whole, whole, view)
    rig.park(whole)
    assert is_in_host_memory(factor)


def test_what_a_subclass_of_tensors_has_in_its_slots(torch: Any, rig: Rig) -> None:
    class Slotted(torch.Tensor):  # type: ignore[misc]
        __slots__ = ("other", "part")

    whole = torch.randn(4)
    slotted = torch.zeros(3).as_subclass(Slotted)
    slotted.part, slotted.other = whole[1:], torch.randn(3)
    check(rig, [slotted, whole], whole, slotted.part)
    rig.park([slotted, whole])
    assert is_in_host_memory(slotted.other)


def test_what_a_function_of_autograd_has_kept(torch: Any, rig: Rig) -> None:
    class Doubled(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, values: Any) -> Any:
            ctx.part = values.detach()[1:]
            return values * 2

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * 2

    whole = torch.randn(4, requires_grad=True)
    outputs = Doubled.apply(whole)
    check(rig, [whole, outputs], whole, outputs.grad_fn.part)


def test_what_is_the_programs_and_none_of_its_bytes_stays(torch: Any, rig: Rig) -> None:
    whole, others = torch.randn(4), torch.randn(4)
    there = HIDING_PLACES["queue"]([whole[1:], others])
    check(rig, [whole, there], whole, there.queue[0][0])
    rig.park([whole, there])
    assert is_in_host_memory(whole) and not is_in_host_memory(others)


def test_what_classes_and_modules_have_is_not_the_values(torch: Any, rig: Rig) -> None:
    class Model(abc.ABC):
        part: Any

    model: Any = Model()
    model.whole = torch.randn(4)
    Model.part = model.whole[1:]
    rig.park(model)
    assert is_in_host_memory(model.whole) and not is_in_host_memory(Model.part)
