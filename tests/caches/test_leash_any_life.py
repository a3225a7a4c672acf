"""Whatever a cache may tell the choice of ``cost``, in any order, it stays on its leash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from leashed import Replay, assert_on_its_leash

from warmcache.caches.known_keys import GHOSTS

pytestmark = pytest.mark.property


class AnyLife(RuleBasedStateMachine):
    """All that a cache may tell the choice, in any order; each use at once."""

    def __init__(self) -> None:
        super().__init__()
        self.replay = Replay(10, exact=True, width=0.03)
        self.seconds: dict[int, float] = {}
        self.sizes: dict[int, int] = {}

    @property
    def choice(self) -> Any:
        return self.replay.choice

    def some(self, data: Any, *, leased: bool) -> Any:
        live = self.replay.live.values()
        return data.draw(st.sampled_from([each for each in live if bool(each.leases) == leased]))

    def idle(self) -> float:
        return sum(each.size for each in self.replay.live.values() if not each.leases)

    @rule(key=st.integers(0, 9), size=st.integers(0, 5), seconds=st.sampled_from([1, 2, 5, 50]))
    def ask(self, key: int, size: int, seconds: float) -> None:
        seconds = self.seconds.setdefault(key, float(seconds))
        size = self.sizes.setdefault(key, size)
        live = self.replay.live
        if key in live or self.replay.size + size - self.idle() <= self.replay.limit:
            self.replay.ask(key, size, seconds)

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), size=st.integers(0, 5))
    def replace(self, data: Any, size: int) -> None:
        resident = self.some(data, leased=False)
        if self.replay.size + size - self.idle() <= self.replay.limit:
            self.replay.now += 1
            self.choice.removed(self.choice.known.residents[resident], replaced=True)
            self.replay.gone(resident)
            self.replay.make_room(size)
            self.sizes[resident.key] = size
            self.replay.store(resident.key, size, 0)

    @precondition(lambda self: self.replay.live)
    @rule(data=st.data())
    def remove(self, data: Any) -> None:
        resident = data.draw(st.sampled_from([*self.replay.live.values()]))
        self.choice.removed(self.choice.known.residents[resident])
        self.replay.gone(resident)

    @precondition(lambda self: any(not each.leases for each in self.replay.live.values()))
    @rule(data=st.data())
    def lease(self, data: Any) -> None:
        resident = self.some(data, leased=False)
        self.replay.now += 1
        resident.leases = ("a lease",)
        self.replay.use(resident)

    @precondition(lambda self: any(each.leases for each in self.replay.live.values()))
    @rule(data=st.data(), size=st.integers(0, 5))
    def release(self, data: Any, size: int) -> None:
        resident = self.some(data, leased=True)
        self.replay.now += 1
        if self.replay.size - resident.size + size <= self.replay.limit:
            self.replay.size += size - resident.size
            self.sizes[resident.key] = resident.size = size
        resident.leases, resident.used = (), self.replay.now
        self.choice.released(resident, resident.size)

    @rule(call_off=st.booleans())
    def give_up(self, call_off: bool) -> None:
        record = self.choice.victim()
        if record is not None:
            resident, key = record.stamps, record.key
            self.choice.evicted(record)
            if call_off:
                self.choice.called_off(key, resident, resident.size)
            else:
                self.replay.gone(resident)

    @rule(limit=st.integers(6, 14))
    def limit(self, limit: int) -> None:
        if self.replay.size - self.idle() <= limit:
            self.replay.limit = limit
            self.choice.limited(limit)
            self.replay.make_room(0)

    @rule()
    def forget(self) -> None:
        self.choice.forget()

    @rule()
    def begin_anew(self) -> None:
        live = [(each.key, each, each.size) for each in self.replay.live.values()]
        self.choice.begin_anew(live)

    @invariant()
    def it_is_on_its_leash(self) -> None:
        assert_on_its_leash(self.choice.leash)

    @invariant()
    def everybody_has_a_place(self) -> None:
        known = self.choice.known
        assert {*self.replay.live.values()} == {*known.residents}
        for record in known.residents.values():
            assert record.place or record.stamps.leases
            assert not record.owed
            assert not (known.lacking.keys() | known.gone.keys()) & {record.key}
        assert all(record.held for record in known.lacking.values())
        assert not any(record.held for record in known.gone.values())

    @invariant()
    def what_the_shadow_holds_and_surplus_are_ranked_apart(self) -> None:
        for ranking, held in ((self.choice._shared, True), (self.choice._surplus, False)):
            for _, serial, record in [*ranking._front, *ranking._heap]:
                assert serial != record.place or held is record.held

    @invariant()
    def the_shadow_is_no_larger_than_lru_could_be(self) -> None:
        shadow = self.choice.leash.shadow
        records = [*self.choice.known.residents.values(), *self.choice.known.lacking.values()]
        held = [record for record in records if record.held]
        assert abs(sum(record.held_size for record in held) - shadow.size) < 1e-9
        if not any(record.stamps is not None and record.stamps.leases for record in held):
            assert not shadow.excess()

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        known = self.choice.known
        assert len(known.lacking) + len(known.gone) <= GHOSTS * known._most

    @rule()
    def forecast(self) -> None:
        told = [record.key for record in self.choice.forecast()]
        assert sorted(told) == sorted(self.replay.live)


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
