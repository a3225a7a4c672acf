"""torch's tensors: exactly, mapped where they are large, with tied weights tied."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded import coder_of, read, through_bytes, through_file

from warmcache._disk.codecs import coder_for, why_not
from warmcache._disk.codecs.blob_file import Blob, packed

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    return torch


def same(a: Any, b: Any) -> bool:
    import torch

    return (
        type(a) is type(b)
        and (a.dtype, a.shape, a.requires_grad, a.device)
        == (b.dtype, b.shape, b.requires_grad, b.device)
        and torch.equal(
            a.detach().contiguous().reshape(-1).view(torch.uint8),
            b.detach().contiguous().reshape(-1).view(torch.uint8),
        )
    )


def test_every_dtype_and_shape_comes_back(torch: Any, tmp_path: Path) -> None:
    from warmcache._disk.codecs.tensors import _DTYPES

    for number, name in enumerate(_DTYPES):
        whole = torch.arange(1, 49, dtype=torch.uint8) % 2
        flat = whole.view(getattr(torch, name))
        shapes = [flat, flat[0], flat[:0], flat.reshape(-1, 1), flat[::2], flat[1:]]
        for at, tensor in enumerate(shapes):
            assert same(tensor, through_bytes(tensor)), name
            assert same(tensor, through_file(tensor, tmp_path / f"{number}.{at}")), name


def test_those_that_are_not_contiguous_come_back_by_their_contents(torch: Any) -> None:
    cube = torch.arange(24.0).reshape(2, 3, 4)
    for tensor in (cube[0].T, cube[:, 1:], cube[..., ::2], cube.permute(1, 0, 2), cube.mT):
        assert same(tensor, through_bytes(tensor))
    images = cube.reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    assert same(images, through_bytes(images))


def test_who_requires_a_gradient_does_so_again(torch: Any) -> None:
    tensor = torch.ones(3, requires_grad=True)
    back = through_bytes({"a": tensor, "b": torch.ones(1)})
    assert same(tensor, back["a"]) and not back["b"].requires_grad
    back["a"].sum().backward()
    assert same(torch.ones(0, requires_grad=True), through_bytes(torch.ones(0, requires_grad=True)))


def test_what_inference_has_made_is_kept(torch: Any) -> None:
    with torch.inference_mode():
        tensor = torch.ones(3) * 2
    assert torch.equal(tensor, through_bytes(tensor))
    with torch.inference_mode():
        assert torch.equal(tensor, through_bytes([tensor])[0])


def test_what_is_read_where_another_device_is_the_default_is_where_it_was(torch: Any) -> None:
    for tensor in (torch.ones(3), torch.ones(0), torch.ones(2, requires_grad=True)):
        coder = coder_of(tensor)
        data = coder.dumps(tensor)
        with torch.device("meta"):
            assert same(tensor, coder.loads(data, (), {}))


def test_a_state_dict_keeps_its_order_its_versions_and_its_ties(torch: Any, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.BatchNorm1d(4))
    model.append(torch.nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    state = model.state_dict()
    back = through_file(state, tmp_path / "file")
    assert type(back) is OrderedDict and [*state] == [*back]
    assert vars(state) == vars(back)
    assert all(same(state[name], back[name]) for name in state)
    assert back["0.weight"].data_ptr() == back["2.weight"].data_ptr()
    back["0.weight"][0, 0] = 5
    assert 5 == back["2.weight"][0, 0]
    model.load_state_dict(back)


def test_one_tensor_that_is_met_twice_stays_one(torch: Any) -> None:
    tensor = torch.ones(2)
    back = through_bytes([tensor, {"a": tensor}])
    assert back[0] is back[1]["a"]


def test_who_shares_memory_with_numpy_does_so_again(torch: Any) -> None:
    array = np.arange(3.0)
    back = through_bytes([array, torch.from_numpy(array)])
    back[0][0] = 9
    assert 9 == back[1][0]


def test_tensors_that_share_a_part_are_not_kept(torch: Any) -> None:
    whole = torch.arange(6.0)
    assert "share a part" in str(why_not({"a": whole, "b": whole[2:]}))
    square = torch.arange(9.0).reshape(3, 3)
    assert coder_for([square, square.T]) is None
    back = through_bytes({"a": whole[:3], "b": whole[3:]})
    assert [3.0, 4.0, 5.0] == back["b"].tolist()


def test_what_is_more_than_its_elements_is_not_kept(torch: Any) -> None:
    with_grad = torch.ones(2, requires_grad=True)
    with_grad.sum().backward()
    with_history = torch.ones(2, requires_grad=True) * 2
    hooked = torch.ones(2, requires_grad=True)
    hooked.register_hook(print)
    named = torch.ones(2)
    named.name_of_mine = "x"
    more = [
        *(with_grad, with_history, hooked, named, torch.nn.Parameter(torch.ones(2))),
        *(torch.ones(2).to_sparse(), torch.ones(2, dtype=torch.complex64).conj()),
        *(torch.ones(1).expand(3), torch.arange(9).as_strided((3, 3), (1, 1))),
        torch.empty(2, device="meta"),
        torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        *(torch.nn.Linear(1, 1), torch.float32, torch.Size([1]), torch.Generator()),
    ]
    for value in more:
        assert coder_for(value) is None, value
        assert coder_for({"a": [value]}) is None
        assert "result['a'][0]: torch" in str(why_not({"a": [value]}))


def test_a_large_one_is_mapped_and_writing_to_it_leaves_the_file(
    torch: Any, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    back = through_file({"a": torch.ones(2**19), "n": 1}, path)
    written = path.read_bytes()
    assert str(path) in Path("/proc/self/maps").read_text()
    back["a"] += 1
    assert written == path.read_bytes()
    path.unlink()
    assert 2 == back["a"].min() == back["a"].max()
    del back
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_the_file_is_one_that_safetensors_reads(torch: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    value = {
        **{"bias": torch.ones(3, dtype=torch.bfloat16), "scale": torch.ones(1, dtype=torch.int8)},
        **{"weight": torch.arange(6.0).reshape(2, 3), "empty": torch.ones(0, 2)},
        **{"ü": torch.ones(2, dtype=torch.float64), "note": "x" * 601, "array": np.arange(3)},
    }
    coder = coder_of(value)
    assert "safetensors" == coder.name
    coder.dump(value, tmp_path / "file.safetensors")
    found = load_file(tmp_path / "file.safetensors")
    assert {*value} == {*found}
    assert all(same(value[name], found[name]) for name in ("bias", "scale", "weight", "empty", "ü"))
    assert [0, 1, 2] == found["array"].tolist()


def test_torch_is_asked_for_no_name_that_a_file_says() -> None:
    program = """
import sys
from coded import read
from warmcache._disk.codecs.blob_file import Blob, packed
import torch
before = {*sys.modules}
for dtype in ("onnx", "_dynamo", "export", "nn", "complex32", "__class__", ["float32"], 1):
    tree = {"$": "tensor", "v": ["x", dtype, [2], False]}
    data = b"".join(packed(tree, {"x": Blob(bytes(8), 8)}))
    assert read("safetensors", data) is None, dtype
new = {name for name in {*sys.modules} - before if name.startswith("torch")}
assert not new, new
"""
    support = str(Path(__file__).parents[1] / "support")
    program = f"import sys; sys.path.append({support!r})\n{program}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_a_shape_that_the_bytes_do_not_have_is_refused(torch: Any) -> None:
    for shape in ([3], [-2], [-1, -2], [2**62, 4], [2.0], 2, None, [0]):
        tree = {"$": "tensor", "v": ["x", "float32", shape, False]}
        assert read("safetensors", b"".join(packed(tree, {"x": Blob(bytes(8), 8)}))) is None
