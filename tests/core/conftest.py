"""What tests of the core share: threads that are waited for, and no garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(40) as pool:
        yield pool.submit


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Have references go by counting alone, and finalizers run where they are seen to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
