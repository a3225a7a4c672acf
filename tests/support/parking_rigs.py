"""What tests of parking share: a device to park from, and what a value must be before and after."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from simulated_device import SimulatedDevice

from warmcache._parking.choice import parker_for
from warmcache._parking.parking import Parked
from warmcache._parking.slabs import Slabs

# The claims of one device, simulated or real: each a rig's name.
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.models, id="simulated"),
    pytest.param("cuda", marks=pytest.mark.gpu, id="cuda"),
]
ON_EACH_DEVICE = [
    pytest.mark.parametrize("place", DEVICES),
    pytest.mark.filterwarnings("ignore"),  # many kinds of tensors are announced as new, or old
]


class Rig:
    """A parker, its slabs, and the device that it parks from."""

    def __init__(self, place: str = "cpu", *, retain: bool = False) -> None:
        self.place = place
        self.slabs = Slabs(retain=retain)
        self.device = SimulatedDevice() if place == "cpu" else None
        self.parker = parker_for(None, self.slabs, self.device)

    def park(self, value: Any, weight: float = 0) -> Parked:
        return self.parker.park(value, weight)

    def there_and_back(self, value: Any, times: int = 2) -> None:
        """Park a value and bring it back; what it was it must be again, bit for bit."""
        before = facts(value)
        for _ in range(times):
            parked = self.park(value)
            assert all(is_in_host_memory(each) for each in tensors_in(value))
            assert parked.unpark() is value
            parked.drop()
            assert before == facts(value)
            assert 0 == self.slabs.in_use


def is_in_host_memory(tensor: Any) -> bool:
    """Whether a parked tensor looks into a slab, or has no bytes at all."""
    return all(
        "cpu" == part.device.type and not part.untyped_storage().resizable()
        for part in bare_parts(tensor)
        if part.untyped_storage().nbytes()
    )


def bare_parts(tensor: Any) -> list[Any]:
    """Return the strided tensors that have the bytes of one."""
    import torch

    if hasattr(type(tensor), "__tensor_flatten__"):
        names = tensor.__tensor_flatten__()[0]
        return [part for name in names for part in bare_parts(getattr(tensor, name))]
    if tensor.layout is torch.strided:
        return [tensor]
    return [tensor._indices(), tensor._values()]


def tensors_in(value: Any) -> list[Any]:
    """Return each tensor of a value, its gradients and bases included, once and in order."""
    found: dict[int, Any] = {}
    _collect(value, found, set())
    return list(found.values())


def _collect(value: Any, found: dict[int, Any], seen: set[int]) -> None:
    import torch

    if id(value) in seen or isinstance(value, str | int | float | None):
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        found[id(value)] = value
        inside = [value._base] if value._is_view() else []
        inside += [value.grad] if value.is_leaf or value.retains_grad else []
        for each in (*inside, *vars(value).values()):
            _collect(each, found, seen)
    elif isinstance(value, torch.nn.Module):
        for each in (*value.parameters(), *value.buffers(), *vars(value).values()):
            _collect(each, found, seen)
        for child in value.children():
            _collect(child, found, seen)
    elif isinstance(value, torch.optim.Optimizer):
        _collect([value.param_groups, value.state], found, seen)
    elif isinstance(value, dict):
        for key, each in value.items():
            _collect(key, found, seen)
            _collect(each, found, seen)
    elif isinstance(value, list | tuple):
        for each in value:
            _collect(each, found, seen)
    elif callable(value) and getattr(value, "__closure__", None):
        for cell in value.__closure__:
            _collect(cell.cell_contents, found, seen)


def facts(value: Any) -> list[Any]:
    """Return all that there is to know of a value's tensors, each by its id."""
    tensors = tensors_in(value)
    storages: dict[int, int] = {}  # which look into one storage, by the first that does
    return [(id(each), _facts_of(each, storages)) for each in tensors]


def contents(storage: Any) -> bytes:
    there = storage.cpu()
    return ctypes.string_at(there.data_ptr(), there.nbytes()) if there.nbytes() else b""


def _facts_of(tensor: Any, storages: dict[int, int]) -> list[Any]:
    import torch

    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        found = [type(tensor), tensor.dtype, tensor.device, tensor.layout, tensor.size()]
        found += [tensor.requires_grad, tensor.is_leaf, tensor.retains_grad, tensor.grad_fn]
        found += [tensor.is_inference(), [*vars(tensor)]]
        found.append(tensor.is_inference() or tensor._version)
        found += [tensor._is_view() and id(tensor._base), tensor._backward_hooks]
        if tensor.layout is torch.sparse_coo:
            found.append(tensor.is_coalesced())
        for part in bare_parts(tensor):
            storage = part.untyped_storage()
            found += [part.size(), part.stride(), part.storage_offset()]
            found += [part.is_conj(), part.is_neg(), storage.nbytes()]
            found.append(storages.setdefault(storage._cdata, len(storages)))
            found.append(contents(storage))
            if part.is_quantized:
                found.append(part.qscheme())
    return found
