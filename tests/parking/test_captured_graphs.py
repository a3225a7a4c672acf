"""Nothing is copied while a CUDA graph is captured, in whatever thread and on whatever device."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from warmcache._parking.devices import ACCELERATORS

CAPTURED = "a CUDA graph is being captured"


class Cuda:
    """What is asked of torch's CUDA by one thread, whose streams are named."""

    def __init__(self) -> None:
        self.here = "current of 0"
        self.captured = ""
        self.graph: Any = types.SimpleNamespace(default_capture_stream=None)

    def current_stream(self, place: Any) -> str:
        return f"current of {place.index}"

    def default_stream(self, place: Any) -> str:
        return f"default of {place.index}"

    @contextlib.contextmanager
    def stream(self, stream: str) -> Iterator[None]:
        before, self.here = self.here, stream
        yield
        self.here = before

    def is_current_stream_capturing(self) -> bool:
        if self.here.startswith("default") and self.captured == "somebody's, and waited for":
            raise RuntimeError("it would depend on a capturing blocking stream")
        return self.here == self.captured


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    return cuda


def why_not(*places: str) -> str | None:
    named = [types.SimpleNamespace(type=kind, index=at) for at, kind in enumerate(places)]
    return ACCELERATORS.why_not_now(named)


def test_nothing_is_captured(cuda: Cuda) -> None:
    assert why_not("cuda", "cuda") is None
    assert "current of 0" == cuda.here


@pytest.mark.parametrize("where", ["current of 1", "default of 1", "somebody's, and waited for"])
def test_it_is_asked_of_the_devices_that_the_value_is_on(cuda: Cuda, where: str) -> None:
    cuda.captured = where
    assert CAPTURED == why_not("cuda", "cuda")
    if where.endswith("1"):
        assert why_not("cuda", "xpu") is None


def test_it_is_asked_of_the_stream_that_other_threads_capture_on(cuda: Cuda) -> None:
    cuda.captured = "torch's for captures"
    assert why_not("cuda") is None, "there is none yet"
    cuda.graph.default_capture_stream = cuda.captured
    assert CAPTURED == why_not("cuda")
    assert why_not("xpu") is None
