"""``size=`` is reserved before the load or made room for after it; ``validate=``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from warmcache import CapacityError, LRUCache, Removal, RemovalCause, warm
from warmcache.testing import assert_consistent

CAP = 5.0
GiB = 2**30


class Model:
    def __init__(self, name: Any, weight: Any = 1) -> None:
        self.name = name
        self.weight = weight
        self.alive = True
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Case:
    """A loader of models by name and weight, and what became of them."""

    def __init__(self, maxsize: Any, **options: Any) -> None:
        self.loaded: list[Model] = []
        self.during: list[tuple[list[Any], float]] = []
        self.removals: list[Removal] = []
        self.load = warm(
            policy="lru",
            maxsize=maxsize,
            wait=0,
            teardown="close",
            on_removal=self.removals.append,
            **options,
        )(self.make)

    def make(self, name: Any, weight: Any = 1) -> Model:
        # What was there, and what was promised, while this load runs.
        live = [entry.key[1] for entry in self.load.cache.entries() if entry.state == "live"]
        self.during.append((live, self.load.cache.stats().loading))
        self.loaded.append(Model(name, weight))
        return self.loaded[-1]

    def causes(self) -> list[RemovalCause]:
        return [removal.cause for removal in self.removals]


# -- known before ------------------------------------------------------------------


@pytest.mark.parametrize(("size", "weight"), [(3, 3), (2.5, 2.5), ("3GiB", 3 * GiB), ("3", 3)])
def test_a_size_known_before_is_reserved_before_the_load(size: Any, weight: float) -> None:
    case = Case(weight * 2, size=size)
    for name in "abc":
        case.load(name)

    assert [([], weight), (["a"], weight), (["b"], weight)] == case.during
    assert 2 * weight == case.load.cache_info().currsize == case.load.cache.currsize
    assert [RemovalCause.SIZE] == case.causes()


def test_what_can_never_fit_is_refused_before_anything_is_loaded_or_evicted() -> None:
    cache: LRUCache[Any, Any] = LRUCache("4GiB")
    small = warm(cache=cache, size="1GiB")(Model)
    large = warm(cache=cache, size="5GiB")(lambda name: pytest.fail("loaded"))
    small("a")

    with pytest.raises(CapacityError, match=r"5\.0 GiB of 4\.0 GiB") as caught:
        large("b")

    error = caught.value
    assert (5 * GiB, 3 * GiB, 4 * GiB) == (error.needed, error.free, error.limit)
    assert small.contains("a") and isinstance(error, ValueError)
    assert_consistent(cache)


def test_a_load_in_the_way_of_a_lease_says_who_holds_it() -> None:
    case = Case(4, size=3)
    with case.load.lease("a"):
        with pytest.raises(CapacityError, match=r"make\('a', 1\) leased by thread") as caught:
            case.load("b")
        assert (3, 1, 3) == (caught.value.needed, caught.value.free, caught.value.leased)
        assert "MainThread" in caught.value.holders[0]
    case.load("b")
    assert ["a", "b"] == [model.name for model in case.loaded], "b's loader ran once, with room"


@pytest.mark.race
def test_room_for_two_loads_at_once_is_not_promised_twice() -> None:
    loading, go = threading.Event(), threading.Event()

    @warm(policy="lru", maxsize=4, size=3, wait=0)
    def load(name: str) -> str:
        if name == "slow":
            loading.set()
            assert go.wait(CAP)
        return name

    thread = threading.Thread(target=load, args=("slow",))
    thread.start()
    try:
        assert loading.wait(CAP) and 3 == load.cache.stats().loading
        with pytest.raises(CapacityError, match="being loaded by thread"):
            load("fast")
    finally:
        go.set()
        thread.join(CAP)
    assert "fast" == load("fast") and 3 == load.cache.currsize


def test_a_failed_load_gives_its_reservation_back() -> None:
    @warm(policy="lru", maxsize=3, size=3)
    def load(name: str) -> str:
        if name == "bad":
            raise OSError
        return name

    with pytest.raises(OSError):
        load("bad")
    assert 0 == load.cache.stats().loading and "good" == load("good")
    assert_consistent(load.cache)


def test_the_loaders_size_wins_over_the_caches_getsizeof() -> None:
    cache: LRUCache[Any, Any] = LRUCache(100, getsizeof=lambda model: 50)
    sized = warm(cache=cache, size=7)(Model)
    measured = warm(cache=cache)(Model)
    asked = warm(cache=cache, size=lambda model: 9)(Model)
    sized("a"), measured("b"), asked("c")

    assert (7, 50, 9) == tuple(f.cache_info().currsize for f in (sized, measured, asked))


# -- known only after --------------------------------------------------------------


def test_room_for_a_size_known_only_after_is_made_before_publication() -> None:
    gone: list[Any] = []

    def tear_down(model: Model) -> None:
        gone.append((model.name, sorted(entry.state for entry in load.cache.entries())))

    load = warm(policy="lru", maxsize=10, teardown=tear_down, size=lambda model: model.weight)(
        lambda name, weight: Model(name, weight)
    )
    for name, weight in [("a", 4), ("b", 4), ("c", 1), ("d", "6B")]:
        load(name, weight)

    # While "a" and "b" go, "d" is not to be had yet: it is still a load.
    assert [("a", ["dying", "dying", "live", "loading"])] == gone[:1]
    assert ["a", "b"] == [name for name, _ in gone]
    assert [1, 6] == sorted(entry.weight for entry in load.cache.entries())
    assert_consistent(load.cache)


@pytest.mark.parametrize("generator", [False, True])
def test_what_turns_out_to_exceed_the_whole_cache_is_torn_down_and_refused(
    generator: bool,
) -> None:
    removals: list[Removal] = []
    closed: list[Any] = []

    def load(name: str, weight: float) -> Any:
        return Model(name, weight)

    def generate(name: str, weight: float) -> Iterator[Any]:
        yield Model(name, weight)
        closed.append(name)

    options = {} if generator else {"teardown": lambda model: closed.append(model.name)}
    warm_load: Any = warm(
        policy="lru",
        maxsize=10,
        size=lambda model: model.weight,
        on_removal=removals.append,
        **options,
    )(generate if generator else load)
    warm_load("small", 5)

    with pytest.raises(CapacityError) as caught:
        warm_load("large", 11)

    assert (11, 10) == (caught.value.needed, caught.value.limit)
    assert ["large"] == closed and [RemovalCause.SIZE] == [r.cause for r in removals]
    assert warm_load.contains("small", 5) and not warm_load.contains("large", 11)
    assert 5 == warm_load.cache.stats().live and 0 == warm_load.cache.stats().loading
    assert_consistent(warm_load.cache)


def test_a_size_that_finds_no_room_beside_leases_is_torn_down_and_refused() -> None:
    case = Case(10, size=lambda model: model.weight)
    with case.load.lease("a", 6):
        with pytest.raises(CapacityError, match="leased by thread"):
            case.load("b", 6)
        assert 1 == case.loaded[-1].closed and 6 == case.load.cache.currsize
    assert_consistent(case.load.cache)


@pytest.mark.parametrize("answer", [None, -1, float("nan"), "3 apples", [], OSError("cannot")])
def test_a_size_that_fails_or_is_none_reaches_the_caller_and_leaks_nothing(answer: Any) -> None:
    def size(model: Model) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    case = Case(10, size=size)
    with pytest.raises((TypeError, ValueError, OSError)):
        case.load("a")

    assert [1] == [model.closed for model in case.loaded]
    assert not case.load.contains("a") and 0 == case.load.cache.stats().loading
    assert_consistent(case.load.cache)


def test_a_size_is_asked_once_a_load() -> None:
    asked: list[Any] = []
    case = Case(10, size=lambda model: asked.append(model.name) or 2)
    case.load("a"), case.load("a"), case.load("b")
    assert ["a", "b"] == asked


# -- validate ----------------------------------------------------------------------


def test_a_warm_value_that_fails_is_torn_down_as_invalid_and_loaded_again() -> None:
    case = Case(3, validate=lambda model: model.alive)
    first = case.load("a")
    assert case.load("a") is first and 0 == first.closed
    first.alive = False
    second = case.load("a")

    assert second is not first and second is case.load("a")
    assert (1, 0) == (first.closed, second.closed)
    assert [RemovalCause.INVALID] == case.causes()
    assert {RemovalCause.INVALID: 1} == case.load.cache.stats().removals


def test_the_invalid_value_is_gone_before_its_successor_loads() -> None:
    closed_when_loading: list[Any] = []
    models: list[Model] = []

    @warm(policy="lru", maxsize=2, teardown="close", validate=lambda model: model.alive)
    def load(name: str) -> Model:
        closed_when_loading.append([model.closed for model in models])
        models.append(Model(name))
        return models[-1]

    load("a").alive = False
    load("a")

    assert [[], [1]] == closed_when_loading


def test_a_fresh_value_is_not_asked_and_a_warm_one_at_every_use() -> None:
    asked: list[Any] = []
    case = Case(3, validate=lambda model: asked.append(model.name) or True)
    case.load("a")
    assert [] == asked
    case.load("a")
    with case.load.lease("a"):
        pass
    case.load.peek("a"), case.load.contains("a"), case.load.evict("a")

    assert ["a", "a"] == asked
    assert (2, 1) == case.load.cache_info()[:2]


def test_a_lease_validates_too_and_a_leased_invalid_value_waits_for_its_lease() -> None:
    case = Case(3, validate=lambda model: model.alive)
    with case.load.lease("a") as first:
        first.alive = False
        with case.load.lease("a") as second:
            assert second is not first
            assert 0 == first.closed
    assert (1, 0) == (first.closed, second.closed)
    assert [RemovalCause.INVALID] == case.causes()


def test_what_else_validate_raises_reaches_the_caller_and_changes_nothing() -> None:
    def validate(model: Model) -> bool:
        if model.alive is None:
            raise OSError("cannot tell")
        return True

    case = Case(3, validate=validate, validate_errors=KeyError)
    model = case.load("a")
    model.alive = None  # type: ignore[assignment]
    with pytest.raises(OSError, match="cannot tell"):
        case.load("a")

    assert 0 == model.closed and case.load.peek("a") is model
    assert [0] == [entry.leases for entry in case.load.cache.entries()]
    assert (0, 1) == case.load.cache_info()[:2]


@pytest.mark.race
def test_two_threads_that_find_the_same_value_invalid_tear_it_down_once() -> None:
    inside = threading.Barrier(2)

    def validate(model: Model) -> bool:
        if not model.alive:
            inside.wait(CAP)
        return model.alive

    case = Case(3, validate=validate)
    first = case.load("a")
    first.alive = False
    found: list[Model] = []
    threads = [threading.Thread(target=lambda: found.append(case.load("a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)

    assert 1 == first.closed and 2 == len(case.loaded)
    assert [case.loaded[1]] * 2 == found
    assert_consistent(case.load.cache)
