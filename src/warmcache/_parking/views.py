"""A tensor made anew over other storages: the same shape, strides, offset and bits.

A strided tensor looks into one storage. A sparse one is made of strided ones that nobody else has;
it is put together again, as a whole. A quantized one is strided, and has scales besides. What is
sparse in a compressed layout, such as CSR, is refused: torch has no way to give it other parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def parts_of(torch: Any, tensor: Any) -> list[Any]:
    """Return the strided tensors that have the bytes of one: mostly itself."""
    if tensor.is_nested:
        raise NotImplementedError("it is nested")
    if tensor.layout is torch.strided:
        return [tensor]
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    raise NotImplementedError(f"its layout is {tensor.layout}")


def over(torch: Any, tensor: Any, storages: Sequence[Any]) -> Any:
    """Return what looks into other ``storages`` as ``tensor`` looks into its own.

    Args:
        torch: the module.
        tensor: of any layout.
        storages: one for each of the parts; None for one that has no bytes.
    """
    if tensor.layout is torch.strided:
        return _strided(torch, tensor, storages[0])
    place = next(storage for storage in storages if storage is not None).device
    parts = [
        _strided(torch, part, storage)
        if storage is not None
        else torch.empty_strided(part.size(), part.stride(), dtype=part.dtype, device=place)
        for part, storage in zip(parts_of(torch, tensor), storages, strict=True)
    ]
    return torch.sparse_coo_tensor(
        *parts, tensor.size(), is_coalesced=tensor.is_coalesced(), check_invariants=False
    )


def _strided(torch: Any, tensor: Any, storage: Any) -> Any:
    if tensor.is_quantized:
        made = _quantized(torch, tensor, storage.device)
    else:
        made = torch.empty(0, dtype=tensor.dtype, device=storage.device)
    made.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())
    if tensor.is_conj():
        made = torch._conj(made)
    if tensor.is_neg():
        made = torch._neg_view(made)
    return made


def _quantized(torch: Any, tensor: Any, place: Any) -> Any:
    """Return a quantized tensor without a storage."""
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return torch._empty_affine_quantized(
            [0],
            scale=tensor.q_scale(),
            zero_point=tensor.q_zero_point(),
            dtype=tensor.dtype,
            device=place,
        )
    return torch._empty_per_channel_affine_quantized(
        tensor.size(),
        scales=tensor.q_per_channel_scales().to(place),
        zero_points=tensor.q_per_channel_zero_points().to(place),
        axis=tensor.q_per_channel_axis(),
        dtype=tensor.dtype,
        device=place,
    )
