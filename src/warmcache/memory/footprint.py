"""The bytes that an object holds on a device: its tensors, arrays and buffers, each once.

They are found by a walk over all that the object consists of. A value may refer to its loader, its
cache or a lease: what is warm there is not entered, for the value does not hold it.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from warmcache._walk import Handler, imported, module_parts, walk

from .address_ranges import BUFFERS, Range, Ref, address, clusters, extent
from .blocks import Block, blocks_of_parts, size_of
from .mapped_files import apart_from_files

_SMALL = 4096  # bytes objects below that are names and numbers, and there may be many


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an object holds on a device.

    Attributes:
        nbytes: all of it, in bytes; memory that several share is counted once, and what is
            mapped from files is not counted.
        parts: what owns those bytes, each as a weak reference and its bytes: the bytes
            are in use as long as calling the reference gives an object. They sum up to
            less than ``nbytes`` where an owner cannot be referred to weakly, such as a
            ``bytearray``.
        faces: weak references to the tensors and arrays that were seen, for telling
            who still holds one.
        mapped: bytes beside those that are mapped from files: the system can drop them.
        blocks: what the parts are by their addresses, where these are known: start, end and
            a weak reference to the owner of each. By default parts are told by their owners.
    """

    nbytes: int
    parts: tuple[tuple[Ref, int], ...]
    faces: tuple[Ref, ...]
    mapped: int = 0
    blocks: tuple[Block, ...] | None = None


def footprint(value: object, device: object) -> Footprint | None:
    """Return what ``value`` holds on ``device``; None if it holds nothing that can be seen.

    Args:
        value: anything. Its tensors, arrays and buffers are looked for in modules,
            optimizers, containers, and the attributes of objects.
        device: ``"cuda:0"`` or 0, ``"cuda"`` for all of them, ``"cpu"``, or a
            ``torch.device``.
    """
    return _Counting(f"cuda:{device}" if isinstance(device, int) else str(device)).of(value)


def blocks_of(footprint: Footprint | None) -> tuple[Block, ...]:
    """Return the blocks of what a ``footprint`` has seen, as far as they are known.

    Of one whose blocks are more bytes than itself a figure is wrong: none of them counts.
    """
    if footprint is None:
        return ()
    blocks = footprint.blocks
    if blocks is None:
        blocks = blocks_of_parts(footprint.parts)
    return blocks if size_of(blocks) <= footprint.nbytes else ()


@dataclass(frozen=True, slots=True)
class _AnyOf:
    """The weak reference to memory that several own: it is in use as long as one of them."""

    owners: tuple[Ref, ...]

    def __call__(self) -> object:
        return next((thing for owner in self.owners if (thing := owner()) is not None), None)


def _one_of(owners: list[Ref | None]) -> Ref | None:
    """Return what tells whether memory is in use that ``owners`` own; None if nobody can."""
    if len(owners) == 1:
        return owners[0]
    known = tuple([owner for owner in owners if owner is not None])
    return _AnyOf(known) if len(known) == len(owners) else None


class _Counting:
    """What is counted by one walk over one value."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._torch = imported("torch", "Tensor", "nn", "UntypedStorage")
        self._numpy = imported("numpy", "ndarray")
        self._ranges: list[Range] = []
        self._elsewhere = 0  # bytes at addresses that are not told
        self._parts: list[tuple[Ref, int]] = []
        self._blocks: list[Block] = []
        self._faces: list[Ref] = []
        self._storages: set[int] = set()

    def of(self, value: object) -> Footprint | None:
        if self._torch is None:
            walk(value, self._handler)
        else:
            with self._torch._C.DisableTorchFunctionSubclass():
                walk(value, self._handler)
        ranges: Sequence[Range] = [
            (start, end, _one_of(owners)) for start, end, owners in clusters(self._ranges)
        ]
        mapped = 0
        if self._device == "cpu":
            ranges, mapped = apart_from_files(ranges)
        nbytes = self._elsewhere
        for block in ranges:
            start, end, owner = block
            nbytes += end - start
            if owner is not None:
                self._parts.append((owner, end - start))
                self._blocks.append(block)  # type: ignore[arg-type]
        if not nbytes and not mapped:
            return None
        found = tuple(self._parts), tuple(self._faces), mapped, tuple(self._blocks)
        return Footprint(nbytes, *found)

    # -- what is done with which type ----------------------------------------------------

    def _handler(self, kind: type) -> Handler | None:
        torch, numpy = self._torch, self._numpy
        if torch is not None:
            if issubclass(kind, torch.Tensor):
                return self._tensor
            if issubclass(kind, torch.UntypedStorage):
                return self._storage
            if issubclass(kind, torch.nn.Module):
                return functools.partial(module_parts, vars(torch.nn.Module()).keys())
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return self._array
        if hasattr(kind, "__cuda_array_interface__"):
            return self._cuda_array
        if issubclass(kind, BUFFERS):
            return self._buffer
        return None

    # -- torch -----------------------------------------------------------------------------

    def _tensor(self, tensor: Any) -> Iterable[object]:
        # Asking any other tensor for its gradient warns.
        inside = [tensor.grad] if tensor.is_leaf or tensor.retains_grad else []
        inside += tensor.__dict__.values()
        if tensor.layout is not self._torch.strided or hasattr(type(tensor), "__tensor_flatten__"):
            parts = _inner_tensors(tensor)
            if parts is not None:
                return inside + parts
        try:
            storage = tensor.untyped_storage()
        except NotImplementedError:  # it has its bytes in a form of another library
            self._add_opaque(tensor)
        else:
            if self._storage(storage):
                self._faces.append(weakref.ref(tensor))
        return inside

    def _storage(self, storage: Any) -> list[object] | None:
        """Count a storage; return a list with it if that lies on the device."""
        place = storage.device  # a fake tensor's is "meta", whatever the tensor says
        if not self._is_here(place.type, place.index):
            return None
        # A storage's Python object lives as long as its memory, so its id is its own.
        if id(storage) not in self._storages:
            self._storages.add(id(storage))
            nbytes, start = storage.nbytes(), storage.data_ptr()
            if nbytes and start:
                self._ranges.append((start, start + nbytes, weakref.ref(storage)))
        return [storage]

    def _add_opaque(self, tensor: Any) -> None:
        """Count a tensor that does not tell where its bytes are."""
        if self._is_here(tensor.device.type, tensor.device.index):
            nbytes = tensor.nelement() * tensor.element_size()
            self._elsewhere += nbytes
            self._parts.append((weakref.ref(tensor), nbytes))
            self._blocks += blocks_of_parts(self._parts[-1:])
            self._add_face(tensor)

    def _is_here(self, kind: str, index: int | None) -> bool:
        if self._device in ("cpu", "cuda"):
            return kind == self._device
        return self._device == (kind if index is None else f"{kind}:{index}")

    # -- arrays and buffers ------------------------------------------------------------------

    def _array(self, values: Any) -> Iterable[object]:
        owner = values
        while isinstance(owner.base, self._numpy.ndarray):
            owner = owner.base
        if self._device == "cpu":
            self._add_face(values)
            if owner.base is not None and address(owner.base) is not None:
                return [owner.base]  # a bytearray, a mapped file
            if self._torch is not None and isinstance(owner.base, self._torch.Tensor):
                return [owner.base]
            self._add(*extent(owner.__array_interface__, owner.itemsize), owner)
        return values.ravel().tolist() if values.dtype.hasobject else ()

    def _cuda_array(self, values: Any) -> None:
        """Count what tells of itself as Numba defined it: CuPy, Numba, RAPIDS, JAX.

        That does not include the device, so it is counted unless it says another one.
        """
        index = getattr(getattr(values, "device", None), "id", None)
        if not self._is_here("cuda", index if isinstance(index, int) else self._any_index()):
            return
        facts = values.__cuda_array_interface__
        if facts["data"][0]:
            self._add_face(values)
            self._add(*extent(facts, int(facts["typestr"][2:])), values)

    def _any_index(self) -> int | None:
        number = self._device.partition(":")[2]
        return int(number) if number.isdecimal() else None

    def _buffer(self, buffer: Any) -> Iterable[object]:
        owner = buffer.obj if isinstance(buffer, memoryview) else buffer
        if owner is not buffer and owner is not None:
            return [owner]
        if self._device == "cpu" and not (type(buffer) is bytes and len(buffer) < _SMALL):
            found = address(buffer)
            if found is not None and found[1]:
                self._add(found[0], sum(found), buffer)
        return ()

    def _add(self, start: int, end: int, owner: object) -> None:
        try:
            reference: Ref | None = weakref.ref(owner)
        except TypeError:
            reference = None
        if end > start:
            self._ranges.append((start, end, reference))

    def _add_face(self, thing: object) -> None:
        try:
            self._faces.append(weakref.ref(thing))
        except TypeError:
            pass


def _inner_tensors(tensor: Any) -> list[object] | None:
    """Return the tensors of which one is made; None if it has its bytes itself."""
    if hasattr(type(tensor), "__tensor_flatten__"):
        return [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
    layout = _layout(tensor.layout)
    if layout == "torch.sparse_coo":
        return [tensor._indices(), tensor._values()]
    if layout in ("torch.sparse_csr", "torch.sparse_bsr"):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if layout in ("torch.sparse_csc", "torch.sparse_bsc"):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return None


# The text of a layout takes longer than all the rest.
_layout = functools.lru_cache(maxsize=None)(str)
