"""A torch whose tensors are on the device that is parked from, and what parks from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from parking_rigs import Rig


@pytest.fixture
def place() -> str:
    """The name of the device; a simulated one, unless a test is parametrized by another."""
    return "cpu"


@pytest.fixture
def torch(place: str) -> Iterator[Any]:
    import torch

    torch.manual_seed(0)
    with torch.device(place):
        yield torch


@pytest.fixture
def rig(place: str) -> Rig:
    return Rig(place)
