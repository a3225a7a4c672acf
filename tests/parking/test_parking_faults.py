"""Whatever fails on the way, a value is where it was, whole; and the next time it works."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from parking_rigs import Rig, facts, is_in_host_memory, tensors_in
from simulated_device import SimulatedDevice, StepError

from warmcache._parking.parking import CannotPark

pytestmark = pytest.mark.models


def device_of(rig: Rig) -> SimulatedDevice:
    assert rig.device is not None
    return rig.device


def model(torch: Any) -> Any:
    module = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.BatchNorm1d(5))
    module[0].part = module[0].weight.detach()[2:]
    with torch.inference_mode():
        module.still = torch.randn(3)
    return module


def test_parking_that_fails_at_any_step_has_changed_nothing(torch: Any, rig: Rig) -> None:
    module, device = model(torch), device_of(rig)
    before = facts(module)
    device.begin()
    parked = rig.park(module)
    steps = [*device.steps]
    # What the device is about to do still comes first, and each storage is copied once.
    assert ["synchronize", *["copy"] * 8, "synchronize"] == steps
    parked.unpark()
    assert ["allocate"] * 8 + ["copy"] * 8 + ["synchronize"] == device.steps[len(steps) :]
    for at in range(1, len(steps) + 1):
        device.begin(fail_at=at)
        with pytest.raises(CannotPark, match=f"StepError: step {at}: (copy|synchronize)"):
            rig.park(module)
        assert before == facts(module)
        assert 0 == rig.slabs.in_use
        assert "synchronize" == device.steps[-1]  # no copy is under way any more
    device.begin()
    rig.there_and_back(module)


def test_an_interrupt_is_not_lost_where_the_device_breaks_as_it_is_waited_for(
    torch: Any, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, device = model(torch), device_of(rig)
    before = facts(module)

    def interrupted(into: Any, of: Any) -> None:
        device.begin(fail_at=1)  # which is to wait for what was begun
        raise KeyboardInterrupt

    monkeypatch.setattr(device, "copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rig.park(module)
    assert ["synchronize"] == device.steps
    assert before == facts(module)
    assert 0 == rig.slabs.in_use


def test_unparking_that_fails_at_any_step_leaves_it_parked_and_whole(torch: Any, rig: Rig) -> None:
    module, device = model(torch), device_of(rig)
    before = facts(module)
    parked = rig.park(module)
    inside, used, kept = facts(module), device.used, []
    at = 0
    while True:
        at += 1
        device.begin(fail_at=at)
        try:
            back = parked.unpark()
        except StepError as error:
            kept.append(error)
            assert inside == facts(module)
            assert all(is_in_host_memory(each) for each in tensors_in(module))
            assert parked.nbytes == rig.slabs.in_use
            assert used == device.used  # though the errors are kept
        else:
            break
    assert back is module and at > 10
    parked.drop()
    assert before == facts(module)


def test_a_device_that_is_full_leaves_it_parked_until_there_is_room(torch: Any, rig: Rig) -> None:
    module, device = model(torch), device_of(rig)
    before = facts(module)
    parked = rig.park(module)
    device.limit = device.used + 150
    with pytest.raises(torch.OutOfMemoryError):
        parked.unpark()
    device.limit += 1000
    assert parked.unpark() is module
    parked.drop()
    assert before == facts(module)


@pytest.mark.parametrize("name", ["empty", "frombuffer"])
def test_parking_fails_where_torch_makes_no_tensor(
    torch: Any, rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module, left = model(torch), 0
    before, real = facts(module), getattr(torch, name)

    def scarce(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            raise MemoryError(name)
        return real(*arguments, **more)

    failures = 0
    monkeypatch.setattr(torch, name, scarce)
    while True:
        left = failures + 1
        try:
            parked = rig.park(module)
        except CannotPark:
            failures += 1
            assert before == facts(module)
        else:
            left = 0
            break
    assert failures > 5
    parked.unpark()
    parked.drop()
    assert before == facts(module)


def test_a_change_that_is_broken_off_midway_is_undone(
    torch: Any, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(torch.nn.Parameter):
        fails = False

        @property
        def data(self) -> Any:
            return super().data

        @data.setter
        def data(self, other: Any) -> None:
            if Fragile.fails:
                Fragile.fails = False
                raise KeyboardInterrupt
            torch.Tensor.data.__set__(self, other)

    module = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(4)), Fragile(torch.randn(5))])
    module.more = torch.randn(6)
    before = facts(module)
    Fragile.fails = True
    with pytest.raises(KeyboardInterrupt):
        rig.park(module)
    assert before == facts(module)
    assert 0 == rig.slabs.in_use
    parked = rig.park(module)
    inside = facts(module)
    Fragile.fails = True
    with pytest.raises(KeyboardInterrupt):
        parked.unpark()
    assert inside == facts(module)
    parked.unpark()
    parked.drop()
    assert before == facts(module)


def test_a_refusal_that_is_kept_keeps_no_memory_of_the_device(torch: Any, rig: Rig) -> None:
    module, kept = model(torch), []
    for fail_at, weight in ((3, 0), (0, 1e9)):
        device_of(rig).begin(fail_at)
        with pytest.raises(CannotPark) as caught:
            rig.park(module, weight)
        kept.append(caught.value)
    storages = [weakref.ref(each.untyped_storage()) for each in tensors_in(module)]
    parked = rig.park(module)
    assert {None} == {storage() for storage in storages}
    assert parked.nbytes == rig.slabs.in_use
