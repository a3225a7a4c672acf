"""``persist="evict"``: a value comes to the disk before its teardown, as it leaves memory."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from disk_programs import Program

from warmcache import DiskTier, RemovalCause, disabled, warm
from warmcache._core.drivers import teardown
from warmcache.testing import FakeProbe, ManualClock, assert_consistent
from warmcache.tiers import disk_tier

CAP = 20.0
DUMPED = {RemovalCause.SIZE, RemovalCause.PRESSURE, RemovalCause.NODE, RemovalCause.CLOSED}


class Loads(list[str]):
    """The names that were loaded, and a loader of what one can see closed."""

    def __init__(self) -> None:
        super().__init__()
        self.codec = AsText()

    def loader(self, tier: Any, **options: Any) -> Any:
        of_cache = {} if "budget" in options else {"maxsize": 1}
        on_disk = {"disk": tier, "name": "load", "code": False, "codec": self.codec}

        @warm(**{**of_cache, **on_disk, "persist": "evict", "teardown": "close", **options})
        def load(name: str) -> Model:
            self.append(name)
            return Model(name)

        return load


class Model:
    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class AsText:
    """A codec that tells what was dumped, and whether that was closed by then."""

    def __init__(self) -> None:
        self.dumped: list[tuple[str, int]] = []

    def dump(self, value: Model, folder: Path) -> None:
        self.dumped.append((value.name, value.closed))
        (folder / "name").write_text(value.name)

    def load(self, folder: Path, name: str) -> Model:
        return Model((folder / "name").read_text())


@pytest.fixture
def loads() -> Loads:
    return Loads()


# -- when it comes to the disk -----------------------------------------------------------------


def test_a_victim_is_dumped_before_its_teardown_and_nothing_at_its_load(
    loads: Loads, tier: DiskTier
) -> None:
    load = loads.loader(tier)
    first = load("a")
    assert 0 == tier.stats().entries
    load("b")
    assert [("a", 0)] == loads.codec.dumped and 1 == first.closed
    assert "a" == load("a").name and first is not load("a")
    assert ["a", "b"] == loads
    assert [("a", 0), ("b", 0)] == loads.codec.dumped
    assert 2 == tier.stats().entries
    assert_consistent(load.cache)


def test_what_has_no_teardown_is_dumped_as_well(loads: Loads, tier: DiskTier) -> None:
    load = loads.loader(tier, teardown=None)
    load("a"), load("b"), load("a")
    assert ["a", "b"] == loads and ["a", "b"] == [name for name, _ in loads.codec.dumped]


@pytest.mark.parametrize("cause", RemovalCause)
def test_what_was_still_good_is_dumped_and_nothing_else(
    cause: RemovalCause, loads: Loads, tier: DiskTier
) -> None:
    load = loads.loader(tier)
    model = load("a")
    store = load.cache._store
    with store.lock:
        (entry,) = store.live.values()
        assert store.condemn(entry, cause)
    teardown.tear_down(load.cache._view, [entry])
    assert ([("a", 0)] if cause in DUMPED else []) == loads.codec.dumped
    assert 1 == model.closed


def test_what_one_has_said_should_go_or_is_no_good_is_never_dumped(
    loads: Loads, tier: DiskTier
) -> None:
    clock, good = ManualClock(), [True]
    load = loads.loader(tier, ttl=10.0, timer=clock, validate=lambda model: good[0])
    load("a"), load.evict("a")
    load("a"), load.cache_clear()
    load("a"), load.cache.clear()
    load("a"), load.cache.pop(load.cache_key("a"))
    load("a"), clock.advance(11.0), load("a")  # which has expired
    good[0] = False
    load("a")  # which is invalid
    load.cache[load.cache_key("a")] = Model("replaced")
    load.forget("a")
    assert [] == loads.codec.dumped
    assert 0 == tier.stats().writes


def test_what_is_left_as_a_cache_is_closed_is_dumped(loads: Loads, tier: DiskTier) -> None:
    load = loads.loader(tier, maxsize=8)
    load("a"), load("b")
    load.cache.close()
    assert ["b", "a"] == [name for name, _ in loads.codec.dumped]  # the last loaded first


def test_what_a_full_device_makes_go_is_dumped(loads: Loads, tier: DiskTier) -> None:
    probe = FakeProbe(1000)
    made: dict[str, Any] = dict(policy="lru", budget=100, probe=probe, headroom=0, size=40)
    load = loads.loader(tier, **made)
    load("a"), load("b")
    load.cache.relieve(40)
    assert [("a", 0)] == loads.codec.dumped
    load.cache.close()


def test_the_end_of_the_process_dumps_what_is_warm(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        """
        import sys, time
        from warmcache import warm

        @warm(disk=sys.argv[1], name="load", persist="evict")
        def load(name):
            time.sleep(0.05)  # or it would not be worth keeping
            print("loaded", flush=True)
            return {"name": name}

        print(load(sys.argv[2]))
        """,
    )
    assert ["loaded\n{'name': 'ada'}\n", "{'name': 'ada'}\n"] == program.in_turn("ada", "ada")


def test_what_is_leased_is_dumped_as_it_really_goes(loads: Loads, tier: DiskTier) -> None:
    load = loads.loader(tier, maxsize=8)
    with load.lease("a") as model:
        store = load.cache._store
        with store.lock:
            (entry,) = store.live.values()
            assert not store.condemn(entry, RemovalCause.PRESSURE)
        assert [] == loads.codec.dumped
    assert [("a", 0)] == loads.codec.dumped and 1 == model.closed


def test_what_a_cache_that_keeps_nothing_gives_is_kept_at_once(
    loads: Loads, tier: DiskTier
) -> None:
    load = loads.loader(tier, maxsize=0)
    load("a"), load("a")
    assert ["a"] == loads and [("a", 0)] == loads.codec.dumped


def test_where_caching_is_off_nothing_is_dumped(loads: Loads, tier: DiskTier) -> None:
    load = loads.loader(tier)
    with disabled(), load.lease("a"):
        pass
    assert [] == loads.codec.dumped


# -- what is written ---------------------------------------------------------------------------


def test_what_came_from_disk_and_lies_there_still_is_not_written_again(
    loads: Loads, tier: DiskTier
) -> None:
    load = loads.loader(tier)
    for name in ("a", "b", "a", "b", "a"):
        load(name)
    assert 2 == tier.stats().writes and 2 == len(loads)
    tier.clear()
    load("b")
    assert 3 == tier.stats().writes


def test_what_another_has_loaded_later_is_not_replaced(loads: Loads, tier: DiskTier) -> None:
    older, newer = loads.loader(tier), loads.loader(tier)
    older("a"), newer("a")
    newer("b")
    older("b")
    assert [("a", 0)] == loads.codec.dumped
    newer("c"), older("c")  # of "b", the one that was loaded later comes last
    assert ["a", "b", "b"] == [name for name, _ in loads.codec.dumped]


def test_the_file_says_when_it_was_loaded_and_what_that_took(
    loads: Loads, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = loads.loader(tier, ttl=3600)
    before = time.time()
    load("a")
    after = time.time()
    monkeypatch.setattr(disk_tier.time, "time", lambda: after + 3000)
    load("b")
    (kept,) = tier._store.entries()
    assert before <= kept.made <= after and kept.seconds < 100
    load("a")
    tier.clear()
    load("b")
    (again,) = tier._store.entries()
    assert (kept.made, kept.seconds) == (again.made, again.seconds)
    monkeypatch.setattr(disk_tier.time, "time", lambda: after + 3700)
    load("a")
    assert ["a", "b", "b", "a"] == loads


def test_having_it_again_costs_a_load_until_it_lies_on_disk(loads: Loads, tier: DiskTier) -> None:
    clock = ManualClock()

    @warm(disk=tier, name="load", code=False, persist="evict", maxsize=1, timer=clock)
    def load(name: str) -> str:
        clock.advance(5.0)
        return name

    load("a")
    (entry,) = load.cache.entries()
    assert 5.0 == entry.load_seconds == load.cache.stats().load_seconds
    load("b"), load("a")
    (entry,) = load.cache.entries()
    assert 0 < entry.load_seconds < 5.0


def test_what_is_not_worth_it_is_not_dumped(
    loads: Loads, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmcache.tiers import worth

    monkeypatch.setattr(worth, "_MARGIN", 1e9)
    load = loads.loader(tier)
    load("a"), load("b")
    assert [] == loads.codec.dumped and 1 == tier.stats().not_worth


def test_nobody_waits_for_another_process_for_nothing_would_be_found(
    loads: Loads, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tier, "_alone", lambda key: pytest.fail("it waits"))
    loads.loader(tier)("a")


# -- what it is in the way of ------------------------------------------------------------------


def test_no_lock_is_held_meanwhile(loads: Loads, tier: DiskTier) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    class Slow(AsText):
        def dump(self, value: Model, folder: Path) -> None:
            begun.set()
            assert goes_on.wait(CAP)
            super().dump(value, folder)

    load = loads.loader(tier, codec=Slow(), maxsize=2)
    load("a"), load("b")
    evicting = threading.Thread(target=load, args=("c",))
    evicting.start()
    assert begun.wait(CAP)
    assert "b" == load("b").name
    load.evict("b")
    assert "d" == load("d").name and load.cache_info()
    goes_on.set()
    evicting.join(CAP)
    assert not evicting.is_alive()
    assert_consistent(load.cache)


def test_a_dump_that_fails_is_counted_and_said_once_and_in_nobodys_way(
    loads: Loads,
    tier: DiskTier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def is_full(*args: object, **kwargs: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tier._store, "write", is_full)
    monkeypatch.setattr(disk_tier, "_PAUSE", 0.0)
    load = loads.loader(tier)
    models = [load(name) for name in ("a", "b", "c")]
    assert [1, 1, 0] == [model.closed for model in models]
    assert 2 == tier.stats().failures["write"]
    assert 1 == len([line for line in caplog.messages if "could not write" in line])
    assert 0 == load.cache.stats().teardown_failures
    monkeypatch.setattr(tier._store, "header", is_full)
    load("d")
    assert {"write": 3, "read": 1} == tier.stats().failures


def test_a_dump_that_is_interrupted_is_in_no_teardowns_way(loads: Loads, tier: DiskTier) -> None:
    class Interrupted(AsText):
        def dump(self, value: Model, folder: Path) -> None:
            raise KeyboardInterrupt

    load = loads.loader(tier, codec=Interrupted())
    model = load("a")
    with pytest.raises(KeyboardInterrupt):
        load("b")
    assert 1 == model.closed and 0 == tier.stats().entries
    value = weakref.ref(model)
    del model
    assert value() is None
    assert_consistent(load.cache)
    load.cache_clear()


def test_who_was_interrupted_after_a_teardown_does_not_dump_what_that_has_closed(
    loads: Loads, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, interrupts, here = teardown.let_go, [KeyboardInterrupt], threading.get_ident()

    def interrupted(*args: Any) -> Any:
        if interrupts and threading.get_ident() == here:  # the janitor's are not interrupted
            tier.clear()  # so that it could be dumped once more
            raise interrupts.pop()
        return let_go(*args)

    load = loads.loader(tier)
    model = load("a")
    with monkeypatch.context() as within:
        within.setattr(teardown, "let_go", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load("b")
    assert [("a", 0)] == loads.codec.dumped and 1 == model.closed
    assert_consistent(load.cache)


def test_a_dump_that_asks_for_what_it_dumps_waits_for_itself_and_is_told_so(
    loads: Loads, tier: DiskTier, caplog: pytest.LogCaptureFixture
) -> None:
    class Asks(AsText):
        def dump(self, value: Model, folder: Path) -> None:
            load(value.name)

    load = loads.loader(tier, codec=Asks())
    model = load("a")
    load("b")
    assert {"codec": 1} == tier.stats().failures and 1 == model.closed
    assert "LoadCycleError" in caplog.text
    load.cache_clear()


def test_a_dump_may_ask_for_what_is_warm(loads: Loads, tier: DiskTier) -> None:
    class Asks(AsText):
        def dump(self, value: Model, folder: Path) -> None:
            super().dump(value, folder)
            assert "beside" == other(f"{value.name} of another")

    @warm(maxsize=1)
    def other(name: str) -> str:
        return "beside"

    load = loads.loader(tier, codec=Asks())
    load("a"), load("b")
    assert {} == tier.stats().failures


# -- async -------------------------------------------------------------------------------------


async def test_a_dump_is_done_in_a_thread_before_a_teardown_that_is_awaited(
    tier: DiskTier,
) -> None:
    done: list[tuple[str, str, bool]] = []
    on_loop = threading.current_thread()

    def note(what: str, name: str) -> None:
        done.append((what, name, threading.current_thread() is on_loop))

    class Noting(AsText):
        def dump(self, value: Model, folder: Path) -> None:
            note("dump", value.name)
            super().dump(value, folder)

    async def close(model: Model) -> None:
        await asyncio.sleep(0)
        note("close", model.name)

    options: dict[str, Any] = dict(disk=tier, name="load", code=False, codec=Noting(), maxsize=1)

    @warm(**options, persist="evict", teardown=close)
    async def load(name: str) -> Model:
        note("load", name)
        return Model(name)

    await load("a"), await load("b"), await load("a")
    await load.evict("a")
    assert [
        *[("load", "a", True), ("dump", "a", False), ("close", "a", True), ("load", "b", True)],
        *[("dump", "b", False), ("close", "b", True), ("close", "a", True)],
    ] == done

    @warm(**options | {"name": "other"}, persist="evict")  # without a teardown
    async def other(name: str) -> Model:
        return Model(name)

    await other("a"), await other("b")
    assert ("dump", "a", False) == done[-1]


# -- what it keeps, what is refused ------------------------------------------------------------


def test_a_loader_that_nobody_has_any_more_is_collected_and_what_it_has_is_dumped(
    loads: Loads, tier: DiskTier
) -> None:
    class Argument:
        def __init__(self, name: str) -> None:
            self.name = name

        def __warm_key__(self) -> str:
            return self.name

    def made() -> Any:
        @warm(disk=tier, name="load", code=False, persist="evict", key={"of": lambda of: of.name})
        def load(of: Argument) -> list[str]:
            assert load is not None  # it refers to itself
            return [of.name]

        return load

    load, argument = made(), Argument("a")
    load(argument)
    refs = [weakref.ref(load), weakref.ref(argument)]
    del load, argument
    gc.collect()
    assert [None, None] == [ref() for ref in refs]
    from warmcache._process.janitor import janitor

    janitor.drain(CAP)
    assert 1 == tier.stats().entries


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"disk": None}, "persist= is about what lies on disk: say disk=, too"),
        ({"out_files": "name"}, "persist='evict' does not go with out_files="),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    options: dict[str, Any], why: str, tier: DiskTier
) -> None:
    with pytest.raises(TypeError, match=why):
        warm(**{"disk": tier, "persist": "evict", **options})(lambda name: name)
