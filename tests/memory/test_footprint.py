"""What of an object is seen on a device, and that each byte is counted once."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import mmap
import threading
import types
import weakref
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warmcache
from warmcache.memory.footprint import Footprint, footprint

KIB = 1024


def size(value: object, device: object = "cpu") -> int | None:
    found = footprint(value, device)
    return None if found is None else found.nbytes


def alive(found: Footprint) -> int:
    """Return how many bytes of its parts are still in use."""
    return sum(nbytes for owner, nbytes in found.parts if owner() is not None)


def survivors(found: Footprint) -> list[object]:
    """Return the tensors and arrays that still exist."""
    return [face for reference in found.faces if (face := reference()) is not None]


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slots:
    __slots__ = ("__weakref__", "a", "empty")

    def __init__(self, a: object) -> None:
        self.a = a


class MoreSlots(Slots):
    __slots__ = ("b",)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    first: object
    second: object = None


def kib(number: int = 1) -> Any:
    return np.zeros(number * KIB, np.uint8)


# -- where it looks --------------------------------------------------------------------


def closure(value: object) -> Any:
    def use() -> object:
        return value

    return use


def with_slots(value: object) -> MoreSlots:
    thing = MoreSlots(kib(2))
    thing.b = value
    return thing


class Method:
    def __init__(self, value: object) -> None:
        self.value = value

    def use(self) -> object:
        return self.value


HOLDERS = {
    "itself": lambda value: value,
    "list": lambda value: [1, "x", value],
    "tuple": lambda value: (None, (value,)),
    "dict": lambda value: {"a": value},
    "deque": lambda value: collections.deque([value]),
    "ordered dict": lambda value: collections.OrderedDict(a=value),
    "user dict": lambda value: collections.UserDict(a=value),
    "named tuple": lambda value: collections.namedtuple("Pair", "a b")(1, value),
    "attribute": lambda value: Plain(deep=Plain(er=value)),
    "dataclass": lambda value: Record(first=Record(value)),
    "namespace": lambda value: types.SimpleNamespace(a=value),
    "list with attributes": lambda value: type("L", (list,), {})([value]),
    "attribute of a list": lambda value: (
        vars(found := type("L", (list,), {})()).update(a=value) or found
    ),
    "partial": lambda value: functools.partial(print, value, end=""),
    "keyword of a partial": lambda value: functools.partial(print, end=value),
    "bound method": lambda value: Method(value).use,
    "closure": closure,
    "objects in an array": lambda value: np.array([None, value, 1], dtype=object)[1:2].tolist(),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_it_is_found_inside_of(holder: str) -> None:
    assert KIB == size(HOLDERS[holder](kib()))


def test_slots_are_attributes_of_all_classes_of_an_object() -> None:
    assert 3 * KIB == size(with_slots(kib()))


def test_keys_count_and_objects_in_arrays() -> None:
    assert 4096 == size({b"x" * 4096: 1})
    assert KIB + 16 == size(np.array([kib(), None], dtype=object))


def test_what_refers_to_itself_ends() -> None:
    ring: list[object] = [kib()]
    ring.append(ring)
    thing = Plain(ring=ring)
    thing.thing = thing
    assert KIB == size(thing)


class Module(types.ModuleType):
    data = kib()


SHARED = {
    "a module": Module("m"),
    "a class": type("Class", (), {"data": kib()}),
    "an instance's class": type("Class", (), {"data": kib()})(),
    "a thread": threading.Thread(target=print, args=(kib(),)),
    "a lock": threading.Lock(),
    "an error": ValueError(kib()),
    "another cache": warmcache.LRUCache(4),
    "small bytes": [b"x" * 4000],
    "numbers and names": [1, 2.0, "x", None, True, {"a": 1}],
    "nothing": None,
}


@pytest.mark.parametrize("what", SHARED)
def test_what_is_the_programs_or_small_is_not_seen(what: str) -> None:
    thing = SHARED[what]
    if isinstance(thing, warmcache.Cache):
        thing["x"] = kib()
    assert size(thing) is None
    assert size([thing, kib()]) == KIB


def test_a_weak_reference_holds_nothing() -> None:
    values = kib()
    assert size([weakref.ref(values), weakref.proxy(values)]) is None


class Reluctant:
    """Everything that is asked of it fails."""

    def __init__(self) -> None:
        object.__setattr__(self, "values", kib())

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(name)

    def __iter__(self) -> object:
        raise AssertionError("iterated")

    def __bool__(self) -> bool:
        raise AssertionError("asked for its truth")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = None  # type: ignore[assignment]

    @property
    def lazy(self) -> object:
        raise AssertionError("a property was run")


def test_nothing_of_an_object_is_run() -> None:
    assert KIB == size(Reluctant())
    items = type("Items", (dict,), {"values": Reluctant.__iter__, "__iter__": Reluctant.__iter__})
    assert KIB == size(items(a=kib()))


class Broken:
    """An array that does not tell."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise RuntimeError("gone")


def test_what_cannot_be_walked_does_not_spoil_the_rest() -> None:
    class Holder:
        device = None
        values = kib()

    assert size([Broken(), kib()], "cpu") == KIB
    assert size([Broken(), CudaArray(2, 4)], "cuda:0") == 8


# -- arrays and buffers of the host ----------------------------------------------------


def test_shared_memory_counts_once() -> None:
    values = kib(4)
    assert 4 * KIB == size([values, values])
    assert 4 * KIB == size([values, values[10:20], values.view(np.int32), values[::-1]])


def test_a_view_holds_all_of_what_it_views() -> None:
    assert 4 * KIB == size(kib(4)[10:20])
    assert 4 * KIB == size(kib(4).reshape(2, -1)[1].view(np.int16))


def test_buffers_count_however_they_are_seen() -> None:
    data = bytearray(5000)
    seen = [data, memoryview(data), memoryview(data)[7:9], np.frombuffer(data, np.uint8, 10)]
    for thing in [*seen, seen]:
        assert 5000 == size(thing)
    assert 5000 == size(bytes(5000))
    assert 5000 == size(np.frombuffer(bytes(5000), np.uint8))
    assert 8000 == size(array("d", range(1000)))
    assert KIB == size(memoryview(kib()))


def test_mapped_files_count(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(8192))
    assert 8192 == size(np.memmap(file, mode="r"))
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    assert 8192 == size([mapped, np.frombuffer(mapped, np.uint8)])
    mapped_elsewhere = mmap.mmap(-1, 4096)
    assert 4096 == size(mapped_elsewhere)
    mapped_elsewhere.close()
    assert size(mapped_elsewhere) is None


def test_a_buffer_can_be_resized_after_it_was_seen() -> None:
    data = bytearray(5000)
    assert 5000 == size(data)
    data.extend(b"more")  # a BufferError, as long as somebody has a view of it
    assert 5004 == size(data)


def test_views_that_were_made_from_addresses_overlap() -> None:
    values = kib(4)

    class Window:
        __array_interface__ = {
            **values.__array_interface__,
            "data": (values.__array_interface__["data"][0] + KIB, False),
            "strides": (2,),
            "shape": (2 * KIB,),
        }
        keep = values

    assert 5 * KIB - 1 == size([values, np.asarray(Window())])


def test_empty_ones_are_nothing() -> None:
    assert size([np.zeros(0), bytearray(), memoryview(b""), array("d")]) is None


def test_host_memory_is_not_on_a_card_nor_a_cards_on_the_host() -> None:
    assert size(kib(), "cuda:0") is None
    assert size(CudaArray(2, 4), "cpu") is None


# -- arrays of a card ------------------------------------------------------------------


class CudaArray:
    """An array on a card, as CuPy and Numba have them."""

    def __init__(self, *shape: int, start: int = 4096, device: int | None = None) -> None:
        self.start, self.shape, self.strides = start, shape, None
        if device is not None:
            self.device = types.SimpleNamespace(id=device)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "data": (self.start, False),
            "shape": self.shape,
            "strides": self.strides,
            "typestr": "|u1",
            "version": 3,
        }


def test_arrays_of_a_card_are_seen_by_their_interface() -> None:
    one = CudaArray(10, 100)
    other = CudaArray(10, 100, start=4596)
    assert 1000 == size(one, "cuda:0") == size(one, 0) == size(one, "cuda")
    assert 1500 == size([one, other, CudaArray(10, start=4096)], "cuda:0")
    strided = CudaArray(10, 10)
    strided.strides = (-100, 2)  # type: ignore[assignment]
    assert 900 + 18 + 1 == size(strided, "cuda:0")
    empty = CudaArray(0, 5)
    assert size([empty, CudaArray(5, start=0)], "cuda:0") is None
    empty.strides = (5, 1)  # type: ignore[assignment]
    assert size(empty, "cuda:0") is None


def test_memory_that_two_own_is_alive_as_long_as_one_of_them() -> None:
    arrays = [CudaArray(10), CudaArray(10, start=4100)]
    found = footprint(arrays, "cuda:0")
    assert found is not None
    assert (14, 14, 1) == (found.nbytes, alive(found), len(found.parts))
    del arrays[0]
    assert 14 == alive(found)
    del arrays[0]
    assert 0 == alive(found)


def test_an_array_that_tells_its_card_is_on_that_one_alone() -> None:
    values = CudaArray(8, device=1)
    assert (None, 8, 8) == (size(values, 0), size(values, 1), size(values, "cuda"))


# -- what is still there ---------------------------------------------------------------


def test_its_parts_live_as_long_as_the_memory() -> None:
    model = Plain(a=kib(1), b=kib(2), c=bytearray(5000))
    found = footprint(model, "cpu")
    assert found is not None
    assert (3 * KIB + 5000, 3 * KIB) == (found.nbytes, alive(found))
    kept = model.b[5:6]
    survivor = model.a
    del model
    assert 3 * KIB == alive(found)
    # A view keeps the array alive that it views.
    assert {id(survivor), id(kept.base)} == {*map(id, survivors(found))}
    del survivor
    assert 2 * KIB == alive(found)
    del kept
    assert (0, []) == (alive(found), survivors(found))


def test_looking_keeps_nothing_alive() -> None:
    model = Plain(a=Plain(), b=kib())
    model.a.model = model
    models = [weakref.ref(model), weakref.ref(model.b)]
    found = footprint(model, "cpu")
    del model.a.model, model
    gc_was = gc.isenabled()
    assert [None, None] == [reference() for reference in models], gc_was
    assert found is not None and found.nbytes == KIB


# -- torch -----------------------------------------------------------------------------


@pytest.fixture
def torch() -> Any:
    import torch

    return torch


@pytest.mark.models
def test_a_module_is_its_parameters_buffers_gradients_and_more(torch: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.BatchNorm1d(10))
    norm = 4 * 10 * 4 + 8
    assert 400 + norm == size(module)
    module(torch.zeros(2, 10)).sum().backward()
    assert 400 + norm + 400 + 2 * 40 == size(module)
    module.zero_grad(set_to_none=True)
    module.cache = {"keys": [torch.zeros(100)]}
    module[0].extra = torch.zeros(25)
    assert 400 + norm + 400 + 100 == size(module)


@pytest.mark.models
def test_an_optimizer_is_its_state_and_what_it_optimizes(torch: Any) -> None:
    module = torch.nn.Linear(10, 10, bias=False)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.zeros(1, 10)).sum().backward()
    optimizer.step()
    # Parameter, gradient, two moments, a count of steps.
    assert 4 * 400 + 4 == size(optimizer) == size([module, optimizer])


@pytest.mark.models
def test_tied_and_viewed_tensors_count_once_and_whole(torch: Any) -> None:
    values = torch.zeros(100)
    assert 400 == size([values, values[3:5], values.view(10, 10).t(), values.detach()])
    assert 400 == size(values[3:5])
    assert 400 == size(torch.nn.Parameter(values))
    assert 400 == size(values.untyped_storage())
    assert 400 == size([values, values.numpy(), np.asarray(values)[3:]])
    array = np.zeros(100)
    assert 800 == size([array, torch.from_numpy(array), torch.from_numpy(array[1:])])
    buffer = bytearray(4096)
    found = footprint([buffer, torch.frombuffer(buffer, dtype=torch.uint8)], "cpu")
    # Nobody can tell when the bytearray dies, so nobody is said to own this.
    assert found is not None and (4096, ()) == (found.nbytes, found.parts)


@pytest.mark.models
@pytest.mark.filterwarnings("ignore")  # some kinds of tensors are announced as new
def test_tensors_of_every_make_are_seen(torch: Any) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.testing._internal.two_tensor import TwoTensor

    eye = torch.eye(4)
    data = [0.0, 1.0]
    places = [torch.tensor([0, 1, 2]), torch.tensor([0, 1])]
    blocks = torch.ones(2, 2, 2)
    for made, nbytes in [
        (eye.to_sparse(), 4 * 16 + 4 * 4),
        (torch.sparse_csr_tensor(*places, torch.tensor(data)), 24 + 16 + 8),
        (torch.sparse_csc_tensor(*places, torch.tensor(data)), 24 + 16 + 8),
        (torch.sparse_bsr_tensor(*places, blocks), 24 + 16 + 32),
        (torch.sparse_bsc_tensor(*places, blocks), 24 + 16 + 32),
        (eye.to_mkldnn(), 64),
        (torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), 20),
        (TwoTensor(torch.zeros(4), torch.zeros(4)), 32),
        (torch.nn.Parameter(TwoTensor(torch.zeros(4), torch.zeros(4))), 32),
        (torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8), 4),
        (torch.zeros(4, device="meta"), None),
        (torch.nn.Linear(3, 3, device="meta"), None),
        (torch.nn.LazyLinear(3), None),
        (torch.zeros(0), None),
    ]:
        assert nbytes == size(made), made
    jagged = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged)
    assert 20 + 3 * 8 <= (size(jagged) or 0)
    with FakeTensorMode():
        assert size(torch.zeros(4)) is None
    assert size([eye, torch.zeros(4)], "cuda:0") is None


@pytest.mark.models
def test_what_a_tensor_carries_is_seen(torch: Any) -> None:
    quantised = torch.nn.Parameter(torch.zeros(4), requires_grad=False)
    quantised.state = Plain(absmax=torch.zeros(100))
    assert 416 == size(quantised)


@pytest.mark.models
def test_no_warning_and_no_gradient_is_asked_of_what_has_none(torch: Any) -> None:
    start = torch.zeros(4, requires_grad=True)
    middle = start * 2
    kept = start * 3
    kept.retain_grad()
    (middle + kept).sum().backward()
    assert 16 == size(middle)
    assert 32 == size(kept)


@pytest.mark.models
def test_the_walk_calls_no_override_of_a_tensor_subclass(torch: Any) -> None:
    class Loud(torch.Tensor):  # type: ignore[misc]
        @classmethod
        def __torch_function__(cls, *arguments: object, **more: object) -> None:
            raise AssertionError("called")

    assert 16 == size([torch.zeros(4).as_subclass(Loud)])


@pytest.mark.models
def test_a_storage_is_alive_as_long_as_any_tensor_on_it(torch: Any) -> None:
    module = torch.nn.Linear(10, 10)
    found = footprint(module, "cpu")
    assert found is not None
    assert (440, 440, 2) == (found.nbytes, alive(found), len(found.parts))
    row = module.weight.detach()[3]
    bias = module.bias
    del module
    assert 440 == alive(found)
    assert [id(bias)] == [*map(id, survivors(found))]
    del bias
    assert (400, []) == (alive(found), survivors(found))
    del row
    assert 0 == alive(found)


@pytest.mark.models
def test_a_torch_device_is_a_device(torch: Any) -> None:
    assert 16 == size(torch.zeros(4), torch.device("cpu"))


@pytest.mark.models
def test_tensors_in_an_array_made_by_others_count(torch: Any) -> None:
    values = np.array([torch.zeros(4), None], dtype=object)
    assert 16 + 16 == size(values)
