"""Any module, however it is tied together, comes back bit for bit from wherever parking ended."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from parking_rigs import Rig, facts
from simulated_device import StepError

from warmcache._parking import CannotPark

pytestmark = [pytest.mark.models, pytest.mark.property]

DTYPES = ["float32", "float64", "bfloat16", "float16", "complex64", "int64", "uint8", "bool"]


class Tree:
    """A tree of modules, of which each draws what it has, and from whom."""

    def __init__(self, draw: Any) -> None:
        import torch

        self.torch = torch
        self.draw = draw
        self.tensors: list[Any] = []
        self.root = self.module(0)
        self.root.optimizer = self.optimizer()

    def module(self, depth: int) -> Any:
        module = self.torch.nn.Module()
        for at in range(self.draw(st.integers(0, 4))):
            name, tensor = f"t{at}", self.tensor()
            self.tensors.append(tensor)
            kind = self.draw(st.sampled_from(["parameter", "buffer", "plain", "list"]))
            if kind == "parameter" and not isinstance(tensor, self.torch.nn.Parameter):
                can_learn = tensor.is_floating_point() and not tensor.is_inference()
                tensor = self.torch.nn.Parameter(tensor, can_learn and self.draw(st.booleans()))
                self.tensors.append(tensor)
            if kind == "parameter":
                module.register_parameter(name, tensor)
            elif kind == "buffer":
                module.register_buffer(name, tensor.detach(), persistent=self.draw(st.booleans()))
            else:
                setattr(module, name, tensor if kind == "plain" else [{"deep": (tensor,)}])
        for at in range(self.draw(st.integers(0, 2)) if depth < 3 else 0):
            module.add_module(f"m{at}", self.module(depth + 1))
        return module

    def tensor(self) -> Any:
        """Return a new tensor, one that there is already, or a view of that."""
        how = self.draw(st.sampled_from(["new", "tied", "slice", "turned", "strided", "detached"]))
        if how == "new" or not self.tensors:
            return self.new()
        other = self.draw(st.sampled_from(self.tensors))
        if how == "tied":
            return other
        other = other.detach()
        if how == "slice" and other.dim() and len(other):
            start = self.draw(st.integers(0, len(other) - 1))
            return other[start :: self.draw(st.integers(1, 3))]
        if how == "turned" and other.is_complex():
            return other.conj()
        if how == "strided" and other.numel() > 3:
            flat = other.as_strided((other.untyped_storage().nbytes() // other.itemsize,), (1,), 0)
            return flat.unfold(0, self.draw(st.integers(1, 3)), self.draw(st.integers(1, 3)))
        return other.t() if other.dim() == 2 else other

    def new(self) -> Any:
        dtype = getattr(self.torch, self.draw(st.sampled_from(DTYPES)))
        shape = self.draw(st.lists(st.integers(0, 5), max_size=2))
        made = self.torch.rand(shape).mul(2).to(dtype)
        if self.draw(st.booleans()):
            return made
        with self.torch.inference_mode(self.draw(st.booleans())):
            return made.clone()

    def optimizer(self) -> Any:
        """Return an optimizer of the leaves that could learn, after a step or before."""
        leaves = [
            tensor
            for tensor in {id(each): each for each in self.root.parameters()}.values()
            if tensor.requires_grad and not tensor.is_inference()
        ]
        if not leaves or not self.draw(st.booleans()):
            return None
        optimizer = self.torch.optim.SGD(leaves, lr=0.1, momentum=0.9)
        for leaf in leaves:
            if self.draw(st.booleans()):
                leaf.grad = self.torch.ones_like(leaf)
        optimizer.step()
        return optimizer


@st.composite
def trees(draw: Any) -> Any:
    return Tree(draw).root


@settings(max_examples=150, deadline=None)
@given(trees(), st.integers(0, 30))
def test_any_tree_of_modules_survives_a_failure_and_then_a_parking(root: Any, fail_at: int) -> None:
    rig = Rig()
    assert rig.device is not None
    before = facts(root)
    rig.device.begin(fail_at)
    parked = None
    try:
        parked = rig.park(root)
        inside = facts(root)
        parked.unpark()
        parked.drop()
        assert before == facts(root)
    except CannotPark:
        assert before == facts(root)
    except StepError:
        assert parked is not None and inside == facts(root)
        rig.device.begin()
        assert parked.unpark() is root
        parked.drop()
        assert before == facts(root)
    rig.device.begin()
    if any(storage_bytes(fact) for fact in before):
        rig.there_and_back(root, times=1)


def storage_bytes(fact: Any) -> bool:
    return any(isinstance(each, bytes) and each for each in fact[1])
