"""What is seen of modules, optimizers and tensors of every make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from footprints import Plain, alive, size, survivors

from warmcache.memory.footprint import footprint

pytestmark = pytest.mark.models


@pytest.fixture
def torch() -> Any:
    import torch

    return torch


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


def test_an_optimizer_is_its_state_and_what_it_optimizes(torch: Any) -> None:
    module = torch.nn.Linear(10, 10, bias=False)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.zeros(1, 10)).sum().backward()
    optimizer.step()
    # Parameter, gradient, two moments, a count of steps.
    assert 4 * 400 + 4 == size(optimizer) == size([module, optimizer])


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


def test_what_a_tensor_carries_is_seen(torch: Any) -> None:
    quantised = torch.nn.Parameter(torch.zeros(4), requires_grad=False)
    quantised.state = Plain(absmax=torch.zeros(100))
    assert 416 == size(quantised)


def test_no_warning_and_no_gradient_is_asked_of_what_has_none(torch: Any) -> None:
    start = torch.zeros(4, requires_grad=True)
    middle = start * 2
    kept = start * 3
    kept.retain_grad()
    (middle + kept).sum().backward()
    assert 16 == size(middle)
    assert 32 == size(kept)


def test_the_walk_calls_no_override_of_a_tensor_subclass(torch: Any) -> None:
    class Loud(torch.Tensor):  # type: ignore[misc]
        @classmethod
        def __torch_function__(cls, *arguments: object, **more: object) -> None:
            raise AssertionError("called")

    assert 16 == size([torch.zeros(4).as_subclass(Loud)])


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


def test_a_torch_device_is_a_device(torch: Any) -> None:
    assert 16 == size(torch.zeros(4), torch.device("cpu"))


def test_tensors_in_an_array_made_by_others_count(torch: Any) -> None:
    values = np.array([torch.zeros(4), None], dtype=object)
    assert 16 + 16 == size(values)
