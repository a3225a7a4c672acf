"""Who waits for room on a shared device, what is promised to whom, and that it is never more."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from typing import Any

import pytest
from gates import Gate
from rigs import GiB, Model, Rig, ask, meter_of, seen, strangers

from warmcache import CapacityError, Removal, RemovalCause, warm
from warmcache._core.plans import make_room
from warmcache._core.plans.make_room import Case, decide
from warmcache._core.plans.share import Shortage
from warmcache._core.state.ledger import Claim
from warmcache.memory import MemoryCache, caches
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0


# -- waiting -----------------------------------------------------------------------------


@pytest.mark.race
def test_who_waits_is_woken_by_a_release_in_another_cache(
    start: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_room, "LOOK", math.inf)  # nobody comes to look again
    a, b = strangers(wait=CAP)
    in_a, in_b = a.loader(size="12GiB"), b.loader(size="8GiB")
    with in_a.lease("a", 12):
        waiting = start(in_b, "b", 8)
        while not a.cache._store.ledger.waiting:
            assert not waiting.done()
    waiting.result(CAP)
    assert {RemovalCause.PRESSURE: 1} == a.cache.stats().removals
    assert not a.cache._store.ledger.waiting and not b.cache._store.ledger.waiting


def test_what_was_released_between_the_look_and_the_wait_is_not_missed(
    start: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_room, "LOOK", math.inf)
    a, b = strangers(wait=CAP)
    leases = ExitStack()
    leases.enter_context(a.loader(size="12GiB").lease("a", 12))

    def look_and_release(store: Any) -> None:
        look(store)
        leases.close()

    look = meter_of(b).look
    monkeypatch.setattr(meter_of(b), "look", look_and_release)
    began = time.monotonic()
    start(b.loader(size="8GiB"), "b", 8).result(CAP)
    assert time.monotonic() - began < CAP / 2


def test_who_waits_only_for_its_own_leases_in_another_cache_is_told_at_once() -> None:
    a, b = strangers(wait=60)
    with a.loader(size="12GiB").lease("a", 12), pytest.raises(CapacityError, match="pointless"):
        b.loader(size="8GiB")("b", 8)


@pytest.mark.race
def test_what_is_promised_in_one_cache_is_not_promised_in_another(
    start: Callable[..., Future[Any]],
) -> None:
    a, b = strangers(wait=0)
    gate = Gate()

    @warm(cache=a.cache, size="12GiB")
    def load() -> Model:
        gate.wait()
        return Model(a.probe, 12 * GiB)

    loading = start(load)
    gate.until_reached()
    with pytest.raises(CapacityError, match=r"load\(\) being loaded by thread .* in MemoryCache"):
        b.loader(size="8GiB")("b", 8)
    gate.open()
    loading.result(CAP)


def test_a_load_inside_a_load_of_another_cache_takes_of_what_that_only_guessed() -> None:
    a, b = strangers(wait=0)
    inner = b.loader(size="2GiB")

    @warm(cache=a.cache)
    def outer() -> Model:
        inner("part", 2)
        return Model(a.probe, GiB)

    a.cache["x"] = Model(a.probe, 0)
    outer()
    assert [2, 1] == [b.gib("live"), a.gib("live")]


@pytest.mark.race
def test_nobody_takes_what_another_cache_has_made_for_a_load_of_its_own(
    start: Callable[..., Future[Any]],
) -> None:
    hearing = Gate()
    a, b = strangers(first=dict(on_removal=lambda _: hearing.wait()), wait=0)
    a.loader(size="16GiB")("a", 16)
    c = Rig(16, 16 * GiB, probe=a.probe, wait=0)
    making = start(b.loader(size="16GiB"), "b", 16)
    hearing.until_reached()
    with pytest.raises(CapacityError):
        c.loader(size="4GiB")("c", 4)
    hearing.open()
    making.result(CAP)
    assert 16 == b.gib("live")


@pytest.mark.race
def test_what_is_being_made_for_another_cache_since_the_look_is_not_taken(
    start: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    torn_down = Gate()
    a, b = strangers(first=dict(wait=0), on_removal=lambda _: None, wait=0)
    victim = warm(cache=b.cache, size="8GiB", teardown=lambda _: torn_down.wait())(
        lambda: Model(b.probe, 8 * GiB)
    )
    victim()
    making: list[Future[Any]] = []

    def look_and_be_overtaken(store: Any) -> None:
        look(store)
        if not making:  # by who takes the 8 that are free, and 4 that are being made
            making.append(start(b.loader(size="12GiB"), "b", 12))
            torn_down.until_reached()

    look = meter_of(a).look
    monkeypatch.setattr(meter_of(a), "look", look_and_be_overtaken)
    with pytest.raises(CapacityError):
        a.loader(size="8GiB")("a", 8)
    torn_down.open()
    making[0].result(CAP)
    assert 12 == b.gib("live")


@pytest.mark.race
def test_of_two_that_are_owed_room_that_is_there_once_one_gets_it(
    start: Callable[..., Future[Any]],
) -> None:
    hearing = {"x": Gate(), "y": Gate()}

    def hear(removal: Removal) -> None:
        hearing[removal.key[1]].wait()

    a, b = strangers(first=dict(on_removal=hear), wait=CAP)
    c = Rig(16, 16 * GiB, probe=a.probe, wait=CAP)
    ask(a.loader(size="8GiB"), "xy", 8)
    asking = []
    for rig, gate in zip((b, c), hearing.values(), strict=True):
        asking.append(start(rig.loader(size="8GiB"), "z", 8))
        gate.until_reached()
    a.probe.foreign = 8 * GiB  # somebody else has taken what one of them made
    for gate in hearing.values():
        gate.open()
    done, _ = wait(asking, CAP / 2, return_when=FIRST_COMPLETED)
    assert 1 == len(done)
    a.probe.foreign = 0
    for each in asking:
        each.result(CAP)


@pytest.mark.parametrize(("taken_by", "found"), [("ours", Shortage), ("foreign", Case)])
def test_an_eviction_is_in_vain_where_others_took_what_it_gave_and_not_where_caches_of_ours_did(
    taken_by: str, found: type
) -> None:
    a, b = strangers(wait=0)
    load = a.loader(size=seen, size_hint=lambda name, gib: gib * GiB)
    load("a", 2)
    if taken_by == "ours":
        load("b", 14)
    else:
        a.probe.foreign = 14 * GiB
    claim = Claim("c", 2 * GiB)
    claim.evicted = 2 * GiB
    meter_of(b).look(b.cache._store)
    with b.cache._store.lock:
        assert isinstance(decide(b.cache._view, claim, None, replacing=False), found)


def test_what_lingers_in_another_cache_is_looked_at_by_who_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caches, "_LINGER", 3600.0)  # and not by that cache itself
    a, b = strangers(first=dict(confirm=CAP), wait=0)
    a.probe.lag = 3  # samples
    a.loader(size="12GiB")("a", 12)
    b.loader(size="8GiB")("b", 8)
    assert {RemovalCause.PRESSURE: 1} == a.cache.stats().removals


@pytest.mark.race
def test_two_that_look_at_once_are_not_both_granted_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = strangers(wait=0)
    in_b = b.loader(size="12GiB")

    def look_and_be_overtaken(store: Any) -> None:
        look(store)
        if not b.loads:
            in_b("b", 12)

    look = meter_of(a).look
    monkeypatch.setattr(meter_of(a), "look", look_and_be_overtaken)
    most: list[float] = []

    @warm(cache=a.cache, size="8GiB")
    def load() -> Model:
        most.append(b.gib("live"))
        return Model(a.probe, 8 * GiB)

    load()  # and the other's went, instead of both being there
    assert [0] == most


# -- an oracle ---------------------------------------------------------------------------


@pytest.mark.race
@pytest.mark.parametrize("seed", range(3))
def test_the_sum_over_two_caches_never_exceeds_the_device(
    seed: int, start: Callable[..., Future[Any]]
) -> None:
    probe = FakeProbe(16)  # which refuses to give more
    shared = [
        MemoryCache[Any, Any](16, probe=probe, headroom=0, poll=0, wait=CAP, confirm=CAP)
        for _ in range(2)
    ]
    loads = [
        warm(cache=cache, size=lambda block: block.nbytes, size_hint=lambda key: key % 5 + 1)(
            lambda key: probe.block(key % 5 + 1)
        )
        for cache in shared
    ]
    failures: list[BaseException] = []
    begin = threading.Barrier(8)

    def work(number: int) -> None:
        rng = random.Random(100 * seed + number)
        begin.wait(CAP)
        for _ in range(60):
            try:
                with rng.choice(loads).lease(rng.randrange(20)):
                    pass
            except MemoryError as error:
                failures.append(error)

    for each in [start(work, number) for number in range(8)]:
        each.result(60)
    assert [] == failures
    for cache in shared:
        assert_consistent(cache)
