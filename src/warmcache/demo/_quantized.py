"""Matrices as 8-bit and 4-bit numbers with scales, which are multiplied again as they are used.

int8 has a scale for each row, which its largest element gives. With four bits that would cost
answers, so int4 has one for each 32 elements, and looks for it: of 19 beside the largest element's
it takes the one by which the elements are missed least, as llama.cpp does (``make_qx_quants`` in
its ggml-quants.c). That takes ten times as long as the rest of the load.
"""

# mypy: allow-subclassing-any

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ._libraries import library

torch = library("torch")
Module: Any = torch.nn.Module

_GROUP = 32  # elements that share a scale
_STEPS = range(-9, 10)  # by which the scale is tried beside the largest element's
_CHUNK = 4096  # groups at a time: as many as a processor keeps at hand


class Int8(Module):
    """A matrix as int8 and the scales of its rows."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        scale = torch.linalg.vector_norm(weight, torch.inf, dim=1, keepdim=True) / 127
        self.register_buffer("weight", (weight / scale).round_().to(torch.int8))
        self.register_buffer("scale", scale)

    def rows(self, of: Callable[[Any], Any]) -> Any:
        """Return what ``of`` takes of the matrix: some of its rows, or all."""
        return of(self.weight) * of(self.scale)


class Int4(Module):
    """A matrix as 4-bit numbers, two in a byte, and the scales of their groups."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        count, length = weight.shape
        numbers, scale = _searched(weight.reshape(-1, _GROUP))
        low, high = (numbers + 8).to(torch.uint8).chunk(2, dim=1)
        self.register_buffer("weight", (low | high << 4).reshape(count, length // 2))
        self.register_buffer("scale", scale.to(torch.float16).reshape(count, -1))

    def rows(self, of: Callable[[Any], Any]) -> Any:
        """Return what ``of`` takes of the matrix: some of its rows, or all."""
        pairs, scale = of(self.weight).unflatten(-1, (-1, _GROUP // 2)), of(self.scale)
        numbers = torch.cat((pairs & 15, pairs >> 4), -1).float() - 8
        return (numbers * scale.float().unsqueeze(-1)).flatten(-2)


def _searched(groups: Any) -> tuple[Any, Any]:
    """Return the numbers, from -8 to 7, and the scale of each group."""
    if groups.is_meta:  # it has no elements, and shapes are all that is asked for
        return groups, groups[:, :1]
    found = [_searched_in(chunk) for chunk in groups.split(_CHUNK)]
    return tuple(torch.cat(each) for each in zip(*found, strict=True))


def _searched_in(groups: Any) -> tuple[Any, Any]:
    largest = groups.gather(1, groups.abs().argmax(1, keepdim=True))
    largest = torch.where(largest == 0, torch.ones_like(largest), largest)
    best = torch.zeros_like(groups), torch.zeros_like(largest)
    least = torch.full_like(largest, torch.inf)
    for step in _STEPS:
        numbers = (groups * ((step / 10 - 8) / largest)).round_().clamp_(-8, 7)
        squares = numbers.square().sum(1, keepdim=True).clamp_(min=1)
        scale = (groups * numbers).sum(1, keepdim=True) / squares  # the best one for these
        error = (groups - scale * numbers).square_().sum(1, keepdim=True)
        better = error < least
        least = torch.where(better, error, least)
        pairs = zip((numbers, scale), best, strict=True)
        best = tuple(torch.where(better, new, old) for new, old in pairs)
    return best


class _Linear(Module):
    def __init__(self, matrix: Any, bias: Any) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    def forward(self, states: Any) -> Any:
        return torch.nn.functional.linear(states, self.matrix.rows(_all), self.bias)


class _Embedding(Module):
    def __init__(self, matrix: Any) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, ids: Any) -> Any:
        return self.matrix.rows(partial(torch.nn.functional.embedding, ids))


def _all(matrix: Any) -> Any:
    return matrix


def quantize(module: Any, form: Callable[[Any], Any]) -> Any:
    """Replace every matrix in ``module`` by its form, :class:`Int8` or :class:`Int4`."""
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, _Linear(form(child.weight.detach()), child.bias))
        elif isinstance(child, torch.nn.Embedding):
            setattr(module, name, _Embedding(form(child.weight.detach())))
        else:
            quantize(child, form)
    return module
