"""A context owns what is loaded for it, and lets all of it go at its end."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import os
import signal
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from gates import CAP, Gate
from owned import Loads, janitor_done
from processes import needs_fork

import warmcache
from warmcache import (
    ClosedError,
    Context,
    LRUCache,
    Removal,
    RemovalCause,
    disabled,
    warm,
)
from warmcache._loaders import owners
from warmcache.testing import ManualClock, assert_consistent


class Sky(Context):
    """One whose ``__init__`` calls nobody's."""

    def __init__(self, nside: int = 1) -> None:
        self.nside = nside


class Case:
    """A context's method and two functions, in caches of their own, and in which order all went."""

    def __init__(self, **options: Any) -> None:
        self.order: list[str] = []
        self.causes: list[RemovalCause] = []

        def left(removal: Removal) -> None:
            self.causes.append(removal.cause)

        options = {"teardown": self.order.append, "on_removal": left, **options}

        class Pipeline(Context):
            @warm(**options, tags=["maps"])
            def beam(self, name: str) -> str:
                return name

        self.context = Pipeline
        self.one: Any = warm(**options, per="ctx")(lambda ctx, name: name)
        self.two: Any = warm(**options, per="ctx", tags=["maps"])(lambda name, *, ctx: name)

    def load(self, ctx: Any) -> None:
        ctx.beam("1"), self.one(ctx, "2"), self.two("3", ctx=ctx), ctx.beam("4"), self.one(ctx, "5")


def close(ctx: Context) -> None:
    ctx.close()


def leave(ctx: Context) -> None:
    with ctx:
        pass


def aclose(ctx: Context) -> None:
    async def main() -> None:
        await ctx.aclose()

    asyncio.run(main())


def leave_async(ctx: Context) -> None:
    async def main() -> None:
        async with ctx as entered:
            assert ctx is entered

    asyncio.run(main())


ENDS = pytest.mark.parametrize("end", [close, leave, aclose, leave_async])


@ENDS
def test_all_that_belongs_to_it_goes_the_last_loaded_first_wherever_it_lies(end: Any) -> None:
    case = Case()
    ctx, other = case.context(), case.context()
    case.load(ctx), case.load(other)
    end(ctx)
    assert [*"54321"] == case.order
    assert [RemovalCause.CLOSED] * 5 == case.causes
    assert other.beam.contains("1") and case.one.contains(other, "5")


@ENDS
def test_whatever_is_asked_for_with_it_then_is_refused_and_says_who_closed_it(end: Any) -> None:
    case = Case()
    ctx = case.context()
    case.load(ctx)
    end(ctx)
    by = "aclose" if "async" in end.__name__ or end is aclose else "close"
    message = rf"Pipeline was closed by {by}\(\) at {__file__}:\d+; make another"
    asks: list[Any] = [
        lambda: ctx.beam("1"),
        lambda: case.one(ctx, "2"),
        lambda: case.two("new", ctx=ctx),
        lambda: case.one.lease(ctx, "2").__enter__(),
        lambda: ctx.beam.lease("1").__enter__(),
        lambda: case.one.contains(ctx, "2"),
        lambda: warm(per="ctx")(lambda ctx: 1)(ctx),
    ]
    for ask in asks:
        with pytest.raises(ClosedError, match=message):
            ask()
    assert [*"54321"] == case.order


def test_inside_disabled_a_closed_one_is_refused_as_well() -> None:
    case = Case()
    ctx = case.context()
    ctx.close()
    with disabled():
        for ask in (lambda: ctx.beam("1"), lambda: case.one(ctx, "2")):
            with pytest.raises(ClosedError):
                ask()


async def test_inside_disabled_the_batches_of_a_closed_one_are_refused_as_well() -> None:
    class Pipeline(Context):
        @warm(batch="names")
        def beams(self, names: list[str]) -> list[str]:
            return names

        @warm(batch="names")
        async def later(self, names: list[str]) -> list[str]:
            return names

    ctx = Pipeline()
    ctx.close()
    with disabled():
        with pytest.raises(ClosedError):
            ctx.beams(["1"])
        with pytest.raises(ClosedError):
            await ctx.later(["1"])


def test_one_that_was_never_used_can_be_closed() -> None:
    case = Case()
    ctx = case.context()
    ctx.close()
    with pytest.raises(ClosedError):
        ctx.beam("1")


def test_to_close_twice_is_fine_and_the_first_says_who() -> None:
    case = Case()
    ctx = case.context()
    case.load(ctx)
    with ctx:
        ctx.close()
    asyncio.run(ctx.aclose())
    assert [*"54321"] == case.order


def test_contexts_may_be_nested() -> None:
    case = Case()
    with case.context() as outer:
        case.one(outer, "outer")
        with case.context() as inner:
            case.one(inner, "inner")
            case.one(outer, "later")
        assert ["inner"] == case.order
        assert case.one.contains(outer, "outer")
    assert ["inner", "later", "outer"] == case.order


def test_two_contexts_never_share_though_they_be_equal_or_copies() -> None:
    @dataclass
    class Equal(Context):
        nside: int

    loads = Loads()
    contexts = [Equal(1), Equal(1)]
    contexts += [copy.copy(contexts[0]), copy.deepcopy(contexts[0])]
    assert contexts[0] == contexts[3]
    values = [loads.load(ctx, "a") for ctx in contexts]
    assert 4 == len({id(value) for value in values})
    contexts[0].close()
    assert all(loads.load.contains(ctx, "a") for ctx in contexts[1:])


def test_one_that_is_dropped_is_torn_down() -> None:
    case = Case()
    ctx = case.context()
    case.load(ctx)
    del ctx
    janitor_done()
    assert [*"54321"] == case.order
    assert [RemovalCause.CLOSED] * 5 == case.causes


class Slotted(Context):
    """One with slots."""

    __slots__ = ("nside",)


class WithSlots:
    """A base with slots of its own."""

    __slots__ = ("first",)


class Mixed(WithSlots, Context):
    """One of two bases."""


@dataclass(frozen=True, slots=True)
class Frozen(Context):
    """One that is frozen."""

    nside: int = 1


@pytest.mark.parametrize("kind", [Context, Sky, Slotted, Mixed, Frozen])
def test_any_class_may_be_a_context(kind: Any) -> None:
    loads = Loads()
    with kind() as ctx:
        assert loads.load(ctx, "a") is loads.load(ctx, "a")
    assert ["a"] == loads.names


# -- leases and loads under way ----------------------------------------------------------


@ENDS
def test_what_is_leased_goes_with_its_last_lease(end: Any) -> None:
    loads = Loads()
    ctx = Sky()
    loads.load(ctx, "idle")
    with loads.load.lease(ctx, "leased") as value:
        end(ctx)
        assert ["idle"] == loads.names
        assert ["leased"] == value
    assert ["idle", "leased"] == loads.names
    assert [RemovalCause.CLOSED] * 2 == loads.causes
    assert_consistent(loads.load.cache)


@pytest.mark.parametrize("options", [{}, {"teardown": None}, {"size": len}, {"ttl": 60}], ids=str)
def test_what_is_being_loaded_is_torn_down_as_it_arrives_and_nobody_gets_it(
    options: dict[str, Any],
) -> None:
    gate, torn_down = Gate(), list[str]()
    options = {"maxsize": 9, "teardown": torn_down.append, **options}

    @warm(per="ctx", **options)
    def load(ctx: Sky, name: str) -> str:
        gate.wait()
        return name

    ctx = Sky()
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(load, ctx, "a")
        gate.until_reached()
        joined = pool.submit(load, ctx, "a")
        while not load.cache.stats().joined:
            gate.arrived.wait(0.001)
        ctx.close()
        gate.open()
        for each in (asked, joined):
            with pytest.raises(ClosedError, match="Sky was closed by close"):
                each.result(CAP)
    assert (["a"] if options["teardown"] else []) == torn_down
    assert 0 == len(load.cache)
    assert_consistent(load.cache)


TEARDOWNS = {"without": {}, "with teardown": {"teardown": lambda value: None}}


@pytest.mark.parametrize("options", TEARDOWNS.values(), ids=TEARDOWNS)
def test_so_it_is_on_an_event_loop(options: dict[str, Any]) -> None:
    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        @warm(per="ctx", **options)
        async def load(ctx: Sky, name: str) -> str:
            begun.set()
            await go.wait()
            return name

        ctx = Sky()
        asked = asyncio.create_task(load(ctx, "a"))
        await begun.wait()
        await ctx.aclose()
        go.set()
        with pytest.raises(ClosedError):
            await asked
        assert 0 == len(load.cache)
        assert_consistent(load.cache)

    asyncio.run(asyncio.wait_for(main(), CAP))


class Closing:
    """A context that a thread closes, as far as the first of two teardowns."""

    def __init__(self) -> None:
        self.gate, self.torn_down, self.ctx = Gate(), list[str](), Sky()
        self.load: Any = warm(per="ctx", teardown=self._teardown)(lambda ctx, name: name)
        self.load(self.ctx, "a"), self.load(self.ctx, "b")
        self.thread = threading.Thread(target=self.ctx.close)
        self.thread.start()
        self.gate.until_reached()

    def _teardown(self, value: str) -> None:
        self.gate.wait()
        self.torn_down.append(value)


@pytest.mark.race
def test_what_another_thread_closes_is_refused_at_once() -> None:
    it = Closing()
    for name in ("a", "c"):  # the one is still there, and would be a hit
        with pytest.raises(ClosedError):
            it.load(it.ctx, name)
    it.gate.open()
    it.thread.join(CAP)


@pytest.mark.race
@pytest.mark.parametrize("end", [close, aclose])
def test_who_closes_it_while_another_thread_does_waits_and_tears_nothing_down(
    end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, waits, wait = Closing(), threading.Event(), owners.Wait
    monkeypatch.setattr(owners, "Wait", lambda signal: waits.set() or wait(signal))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(end, it.ctx)
        assert waits.wait(CAP) and not second.done()
        it.gate.open()
        second.result(CAP)
        assert ["b", "a"] == it.torn_down
    it.thread.join(CAP)


@pytest.mark.race
def test_nor_does_it_wait_on_a_loop_that_stood_still_then() -> None:
    async def main() -> None:
        it = Closing()
        it.ctx.close()
        assert [] == it.torn_down
        it.gate.open()
        await it.ctx.aclose()
        assert ["b", "a"] == it.torn_down
        it.thread.join(CAP)

    asyncio.run(asyncio.wait_for(main(), CAP))


def test_a_teardown_may_close_what_is_being_closed() -> None:
    ctx, torn_down = Sky(), list[str]()

    def teardown(value: str) -> None:
        ctx.close()
        torn_down.append(value)

    load: Any = warm(per="ctx", teardown=teardown)(lambda ctx, name: name)
    load(ctx, "a"), load(ctx, "b")
    ctx.close()
    assert ["b", "a"] == torn_down


def test_so_may_one_that_is_async_and_do_it_in_a_thread() -> None:
    ctx, torn_down = Sky(), list[str]()

    async def teardown(value: str) -> None:
        await asyncio.to_thread(ctx.close)
        await asyncio.create_task(ctx.aclose())
        torn_down.append(value)

    @warm(per="ctx", teardown=teardown)
    async def load(ctx: Sky, name: str) -> str:
        return name

    async def main() -> None:
        await load(ctx, "a"), await load(ctx, "b")
        await ctx.aclose()
        assert ["b", "a"] == torn_down

    asyncio.run(asyncio.wait_for(main(), CAP))


def test_so_may_a_thread_that_it_begins_in_its_own_context() -> None:
    ctx, torn_down = Sky(), list[str]()

    def teardown(value: str) -> None:
        inside = contextvars.copy_context()
        thread = threading.Thread(target=inside.run, args=(ctx.close,), daemon=True)
        thread.start()
        thread.join(CAP)
        assert not thread.is_alive()
        torn_down.append(value)

    load: Any = warm(per="ctx", teardown=teardown)(lambda ctx, name: name)
    load(ctx, "a"), load(ctx, "b")
    ctx.close()
    assert ["b", "a"] == torn_down


@needs_fork
def test_a_forked_child_waits_for_no_thread_of_its_parents() -> None:
    it = Closing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(CAP))  # which ends it, if it waits
        it.ctx.close()
        os._exit(0)
    it.gate.open()
    it.thread.join(CAP)
    assert (child, 0) == os.waitpid(child, 0)


# -- failures --------------------------------------------------------------------------


@ENDS
def test_failures_come_in_one_group_once_all_is_torn_down(end: Any) -> None:
    tried: list[str] = []

    def fail(value: str) -> None:
        tried.append(value)
        if value != "b":
            raise RuntimeError(value)

    shared = LRUCache[Any, Any](9)
    one: Any = warm(per="ctx", teardown=fail)(lambda ctx, name: name)
    two: Any = warm(per="ctx", teardown=fail, cache=shared)(lambda ctx, name: name)
    ctx = Sky()
    one(ctx, "a"), two(ctx, "b"), two(ctx, "c")
    with pytest.raises(ExceptionGroup, match=r"teardown failed in a?close\(\)") as raised:
        end(ctx)
    assert ["c", "b", "a"] == tried
    assert ["c", "a"] == [str(each) for each in raised.value.exceptions]
    ctx.close()
    assert 3 == len(tried)


@pytest.mark.parametrize("end", [close, aclose])
def test_an_interrupt_is_raised_once_all_is_torn_down(end: Any) -> None:
    tried: list[str] = []

    def interrupted(value: str) -> None:
        tried.append(value)
        if value == "b":
            raise KeyboardInterrupt

    load: Any = warm(per="ctx", teardown=interrupted)(lambda ctx, name: name)
    ctx = Sky()
    load(ctx, "a"), load(ctx, "b")
    with pytest.raises(KeyboardInterrupt):
        end(ctx)
    assert ["b", "a"] == tried
    assert_consistent(load.cache)


@pytest.mark.parametrize("end", [close, aclose])
def test_what_an_interrupt_has_left_the_janitor_tears_down(
    end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case()
    ctx = case.context()
    case.load(ctx)
    order = owners.last_loaded_first

    def interrupted(*args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return order(*args)  # for what other tests have left to the janitor
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(owners, "last_loaded_first", interrupted)
    with pytest.raises(KeyboardInterrupt):
        end(ctx)
    janitor_done()
    assert [*"54321"] == case.order


def test_what_an_interrupt_has_left_goes_as_it_is_dropped_at_the_latest() -> None:
    case = Case()
    ctx = case.context()
    case.load(ctx)
    owners.owner_of(ctx).close("as far as an interrupt had let it come")
    del ctx
    janitor_done()
    assert [*"54321"] == case.order


# -- async teardowns -------------------------------------------------------------------


class Client:
    """A client whose end is awaited."""

    def __init__(self) -> None:
        self.closed_on: Any = None

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed_on = asyncio.get_running_loop()


def test_async_with_awaits_the_teardowns_on_the_loop() -> None:
    @warm(per="ctx", teardown="aclose")
    async def connect(ctx: Sky) -> Client:
        return Client()

    async def main() -> None:
        async with Sky() as ctx:
            client = await connect(ctx)
            assert client is await connect(ctx)
        assert asyncio.get_running_loop() is client.closed_on

    asyncio.run(main())


def test_aclose_that_is_cancelled_tears_down_the_rest_first() -> None:
    torn_down: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def teardown(value: str) -> None:
            if value == "b":
                begun.set()
                await asyncio.Event().wait()
            torn_down.append(value)

        @warm(per="ctx", teardown=teardown)
        async def load(ctx: Sky, name: str) -> str:
            return name

        ctx = Sky()
        await load(ctx, "a"), await load(ctx, "b")
        closing = asyncio.create_task(ctx.aclose())
        await begun.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert ["a"] == torn_down
        assert 0 == len(load.cache)

    asyncio.run(asyncio.wait_for(main(), CAP))


def test_aclose_of_which_the_loop_ends_leaves_the_rest_to_the_janitor() -> None:
    torn_down: list[str] = []

    async def teardown(value: str) -> None:
        torn_down.append(value)
        await asyncio.Event().wait()

    one: Any = warm(per="ctx", teardown=torn_down.append)(lambda ctx, name: name)

    @warm(per="ctx", teardown=teardown)
    async def load(ctx: Sky, name: str) -> str:
        return name

    ctx, loop = Sky(), asyncio.new_event_loop()
    one(ctx, "a"), loop.run_until_complete(load(ctx, "b"))
    closing = ctx.aclose()
    task = loop.create_task(closing)
    loop.run_until_complete(asyncio.sleep(0))
    assert ["b"] == torn_down
    closing.close()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    janitor_done()
    assert ["b", "a"] == torn_down


# -- by tag, and what is open still ----------------------------------------------------


def test_by_a_tag_only_what_carries_it_goes_and_the_context_stays_open() -> None:
    case = Case()
    ctx, other = case.context(), case.context()
    case.load(ctx), case.load(other)
    assert ["4", "3", "1"] == [removal.key[-1] for removal in ctx.evict(tag="maps")]  # type: ignore[index]
    assert ["4", "3", "1"] == case.order
    assert [RemovalCause.EXPLICIT] * 3 == case.causes
    assert other.beam.contains("1")
    assert ["5", "2"] == [removal.key[-1] for removal in ctx.evict()]  # type: ignore[index]
    ctx.beam("again")
    assert [] == ctx.evict(tag="others")
    ctx.close()
    assert [] == ctx.evict()


def test_what_is_leased_is_returned_by_evict_too() -> None:
    case = Case()
    with case.context() as ctx:
        with ctx.beam.lease("1"):
            assert 1 == len(ctx.evict(tag="maps"))
            assert [] == case.order
        assert ["1"] == case.order


@pytest.mark.parametrize("options", [{}, {"tag": "maps"}], ids=str)
def test_what_has_expired_is_not_returned_by_evict(options: Any) -> None:
    clock = ManualClock()
    case = Case(maxsize=9, ttl=5, timer=clock)
    with case.context() as ctx:
        ctx.beam("1")
        clock.advance(6)
        assert [] == ctx.evict(**options)
        assert [RemovalCause.EXPIRED] == case.causes


@pytest.mark.parametrize("wrong", [5, b"x", ["x"], ""])
def test_a_tag_of_a_context_is_a_text(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="tag must be a text"):
        Sky().evict(tag=wrong)


def test_it_does_not_keep_what_it_owns_nor_is_kept() -> None:
    case = Case(teardown=None, on_removal=None)
    ctx = case.context()
    case.load(ctx)
    gone = weakref.ref(ctx)
    del ctx
    assert None is gone()


def test_clear_all_empties_a_context_and_leaves_it_open() -> None:
    case = Case()
    with case.context() as ctx:
        case.load(ctx)
        warmcache.clear_all()
        assert [*"54321"] == case.order
        case.one(ctx, "2")
    assert [*"543212"] == case.order
