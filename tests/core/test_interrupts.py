"""A Ctrl-C at any place in our own code loses no value and no room, and no key hangs.

The interpreter looks for signals as a function begins, as a call of C code returns and as a loop
goes back. So each scenario is run again and again, and the n-th time an exception is raised at the
n-th of these places, until there are no more.
"""

from __future__ import annotations

import contextlib
import dis
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

import pytest
from node_members import until
from scenarios import SCENARIOS, Scenario

import warmcache
from warmcache import warm
from warmcache._core.drivers import event_loop, threads
from warmcache._core.state.loading_threads import HANDED_OVER
from warmcache._core.state.one_shot import OneShot
from warmcache._process.janitor import janitor
from warmcache.testing import assert_consistent

CAP = 5.0

pytestmark = pytest.mark.usefixtures("collector_off")
OURS = str(Path(warmcache.__file__).parent)
NOT_OURS = (f"{OURS}/testing.py",)
CORE = tuple(f"{OURS}/{folder}/" for folder in ("_core", "_loaders", "caches", "memory"))


class Interrupt(KeyboardInterrupt):
    """What is raised in the midst of our own code."""


def interrupted(act: Callable[[], None], number: int) -> str | None:
    """Run ``act``, interrupted at the place of that number; return the place if there is one."""
    count, place = 0, None

    def look(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count, place
        file = frame.f_code.co_filename
        if event in ("call", "c_return") and file.startswith(OURS) and file not in NOT_OURS:
            if event == "call" and frame.f_code.co_flags & inspect.CO_COROUTINE:
                return  # where asyncio runs, a Ctrl-C is a cancellation, and comes in an await
            of = getattr(arg, "__name__", "")
            if of == "__enter__":
                return  # of a with statement: Python itself sees to that, see mending.py
            count += 1
            if count == number:
                where = f"{file[len(OURS) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
                place = f"{where} {event} {of}"
                sys.setprofile(None)
                raise Interrupt

    sys.setprofile(look)
    try:
        act()
    except Interrupt:
        pass
    finally:
        sys.setprofile(None)
    return place


@cache
def loops_back(code: CodeType) -> set[int]:
    """Return where in ``code`` loops go back and the interpreter looks for signals.

    Not where a condition has them go back at once: there is no handler in force there in CPython
    3.12, which looks for none there, and in 3.13, which does, see mending.py.
    """
    found, first, before = set(), None, ""
    for each in dis.get_instructions(code):
        first = each.offset if first is None else first
        if each.opname != "EXTENDED_ARG":  # which the next is a part of
            looks = "JUMP_BACKWARD" in each.opname and "NO_INTERRUPT" not in each.opname
            if looks and not before.startswith("POP_JUMP_IF"):
                found.add(first)
            first, before = None, each.opname
    return found


def interrupted_in_a_loop(act: Callable[[], None], number: int) -> str | None:
    """Run ``act``, interrupted as a loop of the core goes back for that time; return where."""
    count, place = 0, None

    def look(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count, place
        file, code = frame.f_code.co_filename, frame.f_code
        if event == "call":
            if not file.startswith(CORE) or not loops_back(code):
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode" and frame.f_lasti in loops_back(code):
            count += 1
            if count == number:
                place = f"{file[len(OURS) + 1 :]}:{frame.f_lineno} {code.co_name}"
                sys.settrace(None)
                raise Interrupt
        return look

    tracer = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # without which Python 3.12 tells of none
    sys.settrace(look)
    try:
        act()
    except Interrupt:
        pass
    finally:
        sys.settrace(tracer)
    return place


Interrupting: TypeAlias = Callable[[Callable[[], Any], int], str | None]
AT_LEAST: dict[Interrupting, int] = {interrupted: 50, interrupted_in_a_loop: 0}
ANYWHERE = pytest.mark.parametrize("interrupt", AT_LEAST)


@pytest.mark.parametrize("driver", [threads.run, event_loop.run_async])
def test_the_places_are_found_at_which_a_drivers_loop_goes_back(driver: Any) -> None:
    assert loops_back(driver.__code__)


def damage(scenario: Scenario) -> None:
    """Use the cache after the interrupt and close it; raise what is wrong with it."""
    done = threading.Event()
    janitor.defer(done.set)  # who comes after what it has to end, of leases that were collected
    assert done.wait(CAP)
    assert_consistent(scenario.cache)
    scenario.goes_on()
    scenario.cache.close()
    assert_consistent(scenario.cache)
    store = scenario.cache._store
    assert not store.flights and not store.batches, "a load is under way for ever"
    assert 0 == store.ledger.committed, "room is lost"
    assert 0 == store.ledger.owed
    if store.tears_down:
        assert [1] * len(scenario.made) == [len(torn_down) for torn_down in scenario.made]
        assert all(len(torn_down) <= 1 for torn_down in scenario.handed_in)


@pytest.fixture
def little_garbage() -> Iterator[Callable[[], object]]:
    """Return what collects garbage in no time, for it looks at nothing that was there before."""
    gc.collect()
    gc.freeze()
    yield gc.collect
    gc.unfreeze()


@pytest.mark.race
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:a lease of .* was collected:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a finalizer
@ANYWHERE
@pytest.mark.parametrize("kind", SCENARIOS)
def test_an_interrupt_at_any_place_does_no_damage(
    kind: type[Any],
    interrupt: Interrupting,
    start: Callable[..., Future[Any]],
    little_garbage: Callable[[], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", "warmcache")
    caplog.set_level("CRITICAL", "asyncio")  # of tasks that nobody awaits, as that was interrupted
    places, damaged = 0, {}
    while True:
        scenario = None  # Who has a device shares it with the caches that are still there: so
        little_garbage()  # each would have more places than the one before, without an end.
        scenario = kind()
        place = interrupt(scenario.act, places + 1)
        if place is None:
            break
        places += 1
        little_garbage()  # a lease in the exception's frames
        try:
            start(damage, scenario).result(CAP)
        except BaseException as error:
            damaged[place] = repr(error)
    assert places >= AT_LEAST[interrupt]
    assert not damaged, f"{len(damaged)} of {places} places"


def _loses_nothing(
    interrupt: Interrupting,
    of_owner: Callable[..., Any],
    evict: Callable[[Any], Any],
    act: Callable[[Any, Any], object],
) -> None:
    """Interrupt ``act`` at one place after the other, for loaders whose owner tears down."""
    places = 0
    while True:
        torn_down: list[Any] = []
        options: Any = {"teardown": torn_down.append, "teardown_in": "loading-thread"}
        load = warm(maxsize=3, **options)(lambda name: [name])
        other = warm(maxsize=1)(lambda name: name)
        of_owner(load, "a"), of_owner(load, "b")
        evict(load)
        if interrupt(partial(act, load, other), places + 1) is None:
            break
        places += 1
        load.cache.clear()
        of_owner(other, 2), of_owner(other, 3)
        assert [["a"], ["b"]] == sorted(torn_down)
        assert {} == HANDED_OVER
        assert_consistent(load.cache)
    assert places >= AT_LEAST[interrupt]


@pytest.mark.race
@ANYWHERE
def test_an_interrupt_of_who_hands_over_loses_nothing(
    interrupt: Interrupting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "warmcache")
    with ThreadPoolExecutor(1) as owner:
        _loses_nothing(
            interrupt,
            lambda *call: owner.submit(*call).result(CAP),
            lambda load: None,
            lambda load, other: load.cache.clear(),
        )


@pytest.mark.race
@ANYWHERE
def test_an_interrupt_of_who_was_handed_something_loses_nothing(
    interrupt: Interrupting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", "warmcache")
    with ThreadPoolExecutor(1) as others:
        _loses_nothing(
            interrupt,
            lambda act, *args: act(*args),
            lambda load: others.submit(load.cache.clear).result(CAP),
            lambda load, other: other(1),
        )


def _at_once(joined: Callable[..., None]) -> Any:
    load = warm(maxsize=2)(lambda name: joined(load, name))
    return load


def _by_plan(joined: Callable[..., None]) -> Any:
    load = warm(maxsize=2, size=lambda value: 1)(lambda name: joined(load, name))
    return load


def _in_a_batch_that_fails(joined: Callable[..., None]) -> Any:
    def found(names: list[str]) -> list[str]:
        joined(load, names[:1])
        if len(names) > 1:
            raise ValueError("no")
        return names

    load = warm(maxsize=2, batch="names")(found)
    return load


@pytest.mark.race
@ANYWHERE
@pytest.mark.parametrize("kind", [_at_once, _by_plan, _in_a_batch_that_fails])
def test_an_interrupt_of_who_loads_leaves_nobody_waiting(
    kind: Callable[..., Any], interrupt: Interrupting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "warmcache")
    places = 0
    while True:
        others: list[threading.Thread] = []

        def joined(load: Any, wanted: Any, others: Any = others) -> None:
            counts = load.cache._store.counts
            if not others:
                others.append(threading.Thread(target=load, args=(wanted,), daemon=True))
                others[0].start()
                until(lambda: counts.waits)

        load = kind(joined)
        wanted = ["a", "b"] if kind is _in_a_batch_that_fails else "a"
        with contextlib.suppress(ValueError):
            place = None
            place = interrupt(partial(load, wanted), places + 1)
        if place is None:
            break
        places += 1
        for other in others:
            other.join(CAP)
            assert not other.is_alive(), f"{place}: it is waited for for ever"
        assert_consistent(load.cache)
    assert places >= AT_LEAST[interrupt]


@pytest.mark.race
def test_an_interrupt_of_who_waits_keeps_nobody_waiting_beside() -> None:
    me, places = threading.get_ident(), 0
    while True:
        shot, over = OneShot(), threading.Event()

        def happen(shot: OneShot = shot, over: threading.Event = over) -> None:
            waits = OneShot.wait.__code__
            until(lambda: over.is_set() or sys._current_frames()[me].f_code is waits)
            shot.happen()

        other = threading.Thread(target=happen)
        other.start()
        place = interrupted(shot.wait, places + 1)
        over.set()
        other.join(CAP)
        assert not shot._latch.locked(), place
        if place is None:
            break
        places += 1
    assert places > 2
