"""The end of an executor over slots: all that it took is done first, and the slots end."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, CancelledError, Future
from typing import Any

import pytest
from slots import CAP, Late, Slot, routed, submit

from warmcache._core.state.one_shot import OneShot


class Telling(OneShot):
    """Tells by an event that it is waited for."""

    __slots__ = ("_waiting",)

    def __init__(self, waiting: threading.Event) -> None:
        super().__init__()
        self._waiting = waiting

    def wait(self, timeout: float | None = None) -> bool:
        self._waiting.set()
        return super().wait(timeout)


def test_shutdown_cancels_what_waits_when_asked_to() -> None:
    slot = Slot()
    executor = routed(slot)
    running, waiting = submit(executor, "a"), submit(executor, "b")
    executor.shutdown(wait=False, cancel_futures=True)
    assert not slot.ended.is_set()
    slot.answer(1, "a")
    assert 1 == running.result(CAP)
    with pytest.raises(CancelledError):
        waiting.result(CAP)
    assert slot.ended.wait(CAP)


def test_shutdown_without_waiting_ends_the_slots_once_all_is_done() -> None:
    slot = Slot()
    executor = routed(slot)
    futures = [submit(executor, letter) for letter in "ab"]
    executor.shutdown(wait=False)
    slot.answer(1, "a")
    assert not slot.ended.is_set()
    slot.answer(2, "b")
    assert [1, 2] == [future.result(CAP) for future in futures]
    assert slot.ended.wait(CAP)


@pytest.mark.race
def test_shutdown_waits_until_the_last_call_is_done() -> None:
    slot = Slot()
    executor = routed(slot)
    futures = [submit(executor, letter) for letter in "ab"]
    waiting = threading.Event()
    executor._all_done = Telling(waiting)
    end = threading.Thread(target=executor.shutdown)
    end.start()
    assert waiting.wait(CAP)
    slot.answer(1, "a")
    assert 1 == futures[0].result(CAP)
    assert not executor._all_done.happened
    slot.answer(2, "b")
    end.join(CAP)
    assert not end.is_alive()
    assert slot.waited_for


@pytest.mark.race
def test_shutdown_asked_for_twice_ends_the_slots() -> None:
    slot = Slot()
    executor = routed(slot)
    submit(executor, "a")
    executor.shutdown(wait=False)
    waiting = threading.Event()
    executor._all_done = Telling(waiting)
    again = threading.Thread(target=executor.shutdown)
    again.start()
    assert waiting.wait(CAP)
    slot.answer(1, "a")
    again.join(CAP)
    assert not again.is_alive()
    assert slot.waited_for


@pytest.mark.race
def test_shutdown_in_two_threads_waits_for_the_end_in_both() -> None:
    ending, go, waiting = threading.Event(), threading.Event(), threading.Event()

    class Slow(Slot):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            ending.set()
            assert go.wait(CAP)
            super().shutdown(wait)

    slot = Slow()
    executor = routed(slot)
    executor._ended = Telling(waiting)
    first = threading.Thread(target=executor.shutdown)
    first.start()
    assert ending.wait(CAP)
    seen: list[bool] = []
    second = threading.Thread(
        target=lambda: (executor.shutdown(), seen.append(slot.ended.is_set()))
    )
    second.start()
    assert waiting.wait(CAP)
    go.set()
    first.join(CAP), second.join(CAP)
    assert [True] == seen


def test_shutdown_ends_the_slots_where_no_thread_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    slots = Slot(), Slot()
    executor = routed(*slots)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    executor.shutdown()
    assert all(slot.waited_for for slot in slots)


def test_shutdown_in_a_callback_cannot_wait_for_the_call_itself() -> None:
    slot = Slot()
    executor = routed(slot)
    future = submit(executor, "a")
    refused: list[str] = []

    def shut_down(_: Future[Any]) -> None:
        with pytest.raises(RuntimeError, match="wait=False") as caught:
            executor.shutdown()
        refused.append(str(caught.value))
        executor.shutdown(wait=False)

    future.add_done_callback(shut_down)
    slot.answer(1, "a")
    assert 1 == len(refused)
    assert slot.ended.is_set()


def test_shutdown_waits_for_the_slots_that_ever_came_alone() -> None:
    slot, late = Slot(), Late()
    routed(slot, late).shutdown()
    assert slot.ended.wait(CAP)
    assert slot.waited_for
    assert late.ended.wait(CAP)
    assert not late.waited_for
    assert late.joining.cancelled(), "or its executor would do that before it ends"


def test_nothing_is_taken_after_shutdown() -> None:
    executor = routed(Slot())
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        submit(executor, "a")


def test_a_slot_that_breaks_after_shutdown_still_has_its_calls_done_elsewhere() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    running, waiting = submit(executor, "a"), submit(executor, "a")
    executor.shutdown(wait=False)
    left.broken = True
    left.fail(BrokenExecutor("died"))
    right.answer(1, "a")
    assert isinstance(running.exception(CAP), BrokenExecutor)
    assert 1 == waiting.result(CAP)
    assert right.ended.wait(CAP)
