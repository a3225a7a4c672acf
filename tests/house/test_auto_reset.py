"""An event that resets itself as it wakes: what is said once is heard once, interrupted or not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

from warmcache._auto_reset import AutoResetEvent

CAP = 5.0


def test_what_was_set_before_is_heard_and_is_reset_by_that() -> None:
    event = AutoResetEvent()
    event.set()
    event.set()
    assert event.wait()
    assert not event.wait(0)
    assert not event.wait(-1)


@pytest.mark.race
def test_who_waits_is_woken() -> None:
    event, heard = AutoResetEvent(), threading.Event()
    waiter = threading.Thread(target=lambda: event.wait(CAP) and heard.set())
    waiter.start()
    event.set()
    assert heard.wait(CAP)
    waiter.join(CAP)


def test_any_time_may_be_waited() -> None:
    event = AutoResetEvent()
    event.set()
    assert event.wait(1e300)


def interrupted(act: Callable[[], object], number: int) -> bool:
    """Run ``act``, interrupted where that function begins or is left; tell if there is one."""
    count = 0

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_return")
        if count == number:
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.race
@pytest.mark.parametrize("was_set", [True, False])
@pytest.mark.parametrize(
    "act", [lambda event: event.wait(0.001), lambda event: event.set()], ids=["wait", "set"]
)
def test_an_interrupt_at_any_place_leaves_it_so_that_others_can_set_it(
    act: Callable[[AutoResetEvent], object], was_set: bool
) -> None:
    number = 1
    while True:
        event = AutoResetEvent()
        if was_set:
            event.set()
        if not interrupted(lambda event=event: act(event), number):  # type: ignore[misc]
            break
        other = threading.Thread(target=event.set, daemon=True)
        other.start()
        other.join(CAP)
        assert not other.is_alive(), "it hangs"
        assert event.wait(0)
        number += 1
    assert number > 3
