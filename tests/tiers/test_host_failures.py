"""What cannot be parked is torn down, what cannot come back stays parked, and nothing is lost."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from parked import UNIT, Model, Rig, parked

from warmcache import CapacityError, ClosedError, Context, RemovalCause, clear_all, warm
from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.drivers.teardown import tear_down
from warmcache.caches.leftovers import idle_of
from warmcache.memory.host_parking import HostParking
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
CAP = 5.0
SIZE = RemovalCause.SIZE


def failures(rig: Rig) -> dict[str, int]:
    stats = rig.cache.stats().host
    assert stats is not None
    return dict(stats.failures)


def raises(error: BaseException) -> Any:
    def fail(model: Model) -> None:
        raise error

    return fail


# -- on the way there --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError("the host is full"), RuntimeError("no")])
def test_what_raises_as_it_is_parked_is_torn_down_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = raises(error)
    load("b"), load("c")
    assert ["a", "b"] == rig.torn_down()
    assert [SIZE, SIZE] == rig.causes
    assert {"park": 2} == failures(rig)
    assert 1 == sum(each.levelno == logging.WARNING for each in caplog.records)
    assert str(error) in caplog.text
    assert 0 == rig.cache.stats().teardown_failures
    assert 12 * UNIT == rig.device.allocated()
    assert_consistent(rig.cache)


def test_none_is_nothing_to_come_back_from() -> None:
    rig = Rig()
    load = rig.loader(park=(lambda model: None, rig.unpark))
    load("a"), load("b")
    assert ["a"] == rig.torn_down()
    assert {"park": 1} == failures(rig)
    assert_consistent(rig.cache)


def test_an_interrupt_while_it_is_parked_reaches_the_caller_and_it_is_torn_down() -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        load("b")
    assert ["a"] == rig.torn_down()
    assert_consistent(rig.cache)
    rig.before_park = lambda model: None
    load("b"), load("c")
    assert "parked" == rig.states["b"]


class Stop(BaseException):
    """What interrupts a thread, or a task."""


def rig_with_a_reclaim(*errors: BaseException | None) -> Rig:
    """Return a rig whose ``reclaim`` raises one after the other, and then no more."""
    left = [*errors]

    def reclaim() -> None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error

    return Rig(reclaim=reclaim, host=30)


@pytest.mark.parametrize("there", [12, 25])
def test_an_interrupt_in_reclaim_reaches_the_caller_once_it_is_parked(there: int) -> None:
    rig = rig_with_a_reclaim(None, Stop())
    load = rig.loader()
    load("a"), load("b")
    assert {"a": "parked", "b": "live"} == rig.states
    rig.units_there = there
    with pytest.raises(Stop):
        load("c")
    assert {"b": "parked", **({"a": "parked"} if there == 12 else {})} == rig.states
    assert (["a"] if there == 25 else []) == rig.torn_down(), "what it is too large for goes"
    assert_consistent(rig.cache)


async def test_an_interrupt_in_reclaim_reaches_the_task_once_it_is_parked() -> None:
    rig = rig_with_a_reclaim(Stop())
    load = rig.async_loader()
    await load("a")
    with pytest.raises(Stop):
        await load("b")
    assert {"a": "parked"} == rig.states
    assert_consistent(rig.cache)


def test_what_reclaim_raises_is_counted_logged_and_told_as_after_a_teardown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = OSError("the allocator does not answer")
    rig = rig_with_a_reclaim(error)
    load = rig.loader()
    load("a")
    [entry] = rig.cache._store.live.values()
    assert rig.cache._store.condemn(entry, SIZE)
    assert [error] == tear_down(rig.cache._view, [entry])
    assert {"a": "parked"} == rig.states
    assert 1 == rig.cache.stats().teardown_failures
    assert "the allocator does not answer" in caplog.text
    assert_consistent(rig.cache)


def test_where_a_park_failed_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = raises(RuntimeError("no"))
    load("b")
    assert "park= raised RuntimeError: no\nTraceback" in caplog.text
    assert ", in fail" in caplog.text


def test_who_removes_it_while_it_is_copied_has_it_torn_down() -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = lambda model: load.evict(model.name)
    load("b")
    assert ["a"] == rig.torn_down()
    assert [RemovalCause.EXPLICIT] == rig.causes
    assert {"b": "live"} == rig.states
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]
    assert_consistent(rig.cache)


@pytest.mark.parametrize(
    "door", [lambda rig, load: load.evict("a"), lambda rig, load: rig.cache.close()]
)
def test_what_is_removed_before_it_is_copied_is_not_copied(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    copy_out = HostParking.copy_out

    def once_removed(*args: Any) -> Any:
        door(rig, load)
        return copy_out(*args)

    monkeypatch.setattr(HostParking, "copy_out", once_removed)
    rig.cache.relieve(1)
    assert ([], ["a"]) == (rig.parks, rig.torn_down())
    assert {} == failures(rig)
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]
    assert_consistent(rig.cache)


def test_who_closes_the_cache_while_it_is_copied_has_it_torn_down() -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = lambda model: rig.cache.close()
    with pytest.raises(Exception, match="closed"):
        load("b")
    assert ["a"] == rig.torn_down()
    assert [RemovalCause.CLOSED] == rig.causes
    assert_consistent(rig.cache)


# -- whose memory does not come back -----------------------------------------------------------


def held(rig: Rig, load: Any) -> list[Any]:
    """Have "a" parked while somebody holds its blocks; return what holds them."""
    load("a")
    blocks = [*rig.models[0].blocks]
    rig.cache.relieve(1)
    return blocks


def test_a_room_that_somebody_holds_is_waited_for() -> None:
    rig = Rig(confirm=60.0)
    load = rig.loader()
    blocks = held(rig, load)
    assert {"a": "dying"} == rig.states
    assert 12 * UNIT == rig.cache.stats().dying
    blocks.clear()
    assert load("a") is rig.models[0]
    assert ["a"] == rig.unparks == rig.loads
    assert_consistent(rig.cache)


def test_a_room_that_does_not_come_back_is_a_zombie_and_its_value_parked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(budget=30, confirm=0.0)
    load = rig.loader()
    blocks = held(rig, load)
    free_what_came_back(rig.cache._store)
    assert {"a": "parked"} == rig.states
    assert 12 * UNIT == rig.cache.stats().zombies
    assert "was parked, but 12.0 MiB of its 12.0 MiB are still held" in caplog.text
    assert load("a") is rig.models[0]
    assert 24 * UNIT == rig.device.allocated()
    with load.lease("a"), pytest.raises(CapacityError, match="parked, but still held outside"):
        load("b")
    blocks.clear()
    assert 0 == rig.cache.stats().zombies
    assert_consistent(rig.cache)


def test_who_removes_it_while_its_room_is_waited_for_tears_it_down() -> None:
    rig = Rig(confirm=60.0)
    load = rig.loader()
    blocks = held(rig, load)
    [removal] = load.evict("a")
    assert RemovalCause.EXPLICIT == removal.cause
    assert ["a"] == rig.torn_down()
    assert [] == rig.removals, "its room is not back yet"
    assert 12 * UNIT == rig.cache.stats().dying
    assert_consistent(rig.cache)
    blocks.clear()
    free_what_came_back(rig.cache._store)
    assert 1 == len(rig.removals)
    assert 0 == rig.cache.stats().dying
    assert_consistent(rig.cache)


def test_closing_while_its_room_is_waited_for_tears_it_down() -> None:
    rig = Rig(confirm=60.0)
    blocks = held(rig, rig.loader())
    rig.cache.close()
    assert ["a"] == rig.torn_down()
    blocks.clear()
    free_what_came_back(rig.cache._store)
    assert 1 == len(rig.removals)
    assert_consistent(rig.cache)


def test_the_end_of_the_process_reaches_what_waits_for_its_room() -> None:
    rig = Rig(confirm=60.0)
    blocks = held(rig, rig.loader())
    for job in rig.cache.close_at_exit(CAP):
        job.let_go()
    assert ["a"] == rig.torn_down()
    rig.cache.finish_at_exit()
    assert 1 == len(rig.removals)
    assert_consistent(rig.cache)
    assert blocks


def test_nothing_is_parked_as_the_process_ends() -> None:
    rig = Rig(budget=30, host=100)
    load = rig.loader()
    load("a"), load("b")
    jobs: list[Any] = []
    rig.before_park = lambda model: jobs.extend(rig.cache.close_at_exit(CAP))
    rig.cache.relieve(24 * UNIT)
    assert (["a"], ["b"]) == (rig.parks, rig.torn_down())
    for job in jobs:
        job.let_go()
    assert ["a", "b"] == sorted(rig.torn_down())
    assert_consistent(rig.cache)


@pytest.mark.parametrize("lingers", [False, True])
def test_a_worker_that_closes_and_lets_others_finish_reaches_it(lingers: bool) -> None:
    rig = Rig(confirm=60.0)
    load = rig.loader()
    blocks = held(rig, load) if lingers else []
    if not lingers:
        load("a"), load("b")
    assert ("dying" if lingers else "parked") == rig.states["a"]
    jobs = idle_of(rig.cache._view, CAP, "a test")
    assert [] == rig.torn_down(), "the lock is held as they are listed"
    for job in jobs:
        job.let_go()
    assert all(1 == model.torn_down for model in rig.models)
    blocks.clear()
    free_what_came_back(rig.cache._store)
    assert_consistent(rig.cache)
    assert 0 == rig.device.allocated() == rig.cache._store.ledger.committed


# -- on the way back ---------------------------------------------------------------------------


def test_what_cannot_come_back_stays_parked_and_its_caller_is_told() -> None:
    rig = Rig()
    load = parked(rig)
    rig.before_unpark = raises(RuntimeError("no"))
    with pytest.raises(RuntimeError, match="no"):
        load("a")
    assert "parked" == rig.states["a"]
    assert {"unpark": 1} == failures(rig)
    assert 1 == rig.cache.stats().load_failures
    assert 0 == rig.cache.stats().loading
    assert_consistent(rig.cache)
    rig.before_unpark = lambda model: None
    assert load("a") is rig.models[0]
    assert [] == rig.torn_down()


def test_what_runs_out_of_memory_on_its_way_back_is_tried_again_with_more_room() -> None:
    rig = Rig(budget=30, host=100)
    load = rig.loader()
    load("a"), load("b"), load("c")
    assert {"a": "parked", "b": "live", "c": "live"} == rig.states
    load("a")
    tries: list[str] = []

    def lacks(model: Model) -> None:
        tries.append(model.name)
        if len(tries) == 1:
            raise MemoryError("the device is full")

    rig.before_unpark = lacks
    rig.now = 1.0
    b = load("b")
    assert ["b", "b"] == tries
    assert b.blocks
    assert {"unpark": 1} == failures(rig)
    assert 0 == rig.cache.stats().load_failures
    assert ["parked", "parked"] == [rig.states["a"], rig.states["c"]], "more went than had to"
    assert_consistent(rig.cache)


def test_it_is_tried_three_times_at_most() -> None:
    rig = Rig(host=100)
    load = parked(rig)
    tries: list[str] = []

    def lacks(model: Model) -> None:
        tries.append(model.name)
        raise MemoryError("the device is full")

    rig.before_unpark = lacks
    with pytest.raises(MemoryError):
        load("a")
    assert 2 <= len(tries) <= 3
    assert {"a": "parked", "b": "parked"} == rig.states
    assert 0 == rig.cache.stats().live == rig.cache.stats().loading
    assert_consistent(rig.cache)


def test_another_object_than_was_parked_is_an_error() -> None:
    rig = Rig()
    load = rig.loader(park=(rig.park, lambda there: object()))
    load("a"), load("b")
    with pytest.raises(TypeError, match="has to return the very value that was parked"):
        load("a")
    assert "parked" == rig.states["a"]
    load.evict("a")
    assert ["a"] == rig.torn_down()
    assert_consistent(rig.cache)


def test_who_removes_it_while_it_comes_back_is_too_late_as_with_a_load() -> None:
    rig = Rig()
    load = parked(rig)
    removed: list[Any] = []
    rig.before_unpark = lambda model: removed.extend(load.evict(model.name))
    assert load("a") is rig.models[0]
    assert [] == removed == rig.torn_down()
    assert "live" == rig.states["a"]
    assert_consistent(rig.cache)


DOORS: dict[str, Any] = {
    "evict": (lambda rig, load: load.evict("a"), RemovalCause.EXPLICIT),
    "cache_clear": (lambda rig, load: load.cache_clear(), RemovalCause.EXPLICIT),
    "clear": (lambda rig, load: rig.cache.clear(), RemovalCause.EXPLICIT),
    "key": (lambda rig, load: rig.cache.evict(key=load.cache_key("a")), RemovalCause.EXPLICIT),
    "where": (lambda rig, load: rig.cache.evict(where=lambda info: True), RemovalCause.EXPLICIT),
    "tag": (lambda rig, load: load.evict_all(tag="big"), RemovalCause.EXPLICIT),
    "clear_all": (lambda rig, load: clear_all(), RemovalCause.EXPLICIT),
    "pop": (lambda rig, load: rig.cache.pop(load.cache_key("a"), None), RemovalCause.EXPLICIT),
    "put": (
        lambda rig, load: rig.cache.__setitem__(load.cache_key("a"), rig.make("new", 1)),
        RemovalCause.REPLACED,
    ),
    "close": (lambda rig, load: rig.cache.close(), RemovalCause.CLOSED),
}


@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError("no"), KeyboardInterrupt("no")])
@pytest.mark.parametrize("door", DOORS)
def test_who_removes_it_while_it_comes_back_in_vain_has_it_torn_down(
    door: str, error: BaseException
) -> None:
    rig = Rig()
    load = parked(rig, tags={"big"})
    remove, cause = DOORS[door]

    def removes(model: Model) -> None:
        rig.before_unpark = raises(error)
        remove(rig, load)
        raise error

    rig.before_unpark = removes
    with pytest.raises(BaseException, match="no"):
        load("a")
    assert 1 == rig.models[0].torn_down
    told = [(each.cause, each.tier) for each in rig.removals if each.key == load.cache_key("a")]
    assert 1 == told.count((cause, "host")) == len([tier for _, tier in told if tier])
    assert 0 == rig.cache.stats().loading
    assert_consistent(rig.cache)
    rig.cache.close()
    assert [1] * len(rig.models) == [model.torn_down for model in rig.models]
    assert 0 == rig.cache._store.ledger.committed == rig.device.allocated()


@pytest.mark.parametrize("step", ["came_back", "charge"])
def test_an_interrupt_once_its_bytes_are_back_leaves_none_that_nobody_is_charged_for(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig()
    load = parked(rig)
    meter: Any = rig.cache._view.meter

    def interrupted(*args: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(meter, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("a")
    assert_consistent(rig.cache)
    assert rig.device.allocated() == rig.cache._store.ledger.committed
    assert all(model.blocks or model.torn_down or model.name == "b" for model in rig.models)
    load("a"), load("b")
    rig.cache.close()
    assert [1] * len(rig.models) == [model.torn_down for model in rig.models]
    assert 0 == rig.cache._store.ledger.committed == rig.device.allocated()


@pytest.mark.parametrize("fails", [False, True])
def test_who_closes_the_cache_while_it_comes_back_has_it_torn_down(fails: bool) -> None:
    rig = Rig()
    load = parked(rig)

    def close(model: Model) -> None:
        rig.cache.close()
        if fails:
            raise RuntimeError("no")

    rig.before_unpark = close
    with pytest.raises(Exception, match="no" if fails else "closed"):
        load("a")
    assert ["a", "b"] == sorted(rig.torn_down())
    assert 0 == rig.cache._store.ledger.committed
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]
    assert_consistent(rig.cache)


def test_a_value_handed_in_while_it_comes_back_is_replaced_as_by_a_load() -> None:
    rig = Rig(budget=30)
    load = rig.loader()
    a = load("a")
    rig.cache.relieve(1)

    def hand_in(model: Model) -> None:
        rig.cache[load.cache_key("a")] = rig.make("new", 2)

    rig.before_unpark = hand_in
    assert load("a") is a
    assert ["new"] == rig.torn_down()
    assert_consistent(rig.cache)


@pytest.mark.parametrize("fails", [False, True])
def test_the_copy_of_what_is_gone_is_dropped_after_its_teardown(fails: bool) -> None:
    rig = Rig()
    load = parked(rig)
    host = rig.cache._store.host
    assert host is not None
    [entry] = host.entries.values()
    assert entry.parked is not None
    found: list[int] = []

    def drop() -> None:
        found.append(rig.models[0].torn_down)
        if fails:
            raise OSError("no")

    entry.parked.handle.drop = drop
    load.evict("a")
    assert [1] == found
    assert fails == rig.cache.stats().teardown_failures
    assert 1 == len(rig.removals)
    assert_consistent(rig.cache)


def test_a_failing_teardown_of_what_is_parked_is_counted_once() -> None:
    rig = Rig(teardown=raises(OSError("it fails")))
    load = parked(rig)
    load.evict("a")
    assert 1 == rig.cache.stats().teardown_failures
    assert 1 == len(rig.removals)
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]
    assert_consistent(rig.cache)
    with pytest.raises(ExceptionGroup, match="teardown failed"):
        rig.cache.close()


def test_a_park_that_asks_for_its_own_key_is_a_cycle() -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.before_park = lambda model: load(model.name)
    load("b")
    assert ["a"] == rig.torn_down()
    assert {"park": 1} == failures(rig)
    assert_consistent(rig.cache)


# -- owners, and what nobody can change --------------------------------------------------------


class Run(Context):
    """What values belong to."""


@pytest.mark.parametrize("fails", [False, True])
def test_what_comes_back_as_its_owner_ends_is_torn_down(fails: bool) -> None:
    rig, owner = Rig(), Run()

    @warm(cache=rig.cache, park=(rig.park, rig.unpark), per="run")
    def load(run: Run, name: str) -> Model:
        return rig.make(name)

    def end(model: Model) -> None:
        owner.close()
        if fails:
            raise OSError("down")

    load(owner, "a"), load(owner, "b")
    rig.before_unpark = end
    with pytest.raises(OSError if fails else ClosedError):
        load(owner, "a")
    assert ["a", "b"] == sorted(rig.torn_down())
    assert {} == rig.states
    assert_consistent(rig.cache)


@pytest.mark.parametrize("meanwhile", ["nothing", "evicted", "handed in"])
def test_what_a_lease_of_the_cache_has_back_as_its_owner_ends_is_torn_down(meanwhile: str) -> None:
    rig, owner = Rig(), Run()

    @warm(cache=rig.cache, park=(rig.park, rig.unpark), per="run")
    def load(run: Run, name: str) -> Model:
        return rig.make(name)

    class Ends(Model):
        def close(self) -> None:
            super().close()
            owner.close()

    def end(model: Model) -> None:
        if meanwhile == "handed in":  # it is torn down as the other lands
            rig.cache[key] = Ends(rig.device, "new", 1)
            return
        if meanwhile == "evicted":
            rig.cache.evict(key=key)
        owner.close()

    load(owner, "a"), load(owner, "b")
    [key] = [each.key for each in rig.cache.entries() if each.state == "parked"]
    rig.before_unpark = end
    with pytest.raises(ClosedError, match="has ended"):
        rig.cache.lease(key).__enter__()
    assert ["a", "b"] == sorted(rig.torn_down())
    assert {} == rig.states
    assert_consistent(rig.cache)


def test_what_comes_back_is_frozen_already() -> None:
    rig, frozen = Rig(), list[str]()

    def freeze(model: Model) -> Model:
        frozen.append(model.name)
        return model

    kind: Any = type("Frozen", (Model,), {"__warm_freeze__": freeze})

    @warm(cache=rig.cache, park=(rig.park, rig.unpark), freeze=True)
    def load(name: str) -> Any:
        return kind(rig.device, name, 12)

    first = load("a")
    load("b")
    assert first is load("a") and ["a", "b"] == frozen
