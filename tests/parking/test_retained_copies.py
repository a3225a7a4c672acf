"""A copy that stays on the host is not made again, unless something was written since."""

from __future__ import annotations

from typing import Any

import pytest
from parking_rigs import Rig, facts

pytestmark = pytest.mark.models


@pytest.fixture
def rig() -> Rig:
    return Rig(retain=True)


@pytest.fixture
def module(torch: Any) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(200, 200), torch.nn.Linear(200, 200))


def copies_made(rig: Rig, value: Any) -> int:
    """Return how much of a value was copied as it was parked; it must come back as it was."""
    before, device = facts(value), rig.device
    assert device is not None
    device.begin()
    parked = rig.park(value)
    count = device.steps.count("copy")
    assert parked.unpark() is value
    parked.drop()
    assert before == facts(value)
    assert 0 == rig.slabs.in_use
    return count


def test_what_nobody_wrote_is_not_copied_again(rig: Rig, module: Any) -> None:
    assert 4 == copies_made(rig, module)
    kept = rig.slabs.kept
    assert [0, 0] == [copies_made(rig, module) for _ in range(2)]
    assert kept == rig.slabs.kept


def test_without_being_asked_for_it_is(module: Any) -> None:
    rig = Rig()
    assert [4, 4] == [copies_made(rig, module) for _ in range(2)]


def test_what_was_written_is_copied_again_and_nothing_else(
    torch: Any, rig: Rig, module: Any
) -> None:
    copies_made(rig, module)
    with torch.no_grad():
        module[1].weight[3] += 1
    assert 1 == copies_made(rig, module)
    module[0].bias.detach().fill_(7)
    assert 1 == copies_made(rig, module)
    assert 0 == copies_made(rig, module)


def test_what_was_written_while_it_was_parked_is_in_the_copy(
    torch: Any, rig: Rig, module: Any
) -> None:
    copies_made(rig, module)
    parked = rig.park(module)
    with torch.no_grad():
        module[0].bias.fill_(5)
    parked.unpark()
    parked.drop()
    assert 0 == copies_made(rig, module)
    assert torch.equal(torch.full((200,), 5.0), module[0].bias)


def test_another_tensor_makes_it_another_value(torch: Any, rig: Rig, module: Any) -> None:
    copies_made(rig, module)
    module.view = module[0].weight.detach()[3:]
    assert 4 == copies_made(rig, module)
    module.more = torch.randn(3)
    assert 5 == copies_made(rig, module)
    assert 0 == copies_made(rig, module)


def test_a_copy_goes_where_its_room_is_needed(torch: Any, rig: Rig, module: Any) -> None:
    copies_made(rig, module)
    other = torch.nn.Sequential(torch.nn.Linear(200, 200), torch.nn.Linear(200, 200))
    assert 4 == copies_made(rig, other)
    assert [0, 0] == [copies_made(rig, each) for each in (module, other)]  # there was room for both
    rig.slabs.limit = rig.slabs.kept
    third = torch.nn.Linear(100, 100)
    assert 2 == copies_made(rig, third)
    # The oldest has gone for it: the one that was parked first of late.
    assert [0, 4] == [copies_made(rig, each) for each in (other, module)]


def test_a_copy_over_which_another_was_written_is_none(torch: Any, rig: Rig) -> None:
    first, second = torch.randn(40_000), torch.randn(40_000)
    copies_made(rig, first)
    rig.slabs.limit = kept = rig.slabs.kept
    assert [1, 1, 1] == [copies_made(rig, each) for each in (second, first, second)]
    rig.slabs.limit = 10 * kept
    del second
    assert 1 == copies_made(rig, torch.randn(40_000))  # in the slab that has none of ``first``
    assert kept == rig.slabs.kept


def test_slabs_whose_value_is_gone_go_before_others(torch: Any, rig: Rig) -> None:
    first, second, third = [torch.randn(40_000) for _ in range(3)]
    for each in (first, second):
        copies_made(rig, each)
    kept = rig.slabs.kept
    del second, each
    assert 1 == copies_made(rig, third)
    assert kept == rig.slabs.kept
    assert [0, 0] == [copies_made(rig, each) for each in (first, third)]
    del third
    rig.slabs.limit = kept
    copies_made(rig, torch.randn(1000))  # the younger one is unmapped for it
    assert 0 == copies_made(rig, first)


def test_what_was_made_in_inference_mode_has_a_copy_too(torch: Any, rig: Rig) -> None:
    with torch.inference_mode():
        module = torch.nn.Linear(20, 20)
    assert [2, 0] == [copies_made(rig, module) for _ in range(2)]


def test_a_slab_that_is_looked_into_is_no_copy_any_more(torch: Any, rig: Rig, module: Any) -> None:
    parked = rig.park(module)
    taken = module[0].weight.detach()
    parked.unpark()
    parked.drop()
    expected = taken.clone()
    parked = rig.park(module)
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(expected, taken)
    parked.unpark()
    parked.drop()
