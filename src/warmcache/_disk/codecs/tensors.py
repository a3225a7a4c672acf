"""torch's tensors, in a tree.

Kept are dtype, shape, contents and ``requires_grad``; who shares memory does so again, as tied
weights do, also with arrays of numpy. The order in memory becomes that of the shape. Not kept is a
tensor on another device than the CPU, for where it belongs in the next process only its loader
knows; one of another layout, of a rarer dtype or of a subclass; or with more to it than its
elements: a gradient, a history, hooks, attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warmcache._texts import kind_of

from .arrays import check_shape, overlaps_itself, span
from .blob_file import Blob
from .coder import imported
from .tree import Decoder, Encoder, Maker, NotKept, Path

# torch's name of a dtype and that of safetensors. A file may name no other: asking torch for a
# name can import a part of it.
_DTYPES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{"bfloat16": "BF16", "bool": "BOOL", "complex64": "C64"},
    **{"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"},
    **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")),
    "complex128": None,
}


def makers() -> Mapping[type, Maker]:
    """Return how torch's values become trees. Where nobody has imported it, there are none."""
    torch = imported("torch")
    return {} if torch is None else {torch.Tensor: (_tensor, True)}


def _tensor(encoder: Encoder, tensor: Any, path: Path) -> Any:
    if why := _more_than_elements(tensor):
        raise NotKept(path, f"{kind_of(tensor)} {why}")
    dtype = str(tensor.dtype).removeprefix("torch.")
    name = encoder.add(_blob(tensor.detach(), dtype), path)
    return {"$": "tensor", "v": [name, dtype, [*tensor.shape], tensor.requires_grad]}


def _more_than_elements(tensor: Any) -> str | None:
    import torch  # pyright: ignore[reportMissingImports]

    if tensor.device.type != "cpu":
        return f"on {tensor.device}"
    if tensor.layout is not torch.strided:
        return f"of layout {tensor.layout}"
    if str(tensor.dtype).removeprefix("torch.") not in _DTYPES:
        return f"of {tensor.dtype}"
    if tensor.is_conj() or tensor.is_neg():
        return "that is the conjugate or the negative of another, as a view"
    if overlaps_itself(tensor.stride(), tensor.shape, 1):
        return "whose elements overlap"
    if not tensor.is_leaf or tensor.grad is not None:
        return "with a gradient or a history"
    if tensor._backward_hooks or vars(tensor):
        return "with hooks or attributes"
    return None


def _blob(tensor: Any, dtype: str) -> Blob:
    import torch  # pyright: ignore[reportMissingImports]

    size = tensor.element_size()
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return Blob(
        flat.numpy().data,
        flat.numel(),
        alignment=size,
        dtype=_DTYPES[dtype],
        shape=tuple(tensor.shape),
        span=span(tensor.data_ptr(), [n * size for n in tensor.stride()], tensor.shape, size),
        copied=not tensor.is_contiguous(),
    )


def _read_tensor(decoder: Decoder, parts: list[Any]) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    name, dtype, shape, requires_grad = parts
    if dtype not in _DTYPES:
        raise ValueError(f"{dtype!r} is no dtype that would be written")
    data, kind = decoder.blobs[name], getattr(torch, dtype)
    check_shape(shape, kind.itemsize, data)
    if not len(data):
        return torch.empty(shape, dtype=kind, device="cpu", requires_grad=requires_grad)
    flat = torch.frombuffer(data, dtype=torch.uint8).view(kind)
    return flat.reshape(shape).requires_grad_(requires_grad)


READERS = {"tensor": _read_tensor}
