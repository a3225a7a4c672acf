"""What a value has of torch on a device: its tensors, and the storages that they look into.

Found is what the walk reaches, and what a view was taken of: a view holds its base, and would else
keep the old storage. Also seen are hooks, which may have tensors of their own.

Refused is what cannot be moved whole. Whoever holds a storage itself, or an array of another
library over the same bytes, would look at the old ones; a CUDA graph has addresses.
"""

from __future__ import annotations

import functools
import gc
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeAlias

from warmcache._ours import is_ours
from warmcache._walk import Handler, attributes, imported, nothing_inside, walk

from .devices import Device
from .parking import CannotPark
from .views import parts_of

# Each with the numbers of the storages of its parts, None for one without bytes.
Tensors: TypeAlias = Sequence[tuple[Any, tuple[int | None, ...]]]


class Held(NamedTuple):
    """Tensors, the storages that they look into, and on which devices those are at home.

    ``whole`` has for a storage, by its number, a tensor that is all of it in order.
    """

    tensors: Tensors
    storages: Sequence[Any]
    whole: Mapping[int, Any]
    places: Sequence[Any]


_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")  # the latter since torch 2.1
_OWN = ("_parameters", "_buffers", "_modules")


class Finding:
    """The tensors of one value.

    Attributes:
        tensors: each that looks into a storage on the device.
        storages: those, each once.
        whole: for a storage, by its number, a tensor that is all of it in order.
        elsewhere: where a tensor lies that is not on the device, if there is one.
    """

    def __init__(self, torch: Any, device: Device) -> None:
        self.tensors: list[tuple[Any, tuple[int | None, ...]]] = []
        self.storages: list[Any] = []
        self.whole: dict[int, Any] = {}
        self.elsewhere: Any = None
        self._torch = torch
        self._device = device
        self._numbers: dict[int, int] = {}
        self._plain = (torch.Tensor, torch.nn.Parameter)
        self._why_not: str | None = None

    def of(self, value: object) -> None:
        """Find what ``value`` has.

        Raises:
            CannotPark: something in it cannot be moved.
        """
        walk(value, self._handler)
        if self._why_not is None and self._has_others():
            walk(value, self._deep_handler({id(tensor) for tensor, _ in self.tensors}))
        if self._why_not is None and self._overlap():
            self._why_not = "two of its storages share bytes"
        if self._why_not is not None:
            raise CannotPark(self._why_not)

    @property
    def held(self) -> Held:
        places = [storage.device for storage in self.storages]
        return Held(self.tensors, self.storages, self.whole, places)

    @property
    def nbytes(self) -> int:
        """Of all the storages."""
        return sum(storage.nbytes() for storage in self.storages)

    def _handler(self, kind: type) -> Handler | None:
        torch, numpy = self._torch, imported("numpy", "ndarray")
        if issubclass(kind, torch.Tensor):
            return self._tensor
        if issubclass(kind, torch.UntypedStorage):
            return self._storage
        if issubclass(kind, torch.nn.Module):
            return _module
        if issubclass(kind, torch.cuda.CUDAGraph):
            return self._graph
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return _array
        if hasattr(kind, "__cuda_array_interface__"):
            return self._foreign
        return None

    def _has_others(self) -> bool:
        """Whether some tensor looks into one of the storages that was not found."""
        count = getattr(self._torch._C, "_storage_Use_Count", None)
        found = Counter(chain.from_iterable(numbers for _, numbers in self.tensors))
        return count is not None and any(
            count(storage._cdata) > found[number] + 1  # that is what Python has of the storage
            for number, storage in enumerate(self.storages)
        )

    def _deep_handler(self, known: set[int]) -> Callable[[type], Handler | None]:
        """Return what finds those others if the value has them where else nobody looks.

        That is in what may be the program's, as a queue or a cache of ``functools`` is: so nothing
        of that is moved but what looks into the value's own storages.
        """

        def others(tensor: Any) -> Iterable[object]:
            inside = gc.get_referents(tensor)
            if id(tensor) not in known and self._is_alias(tensor):
                inside += self._tensor(tensor)
            return inside

        def handler(kind: type) -> Handler | None:
            if issubclass(kind, self._torch.Tensor):
                return others
            if issubclass(kind, type | types.ModuleType | self._torch.UntypedStorage):
                return nothing_inside
            usual = issubclass(kind, types.FunctionType | types.MethodType | functools.partial)
            return None if usual or is_ours(kind.__module__) else gc.get_referents

        return handler

    def _is_alias(self, tensor: Any) -> bool:
        try:
            parts = parts_of(self._torch, tensor)
            return any(part.untyped_storage()._cdata in self._numbers for part in parts)
        except (NotImplementedError, RuntimeError):  # it has no storage
            return False

    def _tensor(self, tensor: Any) -> Iterable[object]:
        # Whatever goes wrong, a tensor that is not moved is a value in two places.
        try:
            return self._found(tensor)
        except Exception as error:
            self._refuse(f"a {type(tensor).__name__} in it cannot be moved: {error}")
            return ()

    def _found(self, tensor: Any) -> list[object]:
        # Asking any other tensor for its gradient warns.
        inside = [tensor.grad] if tensor.is_leaf or tensor.retains_grad else []
        plain = type(tensor) in self._plain  # which have no slots, to look for at length
        inside += tensor.__dict__.values() if plain else attributes(tensor)
        for name in _HOOKS:
            inside += (getattr(tensor, name, None) or {}).values()
        if tensor._is_view():
            inside.append(tensor._base)
        if hasattr(type(tensor), "__tensor_flatten__"):
            return inside + [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
        try:
            parts = parts_of(self._torch, tensor)
            storages = [part.untyped_storage() for part in parts]
        except NotImplementedError:  # its bytes are in a form that torch keeps to itself
            if self._device.has(tensor.device):
                raise
            storages = []
        numbers = tuple([self._number(storage) for storage in storages])
        if any(number is not None for number in numbers):
            self.tensors.append((tensor, numbers))
            self._remember_whole(tensor, numbers[0], storages[0])
        elif not self._device.has(tensor.device):
            self.elsewhere = tensor.device
        return inside

    def _number(self, storage: Any) -> int | None:
        """Return the number of a storage on the device; None if it is none that has bytes."""
        number = self._numbers.get(storage._cdata)
        if number is not None:
            return number
        if not (self._device.holds(storage) and storage.nbytes() and storage.data_ptr()):
            return None
        number = self._numbers[storage._cdata] = len(self.storages)
        self.storages.append(storage)
        return number

    def _remember_whole(self, tensor: Any, number: int | None, storage: Any) -> None:
        """Keep a tensor in mind by which a storage can be copied without a view of its bytes."""
        if (
            number is not None
            and number not in self.whole
            and type(tensor) in self._plain
            and tensor.layout is self._torch.strided
            and tensor.is_contiguous()
            and tensor.nbytes == storage.nbytes()
        ):
            self.whole[number] = tensor

    def _storage(self, storage: Any) -> None:
        if self._device.holds(storage) and storage.nbytes():
            self._refuse("it holds a storage of torch itself, besides tensors")

    def _graph(self, graph: object) -> None:
        self._refuse("it holds a CUDA graph, which has the addresses of its tensors")

    def _foreign(self, values: Any) -> None:
        if values.__cuda_array_interface__["data"][0]:
            self._refuse(f"it holds a {type(values).__name__}, which is not of torch")

    def _refuse(self, why: str) -> None:
        self._why_not = self._why_not or why

    def _overlap(self) -> bool:
        ranges = sorted((each.data_ptr(), each.nbytes()) for each in self.storages)
        return any(
            start + nbytes > following for (start, nbytes), (following, _) in pairwise(ranges)
        )


def _module(module: Any) -> Iterable[object]:
    """Return what a ``torch.nn.Module`` has, its hooks included, without empty dicts."""
    own = module.__dict__
    more = [each for name, each in own.items() if name not in _OWN and not _is_empty(each)]
    return chain(*(own[name].values() for name in _OWN), more)


def _is_empty(thing: object) -> bool:
    return isinstance(thing, dict) and not thing


def _array(values: Any) -> Iterable[object]:
    return values.ravel().tolist() if values.dtype.hasobject else ()
