"""What happens once wakes everybody, be it told twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from warmcache._core.state.one_shot import OneShot

CAP = 5.0


def test_nobody_waits_for_what_has_happened() -> None:
    signal = OneShot()
    assert not signal.wait(0) and not signal.happened
    signal.happen()
    assert signal.wait() and signal.wait(0) and signal.happened


@pytest.mark.race
def test_all_who_wait_are_woken(start: Callable[..., Future[Any]]) -> None:
    signal = OneShot()
    waiting = [start(signal.wait, CAP) for _ in range(3)]
    signal.happen()
    assert [True] * 3 == [each.result(CAP) for each in waiting]


def test_it_may_be_told_again_for_the_first_time_may_have_been_interrupted() -> None:
    signal = OneShot()
    signal.happen()
    signal.happen()
    assert signal.wait(0)


@pytest.mark.parametrize("timeout", [-1, -0.001, 0])
def test_who_has_no_time_left_does_not_wait(timeout: float) -> None:
    assert not OneShot().wait(timeout)


@pytest.mark.race
def test_more_time_than_a_lock_knows_is_as_good_as_no_limit(
    start: Callable[..., Future[Any]],
) -> None:
    signal = OneShot()
    waiting = start(signal.wait, 2 * threading.TIMEOUT_MAX)
    signal.happen()
    assert waiting.result(CAP)


@pytest.mark.parametrize("before", [True, False])
def test_who_wants_to_be_called_back_is(before: bool) -> None:
    signal, calls = OneShot(), list[bool]()
    if before:
        signal.call_back(lambda: calls.append(signal.happened))
    signal.happen()
    if not before:
        signal.call_back(lambda: calls.append(signal.happened))
    assert [True] == calls
