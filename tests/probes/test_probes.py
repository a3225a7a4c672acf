"""Samples, TorchProbe, and the fake device that stands for both in tests."""

from __future__ import annotations

import gc
import math
import pickle
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from warmcache import ProbeUnavailable, probes
from warmcache.probes import HostProbe, Probe, Sample, TorchProbe
from warmcache.testing import FakeProbe

UUID = "GPU-11111111-aaaa-bbbb-cccc-000000000001"


# -- samples ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "available"),
    [
        (Sample(total=100, free=30), 30),
        (Sample(total=100, free=30, used=5), 30),
        (Sample(total=100, free=30, reserved=20), 50),
        (Sample(total=100, free=0), 0),
        (Sample(total=100, used=30), None),
        (Sample(free=30, reserved=20), 50),
        (Sample(reserved=20), None),
        (Sample(), None),
    ],
)
def test_what_is_available_is_what_is_free_and_what_we_hold_in_reserve(
    sample: Sample, available: int | None
) -> None:
    assert available == sample.available


def test_probe_unavailable_says_what_to_do_also_when_it_was_pickled() -> None:
    error = pickle.loads(pickle.dumps(ProbeUnavailable("there is no driver", "install one")))
    assert ("there is no driver", "install one") == (error.reason, error.remedy)
    assert "there is no driver; install one" == str(error)
    assert isinstance(error, RuntimeError)


def test_everything_that_a_probe_needs_is_in_one_module() -> None:
    assert sorted(probes.__all__) == probes.__all__
    assert all(hasattr(probes, name) for name in probes.__all__)


# -- torch -----------------------------------------------------------------------------


class Cuda:
    """What TorchProbe uses of ``torch.cuda``; it fails the test when CUDA is not there yet."""

    def __init__(self, *, allocated: int = 0, reserved: int = 0, memory: object = None) -> None:
        self.stats: dict[str, Any] = {
            "allocated_bytes.all.current": allocated,
            "reserved_bytes.all.current": reserved,
        }
        self.memory = memory
        self.initialised = True
        self.devices = [UUID.removeprefix("GPU-")]
        self.asked: list[int] = []

    def is_initialized(self) -> bool:
        return self.initialised

    def device_count(self) -> int:
        assert self.initialised, "it would have been initialised"
        return len(self.devices)

    def get_device_properties(self, index: int) -> SimpleNamespace:
        assert self.initialised, "it would have been initialised"
        return SimpleNamespace(uuid=self.devices[index])

    def memory_stats(self, index: int) -> dict[str, Any]:
        assert self.initialised, "it would have been initialised"
        self.asked.append(index)
        return self.stats

    def mem_get_info(self, index: int) -> tuple[int, int]:
        assert self.initialised, "it would have been initialised"
        if isinstance(self.memory, tuple):
            return self.memory
        raise RuntimeError("CUDA error: unspecified launch failure")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    module = Cuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=module))
    return module


class Shared(FakeProbe):
    """A device without figures of its own."""

    shares = True

    def __init__(self) -> None:
        super().__init__(0, name="GPU 0 (shared)")
        self.unknown = True


def test_what_torch_holds_and_does_not_use_is_reserved(cuda: Cuda) -> None:
    cuda.stats = Cuda(allocated=20, reserved=50).stats
    probe = TorchProbe(3, base=FakeProbe(100, foreign=60))
    assert isinstance(probe, Probe)
    assert Sample(total=100, free=40, used=60, reserved=30) == probe.sample()
    assert 20 == probe.allocated()
    assert {3} == {*cuda.asked}


def test_before_cuda_is_initialised_torch_is_not_asked(cuda: Cuda) -> None:
    cuda.initialised = False
    probe = TorchProbe(0, base=FakeProbe(100, foreign=60))
    assert Sample(total=100, free=40, used=60) == probe.sample()
    assert 0 == probe.allocated()
    cuda.initialised = True
    assert 0 == probe.sample().reserved


def test_it_never_imports_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    probe = TorchProbe(0, base=FakeProbe(100))
    assert (None, 0) == (probe.sample().reserved, probe.allocated())
    assert "torch" not in sys.modules


def test_a_uuid_is_found_among_torchs_devices(cuda: Cuda) -> None:
    cuda.devices = ["ffff", UUID.removeprefix("GPU-")]
    base = FakeProbe(100)
    base.uuid = UUID  # type: ignore[attr-defined]
    TorchProbe("GPU-1111", base=base).sample()
    assert [1] == cuda.asked
    cuda.devices.pop()
    assert TorchProbe("GPU-1111", base=base).sample().reserved is None


def test_what_torch_does_not_tell_is_unknown(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = TorchProbe(0, base=FakeProbe(100))
    cuda.stats = {}
    assert (None, None) == (probe.sample().reserved, probe.allocated())

    def broken(index: int) -> None:
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(cuda, "memory_stats", broken)
    assert Sample(total=100, free=100, used=0) == probe.sample()
    assert probe.allocated() is None


def test_where_memory_is_shared_cuda_is_asked_and_the_machine_before_that(cuda: Cuda) -> None:
    cuda.memory = (30, 100)
    probe = TorchProbe(0, base=Shared())
    assert Sample(total=100, free=30, used=70, reserved=0) == probe.sample()
    cuda.initialised = False
    host = HostProbe().sample()
    sample = probe.sample()
    assert host.total == sample.total
    assert sample.free is not None and sample.reserved is None
    cuda.initialised, cuda.memory = True, None
    assert Sample(reserved=0) == probe.sample()


def test_a_card_that_is_lost_is_not_asked_for_through_cuda(cuda: Cuda) -> None:
    cuda.memory = (30, 100)
    base = FakeProbe(100)
    base.unknown = True
    assert TorchProbe(0, base=base).sample().free is None


def test_without_a_driver_library_a_torch_that_has_cuda_will_do(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    cuda.memory = (30, 100)
    probe = TorchProbe(0)
    assert Sample(total=100, free=30, used=70, reserved=0) == probe.sample()
    assert "GPU 0" == probe.name
    cuda.initialised = False
    assert Sample() == probe.sample()
    with pytest.raises(ProbeUnavailable):
        TorchProbe(0)


# -- the fake --------------------------------------------------------------------------


def test_the_fake_is_a_probe_of_a_device_that_others_use_too() -> None:
    probe = FakeProbe(100, foreign=10, name="x")
    assert isinstance(probe, Probe)
    assert Sample(total=100, free=90, used=10) == probe.sample()
    probe.allocate(30)
    probe.foreign = 20
    assert Sample(total=100, free=50, used=50) == probe.sample()
    assert (30, "x", 2) == (probe.allocated(), probe.name, probe.samples)
    probe.release(30)
    assert 80 == probe.sample().free


def test_the_fakes_memory_ends() -> None:
    probe = FakeProbe(100, foreign=50)
    with pytest.raises(MemoryError, match="51 bytes do not fit"):
        probe.allocate(51)
    probe.allocate(50)
    assert 0 == probe.sample().free


def test_a_block_is_released_when_it_dies() -> None:
    probe = FakeProbe(100)
    block = probe.block(40)
    assert (60, 40) == (probe.sample().free, probe.allocated())
    del block
    assert (100, 0) == (probe.sample().free, probe.allocated())


def test_what_is_released_shows_after_some_samples() -> None:
    probe = FakeProbe(100, lag=2)
    probe.allocate(40)
    assert 60 == probe.sample().free
    probe.release(40)
    assert [60, 60, 100] == [probe.sample().free for _ in range(3)]
    assert 0 == probe.allocated()


def test_what_is_released_may_show_only_when_it_is_told_to() -> None:
    probe = FakeProbe(100, lag=math.inf)
    probe.allocate(40)
    probe.release(40)
    assert {60} == {probe.sample().free for _ in range(100)}
    with pytest.raises(MemoryError):
        probe.allocate(61)
    probe.settle()
    assert 100 == probe.sample().free


def test_an_allocator_keeps_what_was_freed_until_its_cache_is_emptied() -> None:
    probe = FakeProbe(100, caching=True)
    assert 0 == probe.sample().reserved
    probe.allocate(40)
    probe.release(40)
    assert Sample(total=100, free=60, used=40, reserved=40) == probe.sample()
    probe.allocate(10)
    assert Sample(total=100, free=60, used=40, reserved=30) == probe.sample()
    probe.empty_cache()
    assert Sample(total=100, free=90, used=10, reserved=0) == probe.sample()
    assert 1 == probe.emptied


def test_fragments_stay_in_the_reserve_and_fit_nothing() -> None:
    probe = FakeProbe(100, caching=True)
    probe.allocate(40)
    probe.release(40)
    probe.fragmented = 30
    with pytest.raises(MemoryError):
        probe.allocate(71)
    probe.empty_cache()
    assert Sample(total=100, free=70, used=30, reserved=30) == probe.sample()
    probe.fragmented = 0
    probe.empty_cache()
    assert 100 == probe.sample().free


def test_the_fake_can_know_nothing() -> None:
    probe = FakeProbe(100)
    probe.unknown = True
    assert (Sample(), None) == (probe.sample(), probe.allocated())


def test_releasing_what_was_not_taken_is_an_error_of_the_test() -> None:
    probe = FakeProbe(100)
    probe.release(1)
    with pytest.raises(AssertionError, match="1 released of 0"):
        probe.sample()


@pytest.mark.race
def test_the_fake_counts_right_under_threads_and_finalizers() -> None:
    probe = FakeProbe(10**6)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(5)
        for _ in range(500):
            cycle: list[object] = [probe.block(10)]
            cycle.append(cycle)
            probe.allocate(5)
            probe.sample()
            probe.release(5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    gc.collect()
    assert (10**6, 0) == (probe.sample().free, probe.allocated())
    assert 2001 == probe.samples
