"""What counts as running out of memory, and what it says was lacking."""

from __future__ import annotations

import errno
import math

import pytest

from warmcache.memory import out_of_memory as _oom
from warmcache.testing import FakeProbe

MiB, GiB = 2**20, 2**30


class OutOfMemoryError(RuntimeError):
    """As torch and CuPy call theirs."""


def lacked(error: BaseException, device: int = 2**62) -> float | None:
    return _oom.lacked(error, FakeProbe(device))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), 0),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total"),
            20 * MiB,
        ),
        (RuntimeError("CUDA error: out of memory"), 0),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(h)"), 0),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't "
                "allocate memory: you tried to allocate 4294967296 bytes. Error code 12"
            ),
            4 * GiB,
        ),
        (
            OutOfMemoryError("Out of memory allocating 1,024 bytes (allocated so far: 512 bytes)."),
            0,
        ),
        (
            MemoryError("std::bad_alloc: out_of_memory: RMM failure at: failed to allocate 5 GiB"),
            5 * GiB,
        ),
        (
            RuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes."
            ),
            16 * GiB,
        ),
        (OSError("Unable to allocate 1.50 GiB for an array: not enough memory"), 1.5 * GiB),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 0),
        (OSError(errno.ENOENT, "No such file"), None),
        (ValueError("out of memory"), None),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (KeyError("a"), None),
    ],
    ids=lambda case: str(case)[:40],
)
def test_running_out_of_memory_is_known_by_its_type_or_words(
    error: BaseException, expected: float | None
) -> None:
    assert expected == lacked(error)


def raised(cause: Exception | None) -> ValueError:
    """Return an error that was raised while handling a lack of memory, ``from cause``."""
    error = ValueError("the model is not usable")
    error.__context__ = MemoryError("tried to allocate 3 KiB")
    error.__cause__ = cause  # as ``raise ... from``: what is only context is then silent
    return error


def test_what_was_raised_from_a_lack_of_memory_is_one_too() -> None:
    assert 3 * 1024 == lacked(raised(MemoryError("tried to allocate 3 KiB")))


def test_what_no_device_of_this_size_could_give_is_infinite() -> None:
    error = MemoryError("tried to allocate 4 GiB")
    assert 4 * GiB == lacked(error, device=4 * GiB)
    assert math.inf == lacked(error, device=4 * GiB - 1)


def test_of_a_device_of_unknown_size_nothing_is_too_much() -> None:
    probe = FakeProbe(1)
    probe.unknown = True
    assert 4 * GiB == _oom.lacked(MemoryError("tried to allocate 4 GiB"), probe)


def test_a_lack_of_memory_that_was_dealt_with_is_none() -> None:
    assert lacked(raised(None)) is None


@pytest.mark.models
def test_torchs_own_errors_are_known() -> None:
    import torch

    assert 0 == lacked(torch.OutOfMemoryError("no more"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert 4 * 2**60 == lacked(caught.value)
