"""What NvmlProbe tells, through the real pynvml and a library that is not NVIDIA's."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pynvml
import pytest
from fakenvml import GIB, FakeNvml

from warmcache import ProbeUnavailable
from warmcache.probes import NvmlProbe, Probe, Sample
from warmcache.probes.nvml_session import session
from warmcache.testing import ManualClock

ERRORS = {
    name: getattr(pynvml, name) for name in sorted(vars(pynvml)) if name.startswith("NVML_ERROR_")
}
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
LOST = pynvml.NVML_ERROR_GPU_IS_LOST
OLD_DRIVER = [
    pynvml.NVML_ERROR_INVALID_ARGUMENT,
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
]
UNKNOWN = Sample()
UUID = "GPU-11111111-aaaa-bbbb-cccc-000000000001"
OTHER = "GPU-22222222-aaaa-bbbb-cccc-000000000002"


def fail_memory(fake: FakeNvml, code: int) -> None:
    fake.fail("memory", code)
    fake.fail("memory_v2", code)


# -- what it tells ---------------------------------------------------------------------


def test_a_sample_is_what_the_driver_says(fake: FakeNvml) -> None:
    card = fake.add(total=80 * GIB, used=10 * GIB, reserved=GIB)
    probe = NvmlProbe(0)
    assert Sample(total=80 * GIB, free=69 * GIB, used=10 * GIB) == probe.sample()
    card.free, card.used = 60 * GIB, 19 * GIB
    assert Sample(total=80 * GIB, free=60 * GIB, used=19 * GIB) == probe.sample()


def test_it_is_a_probe_with_a_name_for_people(fake: FakeNvml) -> None:
    fake.add(UUID, model="Fake H100")
    probe = NvmlProbe(0)
    assert isinstance(probe, Probe)
    assert "GPU 0 (Fake H100, GPU-11111111)" == probe.name
    assert "GPU (Fake H100, GPU-11111111)" == NvmlProbe(UUID).name
    assert (UUID, "Fake H100") == (probe.uuid, probe.model)
    assert probe.allocated() is None


@pytest.mark.parametrize("code", OLD_DRIVER)
def test_a_driver_without_the_second_version_is_asked_in_the_first(
    fake: FakeNvml, code: int
) -> None:
    fake.add(total=80 * GIB, used=10 * GIB, reserved=GIB)
    fake.fail("memory_v2", code)
    probe = NvmlProbe(0)
    # The same free; what the driver reserves counts as used there.
    assert Sample(total=80 * GIB, free=69 * GIB, used=11 * GIB) == probe.sample()
    tried = fake.calls("memory_v2")
    probe.sample()
    assert tried == fake.calls("memory_v2")


@pytest.mark.parametrize(
    ("total", "free", "used", "told"),
    [
        (0, 0, 0, Sample()),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, Sample()),
        (8, 9, 3, Sample(total=8, used=3)),
        (8, 2**64 - 1, 2**64 - 1, Sample(total=8)),
        (8, 0, 8, Sample(total=8, free=0, used=8)),
    ],
)
def test_figures_that_cannot_be_are_unknown(
    fake: FakeNvml, total: int, free: int, used: int, told: Sample
) -> None:
    card = fake.add()
    card.total, card.free, card.used = total, free, used
    assert told == NvmlProbe(0).sample()


def test_a_card_that_shares_the_machines_memory_says_so_and_has_no_figures(
    fake: FakeNvml,
) -> None:
    fake.add()
    fail_memory(fake, NOT_SUPPORTED)
    probe = NvmlProbe(0)
    assert probe.shares
    assert UNKNOWN == probe.sample()
    fail_memory(fake, 0)
    assert not NvmlProbe(0).shares


# -- which card ------------------------------------------------------------------------


def test_an_index_counts_what_cuda_shows(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.add(UUID, bus=1)
    fake.add(OTHER, bus=2)
    assert UUID == NvmlProbe(0).uuid
    assert OTHER == NvmlProbe("cuda:1").uuid
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert OTHER == NvmlProbe(0).uuid
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", OTHER)
    assert OTHER == NvmlProbe(0).uuid
    with pytest.raises(ProbeUnavailable, match=r"no GPU 1: CUDA_VISIBLE_DEVICES='GPU-2.*1 of 2"):
        NvmlProbe(1)


def test_the_order_of_the_bus_is_that_of_the_driver_only_if_it_says_so(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID, model="Fast", bus=9)
    fake.add(OTHER, model="Slow", bus=2)
    with pytest.raises(ProbeUnavailable, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        NvmlProbe(0)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert OTHER == NvmlProbe(0).uuid


def test_a_uuid_may_be_cut_short_but_must_mean_one_card(fake: FakeNvml) -> None:
    fake.add(UUID, model="Fast")
    fake.add(OTHER, model="Slow")
    assert OTHER == NvmlProbe("GPU-2222").uuid
    with pytest.raises(ProbeUnavailable, match="2 GPUs have a UUID that begins with GPU-"):
        NvmlProbe("GPU-")
    with pytest.raises(ProbeUnavailable, match="no GPU here has .*; `nvidia-smi -L` lists"):
        NvmlProbe("GPU-3")


def test_a_card_with_a_name_can_be_had_though_another_is_lost(fake: FakeNvml) -> None:
    fake.add(UUID).error = LOST
    fake.add(OTHER)
    assert NvmlProbe(OTHER).sample().total
    with pytest.raises(ProbeUnavailable, match="GPU is lost .code 15.; reset the GPU"):
        NvmlProbe(1)


def test_once_torch_has_initialised_cuda_torch_says_which_card_it_is(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID, model="Fast")
    fake.add(OTHER, model="Slow")
    properties = {0: SimpleNamespace(uuid=OTHER.removeprefix("GPU-"))}
    cuda = SimpleNamespace(
        is_initialized=lambda: True, get_device_properties=properties.__getitem__
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert OTHER == NvmlProbe(0).uuid
    cuda.is_initialized = lambda: False
    with pytest.raises(ProbeUnavailable, match="the models differ"):
        NvmlProbe(0)


def test_torch_may_know_an_instance_by_its_number_alone(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID, mig=True)
    fake.add("MIG-aaaa-1", parent=0, total=10 * GIB)
    fake.add("MIG-bbbb-2", parent=0, total=20 * GIB)
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        get_device_properties=lambda index: SimpleNamespace(uuid="bbbb-2"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert "MIG-bbbb-2" == NvmlProbe(0).uuid


def test_an_instance_of_mig_is_named_by_its_uuid_or_is_the_only_one(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID, mig=True, total=80 * GIB)
    with pytest.raises(ProbeUnavailable, match="divided into 0 MIG instances"):
        NvmlProbe(0)
    fake.add("MIG-aaaa-1", parent=0, total=10 * GIB)
    assert 10 * GIB == NvmlProbe(0).sample().total
    fake.add("MIG-bbbb-2", parent=0, total=20 * GIB)
    with pytest.raises(ProbeUnavailable, match="divided into 2 MIG instances.*by its UUID"):
        NvmlProbe(0)
    assert 20 * GIB == NvmlProbe("MIG-bbbb").sample().total
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-bbbb-2")
    assert 20 * GIB == NvmlProbe(0).sample().total
    assert 80 * GIB == NvmlProbe(UUID).sample().total


@pytest.mark.parametrize("device", [-1, True, "", "cpu", "cuda:x", 1.5, None])
def test_what_is_no_gpu_is_refused_before_anything_is_loaded(device: object) -> None:
    with pytest.raises((TypeError, ValueError), match="device must be a GPU: its index as torch"):
        NvmlProbe(device)  # type: ignore[arg-type]


# -- what can go wrong at the start ----------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_a_library_that_does_not_start_is_unavailable(fake: FakeNvml, name: str) -> None:
    fake.add()
    fake.fail("init", ERRORS[name])
    with pytest.raises(ProbeUnavailable, match=rf"\(code {ERRORS[name]}\); .+") as caught:
        NvmlProbe(0)
    assert caught.value.reason and caught.value.remedy


@pytest.mark.parametrize("name", ERRORS)
def test_a_card_that_cannot_be_read_at_the_start_is_unavailable(fake: FakeNvml, name: str) -> None:
    fake.add()
    fail_memory(fake, ERRORS[name])
    if name == "NVML_ERROR_NOT_SUPPORTED":
        assert NvmlProbe(0).shares
        return
    with pytest.raises(ProbeUnavailable, match=rf"\(code {ERRORS[name]}\); .+"):
        NvmlProbe(0)


@pytest.mark.parametrize("call", ["count", "by_index", "uuid", "name", "pci"])
def test_no_call_that_fails_at_the_start_goes_unexplained(fake: FakeNvml, call: str) -> None:
    fake.add()
    fake.fail(call, pynvml.NVML_ERROR_NO_PERMISSION)
    with pytest.raises(ProbeUnavailable, match=r"code 4.*let this user read and write /dev/nv"):
        NvmlProbe(0)


def test_a_machine_without_cards_is_unavailable(fake: FakeNvml) -> None:
    with pytest.raises(ProbeUnavailable, match="the driver shows no GPU"):
        NvmlProbe(0)


def test_without_the_bindings_it_is_unavailable_and_names_the_extra(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(ProbeUnavailable, match=r'pip install "warmcache\[gpu\]"'):
        NvmlProbe(0)


def test_a_card_without_mig_need_not_know_the_question(fake: FakeNvml) -> None:
    fake.add()
    fake.fail("mig", NOT_SUPPORTED)
    assert NvmlProbe(0).sample().total


# -- what can go wrong later -----------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_after_a_good_start_no_error_is_raised_and_the_figures_come_back(
    fake: FakeNvml, name: str
) -> None:
    fake.add()
    clock = ManualClock()
    probe = NvmlProbe(0, timer=clock)
    good = probe.sample()
    fail_memory(fake, ERRORS[name])
    assert UNKNOWN == probe.sample() == probe.sample()
    fail_memory(fake, 0)
    clock.advance(60)
    assert good == probe.sample()
    assert not probe.shares


@pytest.mark.parametrize("name", ERRORS)
def test_a_library_that_cannot_begin_anew_is_tried_again(fake: FakeNvml, name: str) -> None:
    fake.add()
    clock = ManualClock()
    probe = NvmlProbe(0, timer=clock)
    good = probe.sample()
    fake.state.boot += 1
    fake.fail("init", ERRORS[name])
    assert UNKNOWN == probe.sample()
    clock.advance(1)
    assert UNKNOWN == probe.sample()
    fake.fail("init", 0)
    clock.advance(2)
    assert good == probe.sample()


def test_a_lost_card_is_asked_again_after_longer_and_longer_pauses(
    fake: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    card = fake.add()
    clock = ManualClock()
    probe = NvmlProbe(0, timer=clock)
    good = probe.sample()
    card.error = LOST
    assert UNKNOWN == probe.sample()
    tries = []
    for second in range(1, 200):
        clock.advance(1)
        before = fake.calls("by_uuid")
        assert UNKNOWN == probe.sample()
        if fake.calls("by_uuid") > before:
            tries.append(second)
    assert [1, 3, 7, 15, 31, 63, 123, 183] == tries
    card.error = 0
    clock.advance(60)
    assert good == probe.sample()
    said = [record.getMessage() for record in caplog.records]
    assert 2 == len(said)
    assert "cannot be read, so its memory is unknown: GPU is lost" in said[0]
    assert "can be read again" in said[1]


def test_pauses_begin_short_again_after_a_recovery(fake: FakeNvml) -> None:
    card = fake.add()
    clock = ManualClock()
    probe = NvmlProbe(0, timer=clock)
    for pause in (1, 2, 4):
        card.error = LOST
        probe.sample()
        clock.advance(pause)
    card.error = 0
    assert UNKNOWN != probe.sample()
    card.error = LOST
    assert UNKNOWN == probe.sample()
    card.error = 0
    clock.advance(1)
    assert UNKNOWN != probe.sample()


def test_a_driver_that_was_replaced_is_begun_anew_once_for_all_probes(fake: FakeNvml) -> None:
    fake.add(UUID)
    fake.add(OTHER)
    clock = ManualClock()
    probes = [NvmlProbe(uuid, timer=clock) for uuid in (UUID, OTHER)]
    good = [probe.sample() for probe in probes]
    inits = fake.state.inits
    fake.state.boot += 1
    # The first to notice begins anew, after which the other finds its card again at once.
    assert [UNKNOWN, good[1]] == [probe.sample() for probe in probes]
    clock.advance(1)
    assert good == [probe.sample() for probe in probes]
    assert inits + 1 == fake.state.inits


def test_who_notices_late_does_not_begin_anew_a_second_time(fake: FakeNvml) -> None:
    fake.add()
    probe = NvmlProbe(0)
    noticed = session.generation
    session.restart(noticed)
    probe.sample()
    session.restart(noticed)
    assert 1 == fake.calls("shutdown")


def test_beginning_anew_ends_nobody_elses_session(fake: FakeNvml) -> None:
    card = fake.add()
    probe = NvmlProbe(0, timer=ManualClock())
    pynvml.nvmlInit()
    theirs = pynvml.nvmlDeviceGetHandleByIndex(0)
    card.error = LOST
    assert UNKNOWN == probe.sample()
    assert 1 == fake.calls("shutdown")
    card.error = 0
    assert card.total == pynvml.nvmlDeviceGetMemoryInfo(theirs).total
    pynvml.nvmlShutdown()


def test_who_shuts_the_library_down_once_too_often_does_no_harm(
    fake: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    fake.add()
    probe = NvmlProbe(0)
    good = probe.sample()
    pynvml.nvmlShutdown()
    with caplog.at_level(logging.WARNING):
        assert good == probe.sample()
    assert [] == caplog.records


def test_the_library_is_initialised_once_and_never_shut_down(fake: FakeNvml) -> None:
    fake.add()
    probes = [NvmlProbe(0) for _ in range(3)]
    for probe in probes:
        probe.sample()
    del probe, probes
    assert (1, 0) == (fake.calls("init"), fake.calls("shutdown"))


def test_an_error_that_is_not_the_drivers_is_unknown_too(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add()
    probe = NvmlProbe(0, timer=ManualClock())

    def broken(*args: object, **kwargs: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", broken)
    assert UNKNOWN == probe.sample()
