"""What cannot be moved whole is not moved at all, and it is said why."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
from footprints import CudaArray
from parking_rigs import ON_EACH_DEVICE, Rig, facts

from warmcache._parking.choice import parker_for
from warmcache._parking.parking import CannotPark
from warmcache._parking.slabs import Slabs

pytestmark = ON_EACH_DEVICE


def refused(rig: Rig, value: Any, weight: float = 0) -> str:
    before = facts(value)
    with pytest.raises(CannotPark) as caught:
        rig.park(value, weight)
    assert before == facts(value)
    return str(caught.value)


def test_what_holds_a_cuda_graph(torch: Any, rig: Rig) -> None:
    kind = torch.cuda.CUDAGraph
    try:
        graph = kind.__new__(kind)
    except RuntimeError:  # of a torch without CUDA, which has a stand-in for it
        graph = object.__new__(kind)
    module = torch.nn.Linear(3, 3)
    module.replay = types.SimpleNamespace(graph=graph)
    assert "a CUDA graph, which has the addresses" in refused(rig, module)


def test_what_holds_a_storage_besides_its_tensors(torch: Any, rig: Rig) -> None:
    values = torch.randn(4)
    value = [values, types.SimpleNamespace(storage=values.untyped_storage())]
    assert "holds a storage of torch itself" in refused(rig, value)


def test_what_has_arrays_of_another_library_on_the_device(torch: Any, rig: Rig) -> None:
    assert "it holds a CudaArray" in refused(rig, [torch.randn(4), CudaArray(4)])
    rig.there_and_back([torch.randn(4), CudaArray(0, start=0)])


def test_what_has_tensors_of_a_layout_that_torch_keeps_to_itself(torch: Any, rig: Rig) -> None:
    tensor = torch.eye(4).to_sparse_csr()
    with pytest.raises(CannotPark, match=r"a Tensor in it .*: its layout is torch.sparse_csr"):
        rig.park([torch.randn(4), tensor])
    assert torch.equal(torch.eye(4), tensor.to_dense())


def test_of_which_less_than_nine_tenths_are_seen(torch: Any, rig: Rig) -> None:
    module = torch.nn.Linear(256, 256, bias=False)
    nbytes = 256 * 256 * 4
    why = refused(rig, module, nbytes / 0.9 + 1)
    assert why.startswith("of its 284.4 KiB only 256.0 KiB are of tensors that are seen: say")
    rig.park(module, nbytes / 0.9 - 1).unpark()


def test_what_has_nothing_there(torch: Any, rig: Rig) -> None:
    for value in ({"a": "text"}, np.zeros(3), torch.empty(0)):
        with pytest.raises(CannotPark, match="nobody knows how to park (dict|ndarray|Tensor): say"):
            rig.park(value)
    with pytest.raises(CannotPark, match="its tensors lie on meta, and there is nothing to move"):
        rig.park(torch.empty(3, device="meta"))


def test_what_is_nested(torch: Any, place: str, rig: Rig) -> None:
    nested = torch.nested.nested_tensor([torch.randn(2), torch.randn(3)])
    with pytest.raises(CannotPark, match="a Tensor in it cannot be moved: it is nested"):
        rig.park([nested, torch.randn(4)])


def test_what_there_is_no_room_for(torch: Any, place: str, rig: Rig) -> None:
    rig.slabs.limit = 4096
    rig.there_and_back(torch.randn(1024))
    why = refused(rig, torch.randn(1025))
    assert "it takes 8.0 KiB of host memory, and of 4.0 KiB 0 B are in use" == why


def test_while_a_graph_is_captured(torch: Any, place: str, rig: Rig) -> None:
    values = torch.randn(4)
    if rig.device is not None:
        parked = rig.park(values)
        rig.device.capturing = True
        assert "a graph is being captured" == refused(rig, torch.randn(4))
        with pytest.raises(RuntimeError, match="it stays parked: a graph is being captured"):
            parked.unpark()
        rig.device.capturing = False
        assert parked.unpark() is values
        parked.drop()
        return
    torch.cuda.synchronize()
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        with pytest.raises(CannotPark, match="a CUDA graph is being captured"):
            rig.park(values)


def test_what_lies_on_the_host_by_the_real_devices(torch: Any, place: str) -> None:
    import torch as real

    with pytest.raises(CannotPark, match="its tensors lie on cpu, and"):
        parker_for(None, Slabs()).park(real.nn.Linear(3, 3, device="cpu"), 0)
    compressed = real.eye(4, device="cpu").to_sparse_csr()
    with pytest.raises(CannotPark, match="its tensors lie on cpu, and"):
        parker_for(None, Slabs()).park(compressed, 0)


def test_two_storages_over_the_same_bytes(torch: Any, place: str, rig: Rig) -> None:
    if place == "cuda":
        pytest.skip("no storage of torch's own is over the bytes of another")
    buffer = bytearray(64)
    views = [torch.frombuffer(buffer, dtype=torch.uint8, offset=at) for at in (0, 8)]
    rig.device.holds = lambda storage: True
    assert "two of its storages share bytes" == refused(rig, views)
