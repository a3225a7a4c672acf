"""A value's tensors go to host memory and come back as what they were, whatever they are."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parking_rigs import ON_EACH_DEVICE, Rig, is_in_host_memory, tensors_in

pytestmark = ON_EACH_DEVICE


def test_a_parked_module_is_off_its_device_and_computes_the_same_when_back(
    torch: Any, rig: Rig
) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(30, 30), torch.nn.BatchNorm1d(30)).eval()
    inputs = torch.randn(4, 30)
    outputs = module(inputs)
    storages = [weakref.ref(each.untyped_storage()) for each in tensors_in(module)]
    parked = rig.park(module)
    assert {None} == {storage() for storage in storages}
    assert parked.nbytes == rig.slabs.in_use > 4 * 30 * 30
    assert parked.seconds > 0
    assert parked.unpark() is module
    assert (0, parked.nbytes) == (rig.slabs.in_use, rig.slabs.kept)
    again = rig.park(module)
    parked.drop()  # which is none of its business any more
    assert again.nbytes == rig.slabs.in_use
    with pytest.raises(RuntimeError, match="it is parked no more"):
        parked.unpark()
    again.unpark()
    assert torch.equal(outputs, module(inputs))
    rig.there_and_back(module)


def test_tied_weights_stay_tied(torch: Any, rig: Rig) -> None:
    module = torch.nn.ModuleList([torch.nn.Embedding(9, 5), torch.nn.Linear(5, 9, bias=False)])
    module[1].weight = module[0].weight
    module.detached = module[0].weight.detach()
    module.other = torch.nn.Parameter(module[0].weight.data[3:])
    rig.there_and_back(module)
    with torch.no_grad():
        module[0].weight[4, 4] = 7
    assert 7 == module[1].weight[4, 4] == module.detached[4, 4] == module.other[1, 4]
    assert 4 * 45 == sum(
        {s._cdata: s.nbytes() for s in map(storage_of, module.parameters())}.values()
    )


def storage_of(tensor: Any) -> Any:
    return tensor.untyped_storage()


def test_views_that_overlap_and_are_in_no_order_look_into_one_storage(torch: Any, rig: Rig) -> None:
    base = torch.randn(100)
    views = {
        "every third": base[2::3],
        "turned": base.view(10, 10).t(),
        "windows": base.unfold(0, 7, 2),
        "spread": base[5:6].expand(4, 4),
        "strided": base.as_strided((3, 4), (5, 2), 11),
        "of a view": base[10:60][::2][3:],
    }
    rig.there_and_back(views)
    # It has as many elements as its base, and not all of that.
    rig.there_and_back([torch.randn(6)[:4].unfold(0, 2, 1)])
    base[11] = 100
    assert 100 == views["every third"][3] == views["strided"][0, 0] == views["turned"][1, 1]


def test_a_base_that_nobody_else_holds_goes_along(torch: Any, rig: Rig) -> None:
    view = torch.randn(1000)[:10]
    assert 4000 == storage_of(view._base).nbytes()
    storage = weakref.ref(storage_of(view))
    parked = rig.park([view])
    assert storage() is None
    parked.unpark()
    parked.drop()
    assert storage_of(view._base)._cdata == storage_of(view)._cdata
    rig.there_and_back([view])


def dtypes() -> list[str]:
    names = (
        "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64"
    )
    eights = "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
    return [*names.split(), *eights.split(), "complex32", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", dtypes())
def test_every_dtype_comes_back_bit_for_bit(torch: Any, rig: Rig, dtype: str) -> None:
    kind = getattr(torch, dtype)
    most = 2 if dtype == "bool" else 256  # among the bits are infinities, and what is no number
    bits = torch.randint(0, most, (24 * kind.itemsize,), dtype=torch.uint8)
    values = bits.view(kind)
    rig.there_and_back({"all": values, "some": values[3::2], "alone": values.clone()})


def test_conjugates_and_negatives_that_are_bits_stay_bits(torch: Any, rig: Rig) -> None:
    values = torch.randn(8, dtype=torch.complex64)
    views = [values, values.conj(), values.conj().imag, values[1:].conj()[::2], values.real]
    assert views[1].is_conj() and views[2].is_neg()
    rig.there_and_back(views)


def test_buffers_of_every_kind(torch: Any, rig: Rig) -> None:
    module = torch.nn.Module()
    module.register_buffer("kept", torch.randn(5))
    module.register_buffer("not_kept", torch.randn(6), persistent=False)
    module.register_buffer("none", None)
    module.register_buffer("a_part", module.kept[2:])
    module.plain = torch.randn(7)
    module.scalar, module.empty = torch.tensor(3.5), torch.zeros(0, 4)
    module.lists = [torch.randn(2), {"deep": (torch.randn(3),)}]
    rig.there_and_back(module)


def test_what_containers_closures_and_objects_have(torch: Any, rig: Rig) -> None:
    weights, bias = torch.randn(4, 4), torch.randn(4)

    def model(inputs: Any) -> Any:
        return inputs @ weights + bias

    class Slotted:
        __slots__ = ("tensor",)

    slotted = Slotted()
    slotted.tensor = torch.randn(5)
    value = [
        model,
        slotted,
        functools.partial(max, torch.randn(3)),
        types.SimpleNamespace(a=torch.randn(3)),
        np.array([torch.randn(2), None], dtype=object),
        {torch.randn(2): {torch.randn(3)}},
    ]
    inputs = torch.randn(2, 4)
    outputs, inner = model(inputs), slotted.tensor.clone()
    parked = rig.park(value)
    assert is_in_host_memory(weights) and is_in_host_memory(slotted.tensor)
    assert is_in_host_memory(value[4][0]) and is_in_host_memory(value[3].a)
    parked.unpark()
    parked.drop()
    assert torch.equal(outputs, model(inputs)) and torch.equal(inner, slotted.tensor)
    rig.there_and_back(value)


def test_what_hooks_have_goes_along(torch: Any, rig: Rig) -> None:
    module, scale = torch.nn.Linear(3, 3), torch.randn(3)
    part = module.weight.detach()[1]
    module.register_forward_hook(lambda _module, _inputs, outputs: outputs * scale + part)
    factor = torch.randn(3)
    module.bias.register_hook(lambda gradient: gradient * factor)
    inputs = torch.randn(2, 3)
    outputs = module(inputs)
    parked = rig.park(module)
    assert is_in_host_memory(scale) and is_in_host_memory(part) and is_in_host_memory(factor)
    parked.unpark()
    parked.drop()
    assert torch.equal(outputs, module(inputs))
    assert storage_of(part)._cdata == storage_of(module.weight)._cdata


def test_gradients_hooks_and_the_state_of_an_optimizer(torch: Any, rig: Rig) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Embedding(5, 3, sparse=True))
    hooked: list[Any] = []
    module[0].weight.register_hook(hooked.append)
    optimizer = torch.optim.Adam(module[0].parameters(), amsgrad=True)

    def learn() -> None:
        optimizer.zero_grad()
        loss = module[0](torch.ones(2, 6)).square().sum()
        (loss + module[1](torch.tensor([1, 4])).sum()).backward()
        optimizer.step()

    learn()
    assert module[1].weight.grad.layout is torch.sparse_coo
    hooked.clear()
    rig.there_and_back([module, optimizer])
    learn()
    assert 1 == len(hooked)
    torch.manual_seed(0)
    torch.cuda.is_available() and torch.cuda.manual_seed_all(0)
    one_that_stayed = torch.nn.Sequential(torch.nn.Linear(6, 6))
    stayed = torch.optim.Adam(one_that_stayed.parameters(), amsgrad=True)
    for _ in range(2):
        stayed.zero_grad()
        one_that_stayed(torch.ones(2, 6)).square().sum().backward()
        stayed.step()
    assert torch.equal(module[0].weight, one_that_stayed[0].weight)


def test_a_graph_that_is_pending_gives_the_same_gradients(torch: Any, rig: Rig) -> None:
    def made() -> tuple[Any, ...]:
        torch.manual_seed(1)
        module = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))
        inner = module[0](torch.ones(3, 6))
        inner.retain_grad()
        return module, inner, module[2](inner.exp()).sum()

    stayed, moved = made(), made()
    stayed[2].backward()
    rig.there_and_back(moved)
    moved[2].backward()
    for one, other in zip(stayed[0].parameters(), moved[0].parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)
    assert torch.equal(stayed[1].grad, moved[1].grad)
    rig.there_and_back(moved)


def test_inference_tensors_stay_such(torch: Any, rig: Rig) -> None:
    with torch.inference_mode():
        module = torch.nn.Linear(4, 4)
        view = module.weight[1:]
    normal = torch.nn.Linear(4, 4)
    rig.there_and_back([module, view, normal])
    with torch.inference_mode():
        rig.there_and_back([module, view, normal])
        assert module.weight.is_inference() and not normal.weight.is_inference()
    normal(torch.ones(2, 4)).sum().backward()


def test_modes_of_the_caller_change_nothing(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(4, 4)
    with torch.device("meta"), torch.no_grad():
        rig.there_and_back(module)
    with torch.inference_mode():
        rig.there_and_back(module)
    module(torch.ones(2, 4)).sum().backward()


def pruned(torch: Any) -> Any:
    from torch.nn.utils import prune

    module = prune.l1_unstructured(torch.nn.Linear(6, 6), "weight", amount=0.5)
    return prune.random_structured(module, "weight", amount=1, dim=0)


OF_THEIR_OWN: dict[str, Callable[[Any], Any]] = {
    "LSTM": lambda torch: torch.nn.LSTM(6, 6, num_layers=2, bidirectional=True),
    "attention": lambda torch: torch.nn.TransformerEncoderLayer(6, 2, 6).eval(),
    "channels last": lambda torch: torch.nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last),
    "compiled": lambda torch: torch.compile(torch.nn.Linear(6, 6), backend="aot_eager"),
    "orthogonal": lambda torch: torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(6, 6)),
    "parametrized": lambda torch: torch.nn.utils.parametrize.register_parametrization(
        torch.nn.Linear(6, 6), "weight", torch.nn.Identity()
    ),
    "pruned": pruned,
    "scripted": lambda torch: torch.jit.script(torch.nn.Sequential(torch.nn.Linear(6, 6))),
    "spectral_norm": lambda torch: torch.nn.utils.spectral_norm(torch.nn.Linear(6, 6)).eval(),
    "weight_norm": lambda torch: torch.nn.utils.weight_norm(torch.nn.Linear(6, 6)),
    "weight_norm, parametrized": lambda torch: torch.nn.utils.parametrizations.weight_norm(
        torch.nn.Linear(6, 6)
    ),
}


@pytest.mark.parametrize("kind", sorted(OF_THEIR_OWN))
def test_modules_that_keep_their_weights_in_ways_of_their_own(
    torch: Any, rig: Rig, kind: str
) -> None:
    module = OF_THEIR_OWN[kind](torch)
    inputs = torch.ones(2, 6, 6) if kind == "channels last" else torch.ones(3, 6)

    def outputs() -> Any:
        torch.manual_seed(2)
        found = module(inputs)
        return found[0] if isinstance(found, tuple) else found

    expected = outputs()
    rig.there_and_back(module)
    assert torch.equal(expected, outputs())
    outputs().sum().backward()
    rig.there_and_back(module)
    assert torch.equal(expected, outputs())


def test_a_compiled_module_is_not_compiled_anew(torch: Any, rig: Rig) -> None:
    compiled: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    module = torch.compile(torch.nn.Linear(4, 4), backend=backend)
    outputs = module(torch.ones(2, 4))
    rig.there_and_back(module)
    assert torch.equal(outputs, module(torch.ones(2, 4)))
    assert 1 == len(compiled)


def test_tensors_made_of_tensors_are_moved_by_those(torch: Any, rig: Rig) -> None:
    from torch.testing._internal.two_tensor import TwoTensor

    pair = TwoTensor(torch.randn(4), torch.randn(4))
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(pair)
    module.part = pair.b[1:]
    rig.there_and_back(module)


def test_a_subclass_with_a_mind_of_its_own_is_not_asked(torch: Any, rig: Rig) -> None:
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_args: Any, **_more: Any) -> Any:
            raise AssertionError("it was asked")

    values = torch.randn(6)

    class Louder(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, *_args: Any, **_more: Any) -> Any:
            raise AssertionError("it was asked")

    with torch._C.DisableTorchFunctionSubclass():
        loud = values.as_subclass(Loud)
        loud_view = loud[2:]
    louder = torch.Tensor._make_subclass(Louder, torch.randn(6))
    storage = weakref.ref(storage_of(louder))
    parked = rig.park([loud, loud_view, values, louder])
    assert storage() is None
    parked.unpark()
    parked.drop()
    assert 0 == rig.slabs.in_use


@pytest.mark.parametrize("coalesced", [False, True], ids=["as it was made", "coalesced"])
def test_sparse_tensors_are_moved_as_a_whole(torch: Any, rig: Rig, coalesced: bool) -> None:
    places, values = torch.tensor([[0, 5, 5], [1, 2, 2]]), torch.randn(3, 4)
    tensor = torch.sparse_coo_tensor(places, values, (8, 8, 4))
    tensor = tensor.coalesce() if coalesced else tensor
    empty = torch.sparse_coo_tensor(places[:, :0], values[:0], (8, 8, 4))
    expected = tensor.to_dense()
    rig.there_and_back({"sparse": tensor, "empty": empty, "more": torch.randn(3)})
    assert torch.equal(expected, tensor.to_dense())


def test_a_sparse_tensor_shares_its_values_as_before(torch: Any, rig: Rig) -> None:
    values = torch.randn(3)
    tensor = torch.sparse_coo_tensor(torch.tensor([[0, 1, 2]]), values, (4,))
    assert tensor._values().data_ptr() == values.data_ptr()
    rig.there_and_back([tensor, values])
    assert tensor._values().data_ptr() == values.data_ptr()


@pytest.mark.parametrize("scheme", ["tensor", "channel"])
def test_quantized_tensors_keep_their_scales(torch: Any, rig: Rig, place: str, scheme: str) -> None:
    if place == "cuda":
        pytest.skip("torch does not let a quantized tensor change its device")
    values = torch.randn(4, 6)
    if scheme == "tensor":
        tensor = torch.quantize_per_tensor(values, 0.1, 10, torch.qint8)
    else:
        scales, zeros = torch.rand(6) + 0.1, torch.arange(6)
        tensor = torch.quantize_per_channel(values, scales, zeros, 1, torch.qint8)
    expected = tensor.dequantize()
    rig.there_and_back([tensor])
    assert torch.equal(expected, tensor.dequantize())
    assert torch.equal(expected[1:], tensor[1:].dequantize())


def test_attributes_and_versions_stay(torch: Any, rig: Rig) -> None:
    changed = torch.randn(2, 3).add_(1)
    changed.remark = {"of": torch.randn(2)}
    saved = torch.nn.Parameter(torch.randn(3))
    square = saved.square()  # whose graph has kept the version of what was squared
    rig.there_and_back([changed, changed.remark, saved, square])
    square.sum().backward()


def test_what_lies_elsewhere_stays_there(torch: Any, rig: Rig) -> None:
    import torch.nn.modules.lazy

    meta = torch.empty(10, device="meta")
    lazy = torch.nn.LazyLinear(4)
    address = meta.untyped_storage()._cdata
    parked = rig.park([meta, lazy, torch.randn(3)])
    assert "meta" == meta.device.type and address == meta.untyped_storage()._cdata
    parked.unpark()
    parked.drop()


def test_what_somebody_took_of_it_keeps_the_old_bytes(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(8, 8)
    taken = module.weight.detach()[2:]
    expected = taken.clone()
    parked = rig.park(module)
    assert torch.equal(expected, taken)
    parked.unpark()
    parked.drop()
    assert torch.equal(expected, taken)


def test_a_slab_is_not_reused_while_a_tensor_taken_of_it_lives(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(8, 8)
    parked = rig.park(module)
    taken = module.weight.detach()
    expected = taken.clone()
    parked.unpark()
    parked.drop()
    assert (parked.nbytes, 0) == (rig.slabs.in_use, rig.slabs.kept)
    with torch.no_grad():
        module.weight.zero_()
    again = rig.park(module)
    assert torch.equal(expected, taken)
    del taken
    assert (again.nbytes, parked.nbytes) == (rig.slabs.in_use, rig.slabs.kept)
    again.unpark()
    again.drop()


def test_what_was_written_while_it_was_parked_comes_back_too(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(8, 8)
    parked = rig.park(module)
    with torch.no_grad():
        module.weight.fill_(3)
    module.bias.data = torch.ones(8)  # other bytes, which are not ours to move
    bias = storage_of(module.bias)._cdata
    parked.unpark()
    parked.drop()
    assert torch.equal(torch.full((8, 8), 3.0), module.weight)
    assert bias == storage_of(module.bias)._cdata


def test_what_was_added_between_two_parkings_goes_along(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(8, 8)
    rig.there_and_back(module)
    module.part = module.weight.detach()[3:]
    module.more = torch.randn(3)
    parked = rig.park(module)
    assert is_in_host_memory(module.part) and is_in_host_memory(module.more)
    parked.unpark()
    parked.drop()
    assert storage_of(module.part)._cdata == storage_of(module.weight)._cdata


def test_fifty_parkings_take_one_slab(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(100, 100)
    sizes = set()
    for _ in range(50):
        parked = rig.park(module)
        sizes.add(rig.slabs.in_use + rig.slabs.kept)
        parked.unpark()
        parked.drop()
    assert {parked.nbytes} == sizes


def test_a_value_that_was_torn_down_while_parked_gives_its_slab_back(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(100, 100)
    parked = rig.park(module)
    parked.drop()
    assert parked.nbytes == rig.slabs.in_use  # it still looks into it
    del module
    assert (0, parked.nbytes) == (rig.slabs.in_use, rig.slabs.kept)


def test_a_parked_value_is_freed_without_the_collector(torch: Any, rig: Rig) -> None:
    import gc

    module = torch.nn.Linear(100, 100)
    gone = weakref.ref(module)
    gc.disable()
    try:
        parked = rig.park(module)
        parked.unpark()
        parked.drop()
        storage = weakref.ref(storage_of(module.weight))
        del module
        assert gone() is None and storage() is None
    finally:
        gc.enable()
