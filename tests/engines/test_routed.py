"""An executor over slots: which slot a call goes to, and what becomes of it."""

from __future__ import annotations

import sys
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from slots import CAP, Immediate, Late, Slot, load, name_of, routed, submit

from warmcache import warm
from warmcache._engines.wanted import Wanted
from warmcache._engines.worker_side import Report
from warmcache.executors import RoutedExecutor


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


def test_a_call_of_a_bound_method_is_one_of_a_loader() -> None:
    class Zoo:
        @warm
        def load(self, name: str = "m") -> str:
            return name

    zoo = Zoo()
    for warmth, args in ((zoo.load, ()), (partial(zoo.load, "a"), ("a",))):
        wanted = Wanted.of(warmth)
        assert zoo.load == wanted.loader and args == wanted.args


def test_an_async_loader_is_refused() -> None:
    @warm
    async def later(name: str) -> str:
        return name

    executor = routed(Slot())
    with pytest.raises(TypeError, match="async loader"):
        executor.submit(len, "a", warm=partial(later, "a"))


def test_an_executor_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match=r"slots must be 1 or more that have submit\(\)"):
        RoutedExecutor([])


@pytest.mark.parametrize("pool", [ProcessPoolExecutor, ThreadPoolExecutor])
def test_a_slot_of_several_workers_is_refused_for_nobody_knows_which_has_what(pool: Any) -> None:
    slots = [pool(max_workers=1), pool(max_workers=3)]
    with pytest.raises(ValueError, match=r"one worker each, got .* with 3; .*max_workers=1.*range"):
        RoutedExecutor(slots)


def test_a_slot_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="one is in there twice"):
        RoutedExecutor([Slot()] * 2)
