"""Any module, however it is tied together, comes back bit for bit from wherever parking ended."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hiding_places import HIDING_PLACES
from hypothesis import given, settings
from parking_rigs import Rig, facts
from simulated_device import StepError

from warmcache._parking.parking import CannotPark

pytestmark = [pytest.mark.models, pytest.mark.property]

DTYPES = ["float32", "float64", "bfloat16", "float16", "complex64", "int64", "uint8", "bool"]
DTYPES += ["float8_e4m3fn"]
KINDS = ["new", "tied", "slice", "turned", "strided", "detached", "expanded"]


class Tree:
    """A tree of modules, of which each draws what it has, and from whom."""

    def __init__(self, draw: Any) -> None:
        import torch

        self.torch = torch
        self.draw = draw
        self.tensors: list[Any] = []
        self.learn = {torch.float32, torch.float64, torch.bfloat16, torch.float16}
        self.hidden: list[tuple[Any, Any]] = []  # which share a storage
        self.root = self.module(0)
        self.root.optimizer = self.optimizer()

    def module(self, depth: int) -> Any:
        module = self.torch.nn.Module()
        for at in range(self.draw(st.integers(0, 4))):
            name, tensor = f"t{at}", self.tensor()
            self.tensors.append(tensor)
            kind = self.draw(st.sampled_from(["parameter", "buffer", "plain", "list"]))
            if kind == "parameter" and not isinstance(tensor, self.torch.nn.Parameter):
                can_learn = tensor.dtype in self.learn and not tensor.is_inference()
                tensor = self.torch.nn.Parameter(tensor, can_learn and self.draw(st.booleans()))
                self.tensors.append(tensor)
            if kind == "parameter":
                module.register_parameter(name, tensor)
            elif kind == "buffer":
                tensor = tensor.detach()
                module.register_buffer(name, tensor, persistent=self.draw(st.booleans()))
            else:
                setattr(module, name, tensor if kind == "plain" else [{"deep": (tensor,)}])
            if tensor.layout is self.torch.strided and self.draw(st.booleans()):
                self.hide(module, f"h{at}", tensor)
        for at in range(self.draw(st.integers(0, 2)) if depth < 3 else 0):
            module.add_module(f"m{at}", self.module(depth + 1))
        return module

    def hide(self, module: Any, name: str, tensor: Any) -> None:
        """Have the module have another view where few would look."""
        view = tensor.detach()
        where = self.draw(st.sampled_from(sorted(HIDING_PLACES)))
        setattr(module, name, HIDING_PLACES[where](view))
        self.hidden.append((tensor, view))

    def tensor(self) -> Any:
        """Return a new tensor, one that there is already, or a view of that."""
        how = self.draw(st.sampled_from(KINDS))
        if how == "new" or not self.tensors:
            return self.new()
        other = self.draw(st.sampled_from(self.tensors))
        if how == "tied" or other.layout is not self.torch.strided:
            return other
        other = other.detach()
        if how == "expanded":
            return other.expand(2, *other.shape)
        if how == "slice" and other.dim() and len(other):
            start = self.draw(st.integers(0, len(other) - 1))
            return other[start :: self.draw(st.integers(1, 3))]
        if how == "turned" and other.is_complex():
            return other.conj()
        whole = other.untyped_storage().nbytes() // other.itemsize
        if how == "strided" and whole > 3:
            flat = other.as_strided((whole,), (1,), 0)
            return flat.unfold(0, self.draw(st.integers(1, 3)), self.draw(st.integers(1, 3)))
        return other.t() if other.dim() == 2 else other

    def new(self) -> Any:
        dtype = getattr(self.torch, self.draw(st.sampled_from(DTYPES)))
        shape = self.draw(st.lists(st.integers(0, 5), max_size=2))
        made = self.torch.rand(shape).mul(2).to(dtype)
        form = self.draw(st.sampled_from(["dense", "sparse", "channels last"]))
        if form == "sparse" and shape and dtype is self.torch.float32:
            return made.to_sparse()
        if form == "channels last":
            made = made.expand(1, 2, *[1] * (2 - len(shape)), *shape).contiguous(
                memory_format=self.torch.channels_last
            )
        if self.draw(st.booleans()):
            return made
        with self.torch.inference_mode(self.draw(st.booleans())):
            return made.clone()

    def optimizer(self) -> Any:
        """Return an optimizer of the leaves that could learn, after a step or before."""
        leaves = [
            tensor
            for tensor in {id(each): each for each in self.root.parameters()}.values()
            if tensor.requires_grad and not tensor.is_inference() and 0 not in tensor.stride()
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
    return Tree(draw)


@settings(max_examples=150, deadline=None)
@given(trees(), st.integers(0, 30))
def test_any_tree_of_modules_survives_a_failure_and_then_a_parking(
    tree: Tree, fail_at: int
) -> None:
    rig, root = Rig(), tree.root
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
    for tensor, view in tree.hidden:
        assert tensor.untyped_storage()._cdata == view.untyped_storage()._cdata


def storage_bytes(fact: Any) -> bool:
    return any(isinstance(each, bytes) and each for each in fact[1])
