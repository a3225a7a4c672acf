"""Memory that ran out: what is done before the next try, how often, and what is given back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from rigs import GiB, Model, Rig, ask

from warmcache import RemovalCause, warm
from warmcache.memory import retry_on_oom


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Have nothing collected but what is collected on purpose."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Trial:
    """User code that allocates and then runs out of memory, ``failures`` times."""

    def __init__(self, rig: Rig, failures: int = 1, *, cycle: bool = False) -> None:
        self.rig = rig
        self.failures = failures
        self.cycle = cycle
        self.tries = 0
        self.parts: list[weakref.ref[Model]] = []

    def __call__(self) -> Model:
        self.tries += 1
        part = Model(self.rig.probe, GiB)
        if self.cycle:
            part.blocks.append(part)  # type: ignore[arg-type]
        self.parts.append(weakref.ref(part))
        if self.tries <= self.failures:
            raise MemoryError("tried to allocate 1 GiB")
        return part

    @property
    def gone(self) -> bool:
        """Whether what the tries so far have allocated is dead."""
        return all(part() is None for part in self.parts)


def as_load(rig: Rig, trial: Trial) -> Callable[[], object]:
    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Model:
        return trial()

    return load  # type: ignore[no-any-return]


def as_call(rig: Rig, trial: Trial) -> Callable[[], object]:
    return retry_on_oom(rig.cache)(trial.__call__)


BOTH = pytest.mark.parametrize("way", [as_load, as_call])


# -- what is tried again -----------------------------------------------------------------


@BOTH
def test_it_is_tried_again_twice_at_most(way: Any) -> None:
    rig = Rig(budget=12 * GiB)
    ask(rig.loader(size="1GiB"), "abcdef", 1)
    trial = Trial(rig, failures=100)
    with pytest.raises(MemoryError):
        way(rig, trial)()
    assert 3 == trial.tries
    assert {RemovalCause.PRESSURE: 2} == rig.cache.stats().removals


@BOTH
def test_it_is_tried_again_twice_where_that_helps(way: Any) -> None:
    rig = Rig(budget=12 * GiB)
    ask(rig.loader(size="1GiB"), "abcdef", 1)
    trial = Trial(rig, failures=2)
    assert isinstance(way(rig, trial)(), Model)
    assert 3 == trial.tries


@BOTH
def test_what_a_failed_try_allocated_is_gone_before_anything_is_evicted_for_it(
    way: Any, no_collector: None
) -> None:
    rig, gone = Rig(), []
    trial = Trial(rig, failures=2)
    idle = rig.loader(size="1GiB", teardown=lambda model: gone.append(trial.gone))
    ask(idle, "abc", 1)
    way(rig, trial)()
    assert [True, True] == gone


@BOTH
def test_garbage_of_a_failed_try_is_collected_and_the_reserve_given_back_before_the_next(
    way: Any, no_collector: None
) -> None:
    rig = Rig(give_back=lambda: gone.append(trial.gone))
    gone: list[bool] = []
    trial = Trial(rig, cycle=True)
    tries: list[list[bool]] = []

    def once() -> Model:
        tries.append(list(gone))
        return trial()

    way(rig, once)()
    assert [[], [True]] == tries


# -- what is given back ------------------------------------------------------------------


def test_relieve_gives_the_reserve_back_though_nothing_is_idle() -> None:
    rig = Rig(give_back=lambda: rig.probe.empty_cache())
    rig.probe.caching = True
    rig.probe.allocate(3 * GiB)
    rig.probe.release(3 * GiB)
    assert 3 * GiB == rig.probe.sample().reserved
    assert 0 == rig.cache.relieve("1GiB")
    assert 0 == rig.probe.sample().reserved


def test_relieve_collects_garbage_before_it_gives_the_reserve_back(no_collector: None) -> None:
    given: list[bool] = []
    rig = Rig(give_back=lambda: given.append(garbage() is None))
    model = Model(rig.probe, GiB)
    model.blocks.append(model)  # type: ignore[arg-type]
    garbage = weakref.ref(model)
    del model
    rig.cache.relieve(0)
    assert [True] == given


# -- memory in pieces --------------------------------------------------------------------


def caching(fragmented: float, **options: Any) -> Rig:
    """Return a device of 16 GiB whose allocator keeps 4, of which some is in pieces."""
    rig = Rig(budget=16 * GiB, give_back=lambda: rig.probe.empty_cache(), **options)
    rig.probe.caching = True
    rig.probe.fragmented = int(fragmented * GiB)
    rig.probe.allocate(4 * GiB)
    rig.probe.release(4 * GiB)
    return rig


@pytest.mark.parametrize(("fragmented", "evicted"), [(0, 0), (3, 1)])
def test_what_lies_in_pieces_is_made_up_by_idle_entries(fragmented: float, evicted: int) -> None:
    rig = caching(fragmented)
    rig.loader(size="3GiB")("idle", 3)
    load = rig.loader(size="11GiB")
    load("large", 11)
    # The reserve looks available, so nobody was evicted for the first try.
    assert ["idle", *["large"] * (1 + evicted)] == rig.loads
    causes = {RemovalCause.PRESSURE: evicted} if evicted else {}
    assert causes == rig.cache.stats().removals
    assert fragmented * GiB == rig.probe.sample().reserved


def test_where_all_that_is_left_lies_in_pieces_the_load_fails_and_is_told_why() -> None:
    rig = caching(4)
    load = rig.loader(size="13GiB")
    with pytest.raises(MemoryError, match="do not fit into a fake device") as caught:
        load("large", 13)
    assert "of 16.0 GiB: 13.0 GiB reserved by loads" in caught.value.__notes__[0]
    load("smaller", 12)


def test_memory_that_comes_back_in_pieces_is_not_waited_for() -> None:
    rig = caching(16, wait=5, confirm=5)
    load = rig.loader(size="3GiB")
    load("a", 3)
    load.evict("a", 3)
    assert (0, 7) == (rig.gib("dying"), (rig.probe.sample().reserved or 0) // GiB)


# -- what is freed --------------------------------------------------------------------


def test_a_load_that_ran_out_of_memory_is_tried_again_once_what_it_lacked_is_free() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    load = rig.loader(size="1GiB")
    for name in "abcd":
        load(name, 1.9)
    with load.lease("e", 3):
        assert list("abcdee") == rig.loads
    assert {RemovalCause.SIZE: 1, RemovalCause.PRESSURE: 1} == rig.cache.stats().removals


def test_what_an_error_says_was_lacking_is_made_up_at_once() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    idle = rig.loader(size="1GiB")
    ask(idle, "abcd", 1)
    tries: list[int] = []

    @warm(cache=rig.cache, size="1GiB")
    def load() -> Model:
        tries.append(len(rig.cache))
        if len(tries) == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has")
        return Model(rig.probe, GiB)

    load()
    assert [4, 1] == tries


def test_a_load_is_tried_three_times_at_most_and_the_ledger_is_told() -> None:
    rig = Rig(total=64, budget=8 * GiB)
    tries: list[Any] = []
    load = rig.loader(size="1GiB")
    for name in "abcd":
        load(name, 1)

    @warm(cache=rig.cache, size="1GiB")
    def failing() -> Model:
        tries.append(None)
        raise MemoryError("tried to allocate 2.00 GiB")

    with pytest.raises(MemoryError) as caught:
        failing()
    assert 3 == len(tries)
    assert "of 8.0 GiB: 1.0 GiB reserved by loads; " in caught.value.__notes__[0]


def test_what_a_failed_try_allocated_is_free_before_the_next() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    free: list[float] = []

    @warm(cache=rig.cache)
    def load() -> Model:
        free.append((rig.probe.sample().free or 0) / GiB)
        part = rig.probe.block(5 * GiB)
        if len(free) < 2:
            rig.probe.block(5 * GiB)
        return Model(rig.probe, 0) if part else None  # type: ignore[return-value]

    load()
    assert [8, 8] == free


def test_retry_on_oom_frees_what_a_function_lacked() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    load = rig.loader(size="2GiB")
    ask(load, "abc", 2)

    @retry_on_oom(rig.cache)
    def infer(gib: int) -> int:
        block = rig.probe.block(gib * GiB)
        return block.nbytes // GiB

    assert 3 == infer(3)
    assert 4 == rig.gib("live")
    with pytest.raises(MemoryError):
        infer(9)
    with pytest.raises(ZeroDivisionError):
        retry_on_oom(rig.cache)(lambda: 1 / 0)()


async def compute() -> None:
    """Compute."""


async def computes() -> AsyncIterator[int]:
    yield 1


def yielding() -> Iterator[int]:
    yield 1


class Async:
    async def __call__(self) -> None:
        """Compute."""


class Yielding:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function",
    [compute, computes, yielding, Async(), Yielding(), partial(compute), partial(Async())],
)
def test_retry_on_oom_refuses_what_does_its_work_after_the_call(function: Any) -> None:
    with pytest.raises(TypeError, match="plain function"):
        retry_on_oom(Rig().cache)(function)


def test_relieve_leaves_leases_alone_and_says_what_it_freed() -> None:
    rig = Rig()
    load = rig.loader(size="2GiB")
    with load.lease("a", 2):
        ask(load, "bc", 2)
        assert 2 * GiB == rig.cache.relieve("1GiB")
        assert 2 * GiB == rig.cache.relieve("6GiB")
        assert 0 == rig.cache.relieve(1)
        assert load.contains("a", 2)
