"""An executor over slots, whose answers are given by hand."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from typing import Any

import pytest

from warmcache import warm
from warmcache._engines.worker_side import Answer, Report, hello
from warmcache.executors import RoutedExecutor

CAP = 5.0


@warm(policy="lru", maxsize=4)
def load(name: str) -> str:
    return name


def name_of(letter: str) -> str:
    return f"test_routed.load({letter!r})"


class Slot(Executor):
    """A worker that answers what it is told to."""

    def __init__(self, *warm: str) -> None:
        self.warm = warm
        self.asked: list[tuple[Any, Future[Any]]] = []
        self.broken = self.waited_for = False
        self.ended = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("broken")
        future: Future[Any] = Future()
        if fn is hello:
            future.set_result(Report(tuple(map(name_of, self.warm))))
        else:
            self.asked.append((args, future))
        return future

    def answer(self, value: Any, *warm: str) -> None:
        """Answer the oldest call."""
        _, future = self.asked.pop(0)
        future.set_result(Answer(value, Report(tuple(map(name_of, warm)), 0.1)))

    def fail(self, error: Exception) -> None:
        _, future = self.asked.pop(0)
        future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.waited_for = wait
        self.ended.set()


class Late(Slot):
    """A worker that has not come yet."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is hello:
            self.joining: Future[Any] = Future()
            return self.joining
        return super().submit(fn, *args, **kwargs)


class Immediate(Late):
    """One that answers before it is asked whether it has."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        if fn is not hello:
            self.answer(1, "a")
        return future


def routed(*slots: Slot) -> RoutedExecutor:
    return RoutedExecutor(slots)


def submit(executor: RoutedExecutor, letter: str) -> Future[Any]:
    return executor.submit(len, letter, warm=partial(load, letter))


def test_a_call_goes_to_the_slot_that_says_it_has_its_key_warm() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    submit(executor, "b")
    assert (0, 1) == (len(left.asked), len(right.asked))
    submit(executor, "a")
    assert (1, 1) == (len(left.asked), len(right.asked))


def test_a_call_waits_for_the_slot_that_has_its_key_warm() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    submit(executor, "a")
    submit(executor, "a")
    assert (1, 0) == (len(left.asked), len(right.asked))
    left.answer(1, "a")
    assert (1, 0) == (len(left.asked), len(right.asked))


def test_what_a_slot_has_evicted_is_learned_from_its_answer() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    submit(executor, "a")
    left.answer(1, "b")
    submit(executor, "b")
    submit(executor, "b")
    assert (1, 1) == (len(left.asked), len(right.asked))


def test_what_a_failed_call_has_left_warm_is_learned_from_its_exception() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    future = submit(executor, "a")
    error = ValueError("no")
    error.__dict__["_warmcache_report"] = Report((name_of("b"),))
    left.fail(error)
    assert future.exception(CAP) is error
    submit(executor, "b")
    submit(executor, "b")
    assert (1, 1) == (len(left.asked), len(right.asked))


def test_a_report_that_is_lost_changes_nothing() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    future = submit(executor, "a")
    left.fail(ValueError("no"))
    assert isinstance(future.exception(CAP), ValueError)
    submit(executor, "a")
    assert (1, 0) == (len(left.asked), len(right.asked))


def test_calls_that_want_nothing_take_any_free_slot() -> None:
    left, right = Slot("a"), Slot()
    executor = routed(left, right)
    executor.submit(len, "x")
    executor.submit(len, "x")
    assert (1, 1) == (len(left.asked), len(right.asked))


def test_the_slots_know_nothing_of_what_wants_nothing_afterwards() -> None:
    slot = Slot()
    executor = routed(slot)
    executor.submit(len, "x")
    slot.answer(1)
    assert not executor._backlog._models
    assert not executor._backlog._workers[0].full


def test_a_slot_that_breaks_fails_its_call_and_the_others_go_on_elsewhere() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    running, waiting = submit(executor, "a"), submit(executor, "a")
    left.broken = True
    left.fail(BrokenExecutor("died"))
    assert isinstance(running.exception(CAP), BrokenExecutor)
    right.answer(1, "a", "b")
    assert 1 == waiting.result(CAP)


def test_a_call_of_a_slot_that_cannot_be_replaced_fails_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slot = Slot("a")
    executor = routed(slot)

    def no_thread(slot: int) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(executor, "_replace", no_thread)
    running = submit(executor, "a")
    slot.fail(BrokenExecutor("died"))
    assert isinstance(running.exception(CAP), BrokenExecutor)


def test_a_call_that_a_broken_slot_does_not_take_goes_elsewhere() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    left.broken = True
    future = submit(executor, "a")
    right.answer(1, "a")
    assert 1 == future.result(CAP)


def test_without_a_slot_left_whatever_waits_fails() -> None:
    slot = Slot("a")
    executor = routed(slot)
    futures = [submit(executor, "a") for _ in range(3)]
    slot.broken = True
    slot.fail(BrokenExecutor("died"))
    assert all(isinstance(future.exception(CAP), BrokenExecutor) for future in futures)
    with pytest.raises(BrokenExecutor, match="no slot is left"):
        submit(executor, "a")


def test_a_slot_takes_part_only_once_it_has_answered() -> None:
    late = Late()
    executor = routed(late)
    future = submit(executor, "a")
    assert not late.asked
    late.joining.set_result(Report(()))
    late.answer(1, "a")
    assert 1 == future.result(CAP)


def test_a_call_that_is_cancelled_while_it_waits_is_never_run() -> None:
    slot = Slot()
    executor = routed(slot)
    running, waiting = submit(executor, "a"), submit(executor, "b")
    assert waiting.cancel()
    assert not running.cancel()
    assert 0 == len(executor._backlog)
    slot.answer(1, "a")
    assert not slot.asked


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


def test_shutdown_asked_for_twice_ends_the_slots() -> None:
    slot = Slot()
    executor = routed(slot)
    submit(executor, "a")
    executor.shutdown(wait=False)
    waiting, wait_for = threading.Event(), executor._changed.wait_for

    def tell_and_wait(*args: Any) -> Any:
        waiting.set()
        return wait_for(*args)

    executor._changed.wait_for = tell_and_wait  # type: ignore[method-assign]
    again = threading.Thread(target=executor.shutdown)
    again.start()
    assert waiting.wait(CAP)
    slot.answer(1, "a")
    again.join(CAP)
    assert not again.is_alive()
    assert slot.waited_for


def test_shutdown_in_two_threads_waits_for_the_end_in_both() -> None:
    ending, go, waiting = threading.Event(), threading.Event(), threading.Event()

    class Telling(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(timeout)

    class Slow(Slot):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            ending.set()
            assert go.wait(CAP)
            super().shutdown(wait)

    slot = Slow()
    executor = routed(slot)
    executor._ended = Telling()
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


def test_answers_that_come_at_once_do_not_pile_up() -> None:
    slot = Immediate()
    executor = routed(slot)
    futures = [submit(executor, "a") for _ in range(sys.getrecursionlimit())]
    slot.joining.set_result(Report(()))
    assert all(1 == future.result(CAP) for future in futures)


def test_a_callback_may_wait_for_a_call_that_is_answered_at_once() -> None:
    slot = Immediate()
    executor = routed(slot)
    first, seen = submit(executor, "a"), []

    def ask_again(_: Future[Any]) -> None:
        seen.append(submit(executor, "a").result(CAP))

    first.add_done_callback(ask_again)
    slot.joining.set_result(Report(()))
    assert [1] == seen


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


def test_map_takes_what_each_call_wants_or_one_for_all() -> None:
    left, right = Slot("a"), Slot("b")
    executor = routed(left, right)
    results = executor.map(len, ["x", "y"], warm=[partial(load, "b"), partial(load, "a")])
    right.answer("from b", "b")
    left.answer("from a", "a")
    assert ["from b", "from a"] == list(results)
    results = executor.map(len, ["x", "y"], warm=partial(load, "b"))
    right.answer(1, "b")
    right.answer(2, "b")
    assert [1, 2] == list(results)
    assert [] == list(executor.map(len, warm=partial(load, "b")))


def test_map_refuses_fewer_or_more_wishes_than_calls_and_calls_nothing() -> None:
    slot = Slot("a")
    executor = routed(slot)
    for count in (1, 3):
        with pytest.raises(ValueError, match=f"warm= has {count} elements for 2 calls"):
            executor.map(len, ["x", "y"], warm=[partial(load, "a")] * count)
    assert [] == slot.asked


def test_what_is_no_call_of_a_loader_is_refused() -> None:
    executor = routed(Slot())
    for warmth in ("a", len, partial(len, "a")):
        with pytest.raises(TypeError, match="call"):
            executor.submit(len, "a", warm=warmth)


def test_an_async_loader_is_refused() -> None:
    @warm
    async def later(name: str) -> str:
        return name

    executor = routed(Slot())
    with pytest.raises(TypeError, match="async loader"):
        executor.submit(len, "a", warm=partial(later, "a"))


def test_an_executor_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        RoutedExecutor([])
