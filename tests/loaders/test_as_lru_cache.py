"""@warm in the place of functools.lru_cache: what is the same, and what differs on purpose."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from warmcache import CapacityError, LoadCycleError, warm
from warmcache.testing import ManualClock

CAP = 5.0
BOTH = pytest.mark.parametrize("decorate", [functools.lru_cache, warm], ids=["lru_cache", "warm"])


def add(x: Any, y: Any = 0) -> Any:
    """Add."""
    return x + y


warm_add = warm(maxsize=8)(add)
warm_add.__qualname__ = "warm_add"


# -- the same ----------------------------------------------------------------------


@BOTH
def test_the_least_recently_used_goes(decorate: Any) -> None:
    calls: list[Any] = []
    load = decorate(maxsize=2)(lambda x: calls.append(x))
    for x in (7, 9, 7, 9, 7, 9, 8, 8, 8, 9, 9, 9, 8, 8, 8, 7):
        load(x)
    assert [7, 9, 8, 7] == calls
    assert (12, 4, 2, 2) == tuple(load.cache_info())


@BOTH
@pytest.mark.parametrize(("maxsize", "info"), [(None, (28, 16, None, 16)), (0, (0, 3, 0, 0))])
def test_so_it_is_without_a_limit_and_with_none_at_all(
    decorate: Any, maxsize: Any, info: Any
) -> None:
    @decorate(maxsize=maxsize)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    if maxsize == 0:
        assert 1 == fibonacci(2)
    else:
        assert 610 == [fibonacci(n) for n in range(16)][-1]
    assert info == tuple(fibonacci.cache_info())
    fibonacci.cache_clear()
    assert (0, 0, maxsize, 0) == tuple(fibonacci.cache_info())


@BOTH
def test_bare_it_holds_128(decorate: Any) -> None:
    load = decorate(add)
    assert [load(n) for n in range(130)] == [*range(130)]
    assert (0, 130, 128, 128) == tuple(load.cache_info())


@BOTH
def test_types_count_where_they_are_said_to(decorate: Any) -> None:
    typed, untyped = decorate(maxsize=8, typed=True)(add), decorate(maxsize=8)(add)
    for load in (typed, untyped):
        load(3, 0), load(3.0, 0), load(3, 0), load(3.0, 0)
    assert (2, 3) == (typed.cache_info().hits, untyped.cache_info().hits)
    assert isinstance(typed(3.0), float) and isinstance(typed(3), int)


@BOTH
def test_errors_pass_through_and_are_not_kept(decorate: Any) -> None:
    calls: list[Any] = []

    @decorate(maxsize=8)
    def fail(name: str) -> None:
        calls.append(name)
        raise ValueError(name)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            fail("a")
    assert ["a", "a"] == calls and 0 == fail.cache_info().currsize


@BOTH
def test_starred_arguments_are_told_apart(decorate: Any) -> None:
    load = decorate(maxsize=8)(lambda *args: args)
    assert (1, 2) == load(1, 2) and ((1, 2),) == load((1, 2))


@BOTH
def test_it_looks_like_what_it_wraps(decorate: Any) -> None:
    load = decorate(maxsize=8)(add)
    for name in functools.WRAPPER_ASSIGNMENTS:
        assert getattr(add, name) == getattr(load, name)
    assert add is load.__wrapped__ and inspect.signature(add) == inspect.signature(load)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        load()


@BOTH
def test_it_can_be_referred_to_weakly_and_dies_when_nobody_has_it(decorate: Any) -> None:
    load: Any = decorate(maxsize=8)(lambda x: x)
    load(1)
    reference = weakref.ref(load)
    del load
    gc.collect()
    assert reference() is None


@BOTH
def test_a_copy_is_the_very_same(decorate: Any) -> None:
    load = decorate(maxsize=8)(functools.partial(add, 2))
    assert load is copy.copy(load) is copy.deepcopy(load)


def test_it_pickles_as_a_reference() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert warm_add is pickle.loads(pickle.dumps(warm_add, protocol))


class Slowly:
    """What calls back while it is compared."""

    def __init__(self, x: int, again: Callable[[], object]) -> None:
        self.x, self.again = x, again

    def __hash__(self) -> int:
        return self.x

    def __eq__(self, other: object) -> bool:
        if self.x == 2:
            self.again()
        return isinstance(other, Slowly) and self.x == other.x


@BOTH
def test_arguments_that_call_it_as_they_are_compared_do_no_harm(decorate: Any) -> None:
    load: Any = decorate(maxsize=8)(lambda x: x)
    one = Slowly(1, lambda: None)
    assert load(one) is one
    two = Slowly(2, lambda: load(one))
    assert load(two) is two
    assert load(Slowly(2, lambda: load(one))) is two


@BOTH
def test_arguments_die_when_they_leave(decorate: Any) -> None:
    class Thing:
        pass

    load, thing = decorate(maxsize=1)(lambda x: 1), Thing()
    reference = weakref.ref(thing)
    load(thing)
    del thing
    load(2)
    gc.collect()
    assert reference() is None


@BOTH
def test_threads_lose_no_call(decorate: Any) -> None:
    load, start = decorate(maxsize=50)(add), threading.Barrier(5)

    def work() -> None:
        start.wait(CAP)
        for n in range(50):
            assert n == load(n)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)
    hits, misses, _, currsize = load.cache_info()
    assert (50, 250) == (currsize, hits + misses)


# -- different, on purpose ---------------------------------------------------------


def test_equal_calls_are_one_key_however_they_are_written() -> None:
    load, theirs = warm(add), functools.lru_cache(add)
    for each in (load, theirs):
        each(1), each(x=1), each(1, 0), each(1, y=0)
    assert (1, 4) == (load.cache_info().misses, theirs.cache_info().misses)


def test_equal_arguments_are_one_key_even_if_there_is_but_one() -> None:
    load, theirs = warm(add), functools.lru_cache(add)
    for each in (load, theirs):
        each(1), each(1.0), each(True)
    assert (1, 2) == (load.cache_info().misses, theirs.cache_info().misses)


def test_the_order_of_keywords_makes_no_other_key() -> None:
    load = warm(lambda **options: object())
    assert load(a=1, b=2) is load(b=2, a=1)
    theirs = functools.lru_cache(lambda **options: object())
    assert theirs(a=1, b=2) is not theirs(b=2, a=1)


def test_lists_are_keys_by_content() -> None:
    load = warm(maxsize=None)(lambda x: object())
    assert load([1]) is load([1]) is not load([2])


def test_a_load_that_asks_for_its_own_key_is_refused_and_goes_on_elsewhere() -> None:
    asked: list[int] = []

    @warm(maxsize=8)
    def load(n: int) -> int:
        if not asked:
            asked.append(n)
            with pytest.raises(LoadCycleError):
                load(n)
            return load(n + 1)
        return n

    assert 2 == load(1)


def test_no_recursion_is_deeper_than_maxsize_for_each_load_under_way_has_its_place() -> None:
    load = _deep_of(3)
    assert 2 == load(2)
    load.cache_clear()
    with pytest.raises(CapacityError, match="only the caller itself"):
        load(3)
    with pytest.raises(CapacityError) as refused:
        _deep_of(20)(30)
    assert 20 == len(refused.value.holders) and " and 12 more" in str(refused.value)


def _deep_of(maxsize: int) -> Any:
    @warm(maxsize=maxsize)
    def load(n: int) -> int:
        return n and load(n - 1) + 1

    return load


class Methods:
    @warm(maxsize=4)
    def load(self, x: int) -> int:
        return x


def test_the_counts_of_a_method_are_had_through_an_instance_and_are_those_of_all() -> None:
    one, other = Methods(), Methods()
    one.load(1), other.load(1), other.load(1)
    assert (1, 2, 4, 2) == one.load.cache_info() == other.load.cache_info()
    with pytest.raises(AttributeError, match="reached through an instance"):
        Methods.load.cache_info()


def test_parameters_have_more_keys() -> None:
    theirs = functools.lru_cache(maxsize=2)(add).cache_parameters()
    ours = warm(maxsize=2)(add).cache_parameters()
    assert theirs.items() <= ours.items()
    more = {"cache", "policy", "ttl", "idle_ttl", "size", "tags", "version"}
    assert more == ours.keys() - theirs.keys()


def test_a_miss_hashes_its_arguments_several_times_and_a_hit_once() -> None:
    hashed: list[int] = []

    class Argument:
        def __hash__(self) -> int:
            hashed.append(1)
            return 1

    load, one = warm(maxsize=8)(lambda x, y=0: object()), Argument()
    load(one)
    assert len(hashed) > 1
    hashed.clear()
    load(one)
    assert [1] == hashed


def test_less_than_nothing_is_no_limit_but_an_error() -> None:
    with pytest.raises(ValueError, match="maxsize must be a size, 0 or more, got -10"):
        warm(maxsize=-10)(add)


@pytest.mark.race
def test_of_many_threads_that_want_one_cold_key_one_loads() -> None:
    begun, go, loads = threading.Event(), threading.Event(), []

    @warm(maxsize=8)
    def load(x: int) -> object:
        loads.append(x)
        begun.set()
        assert go.wait(CAP)
        return object()

    threads = [threading.Thread(target=load, args=(1,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert begun.wait(CAP)
    go.set()
    for thread in threads:
        thread.join(CAP)
    assert [1] == loads


ENDING: list[dict[str, Any]] = [
    {"policy": "ttl", "ttl": 5},
    {"ttl": 5},
    {"idle_ttl": 5},
    {"policy": "ttl", "ttl": 0},
    {"ttl": 0},
]


@pytest.mark.parametrize("options", ENDING)
def test_cache_info_has_nothing_that_has_ended(options: dict[str, Any]) -> None:
    clock = ManualClock()
    load = warm(maxsize=3, timer=clock, **options)(lambda name: [name])
    load("a"), load("b")
    assert (2 if 5 in options.values() else 0) == load.cache_info().currsize
    clock.advance(6)
    assert 0 == load.cache_info().currsize
