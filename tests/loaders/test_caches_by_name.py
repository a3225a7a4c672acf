"""Loaders over a cache by name: who defines it, when it is looked up, what follows its end."""

from __future__ import annotations

import asyncio
import datetime
import gc
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import warmcache
from warmcache import warm
from warmcache.policies.shared_caches import shared_cache
from warmcache.testing import ManualClock

CAP = 5.0
UNDEFINED = r"there is no cache '.*' yet: define it with .* or where a loader names it, @warm\("


@pytest.fixture
def name() -> str:
    return f"gpu-{uuid.uuid4()}"


def loader(name: str, **options: Any) -> Any:
    @warm(cache=name, **options)
    def load(x: object) -> list[object]:
        return [x]

    return load


# -- who defines it --------------------------------------------------------------------


def test_the_first_loader_that_says_how_defines_it(name: str) -> None:
    first, second = loader(name, policy="lfu", maxsize=1), loader(name)

    assert (
        first.cache
        is second.cache
        is warmcache.cache(name)
        is warmcache.cache(name, "lfu", maxsize=1)
    )
    first(1), second(2)
    assert not first.contains(1) and second.contains(2), "one limit for both"


def test_a_second_that_says_otherwise_is_refused_at_decoration(name: str) -> None:
    loader(name, policy="lru", maxsize=1)
    with pytest.raises(ValueError) as caught:
        loader(name, policy="lru", maxsize=2)

    text = str(caught.value)
    assert f"cache {name!r} is defined already, as (policy='lru', maxsize=1)" in text
    assert "it cannot be (policy='lru', maxsize=2) too" in text
    assert f"warmcache.cache({name!r}).close()" in text


def test_what_cannot_be_decorated_defines_nothing(name: str) -> None:
    with pytest.raises(TypeError, match="goes over a function"):
        warm(cache=name, maxsize=1)(3)  # type: ignore[call-overload]
    assert 2 == loader(name, maxsize=2).cache.maxsize


@pytest.mark.race
def test_threads_that_define_it_at_once_share_one_cache_and_one_load(name: str) -> None:
    count, loads, values = 32, [], []
    start = threading.Barrier(count)
    early = loader(name)

    @warm(cache=name)
    def late(x: int) -> list[int]:
        loads.append(x)
        return [x]

    def work() -> None:
        start.wait(CAP)
        mine = loader(name, policy="lru", maxsize=64)
        values.append((mine.cache, mine(1) is not None, id(late(2))))

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)

    assert count == len(values) and 1 == len({id(cache) for cache, _, _ in values})
    assert [2] == loads and 1 == len({number for _, _, number in values})
    assert early.cache is late.cache is values[0][0]


def test_who_finds_it_twice_moves_once(name: str) -> None:
    """As two threads do that call a loader at once whose cache was not there before."""
    load = loader(name, maxsize=2)
    load(1)
    shared_cache(name).take_in(load.lease.__self__._loader)
    assert load.contains(1)


# -- when it is looked up --------------------------------------------------------------


USES: dict[str, Callable[[Any], object]] = {
    "call": lambda load: load(1),
    "lease": lambda load: load.lease(1),
    "alease": lambda load: load.alease(1),
    "warm_up": lambda load: load.warm_up([1]),
    "contains": lambda load: load.contains(1),
    "peek": lambda load: load.peek(1),
    "evict": lambda load: load.evict(1),
    "cache_key": lambda load: load.cache_key(1),
    "cache_info": lambda load: load.cache_info(),
    "cache_parameters": lambda load: load.cache_parameters(),
    "cache": lambda load: load.cache.maxsize,
    "cache as a mapping": lambda load: len(load.cache),
    "cache to store in": lambda load: load.cache.__setitem__(1, 1),
    "cache to delete from": lambda load: load.cache.__delitem__(1),
}


@pytest.mark.parametrize("use", USES)
def test_a_name_that_nobody_defined_is_an_error_at_each_use_that_tells_how(
    name: str, use: str
) -> None:
    with pytest.raises(ValueError, match=UNDEFINED):
        USES[use](loader(name))


@pytest.mark.parametrize("use", ["call", "lease", "evict"])
def test_it_is_of_async_loaders_too(name: str, use: str) -> None:
    @warm(cache=name)
    async def load(x: object) -> list[object]:
        return [x]

    async def uses() -> None:
        if use == "lease":
            async with load.lease(1):
                pass
        else:
            await (load(1) if use == "call" else load.evict(1))

    with pytest.raises(ValueError, match=UNDEFINED):
        asyncio.run(uses())


def test_what_is_defined_later_is_found_at_the_first_call(name: str) -> None:
    load = loader(name)
    with pytest.raises(ValueError, match=UNDEFINED):
        load(1)
    cache = warmcache.cache(name, maxsize=2)

    assert load.cache is cache and load(1) is load(1)
    assert (1, 1, 2, 1) == load.cache_info()


def test_a_cache_that_was_shown_before_it_was_there_is_it_from_then_on(name: str) -> None:
    load = loader(name)
    shown = load.cache
    assert f"<cache of <warm load: cache {name!r} is not defined>>" == repr(shown)
    warmcache.cache(name, maxsize=2)
    load(1)
    assert 2 == shown.maxsize and 1 == len(shown) and [*shown] == [*load.cache]


def test_until_then_a_loader_says_so_when_it_is_shown(name: str) -> None:
    load = loader(name)
    assert f"<warm load: cache {name!r} is not defined>" == repr(load.lease.__self__)


def _class(name: str) -> Any:
    @warm(cache=name)
    class Model:
        def __init__(self, x: object) -> None: ...

    return Model


def _generator(name: str) -> Any:
    @warm(cache=name)
    def load(x: object) -> Any:
        yield [x]

    return load


class Server:
    """What has methods to be warm."""


def _method(name: str) -> Any:
    class Of(Server):
        @warm(cache=name)
        def load(self, x: object) -> list[object]:
            return [x]

    server = Of()
    load = server.load
    server.itself = server  # type: ignore[attr-defined]  # as long as its method
    return load


def _class_method(name: str) -> Any:
    class Of:
        @warm(cache=name)
        @classmethod
        def load(cls, x: object) -> list[object]:
            return [x]

    return Of.load


def _static_method(name: str) -> Any:
    class Of:
        @staticmethod
        @warm(cache=name)
        def load(x: object) -> list[object]:
            return [x]

    return Of.load


def _coroutine(name: str) -> Any:
    load = warm(cache=name, loop_bound=False)(_fetched)
    return lambda x: asyncio.run(load(x))


async def _fetched(x: object) -> list[object]:
    return [x]


KINDS = {
    "class": _class,
    "generator": _generator,
    "method": _method,
    "class method": _class_method,
    "static method": _static_method,
    "async function": _coroutine,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_loader_finds_it_later_and_once_more(name: str, kind: str) -> None:
    load = KINDS[kind](name)
    with pytest.raises(ValueError, match=UNDEFINED):
        load(1)
    for size in (2, 3):
        with warmcache.cache(name, maxsize=size) as cache:
            assert load(1) is load(1)
            assert 1 == len(cache)


def test_a_method_shows_its_cache_once_there_is_one(name: str) -> None:
    class Of:
        @warm(cache=name)
        def load(self, x: object) -> list[object]:
            return [x]

    with pytest.raises(ValueError, match=UNDEFINED):
        _ = Of.load.cache
    cache = warmcache.cache(name, maxsize=2)
    assert Of.load.cache is Of().load.cache is cache


def test_an_instance_may_die_before_there_is_a_cache(name: str) -> None:
    class Of:
        @warm(cache=name)
        def load(self, x: object) -> list[object]:
            return [x]

    of = Of()
    with pytest.raises(ValueError, match=UNDEFINED):
        of.load(1)
    del of
    gc.collect()
    warmcache.cache(name, maxsize=2)
    assert [2] == Of().load(2)


def test_what_needs_no_cache_needs_no_definition(name: str) -> None:
    torn: list[object] = []
    load = loader(name, teardown=torn.append)
    with warmcache.disabled():
        assert load(1) is not load(1)
        with load.lease(2):
            pass
    assert [[2]] == torn
    assert name not in {cache.name for cache in warmcache.all_caches()}
    warmcache.clear_all()


def test_a_time_that_its_clock_does_not_know_is_the_loader_s_error(name: str) -> None:
    wrong, right = loader(name, ttl=datetime.timedelta(60)), loader(name, ttl=60)
    warmcache.cache(name, maxsize=2)  # of whoever knows nothing of them
    assert [1] == right(1)
    with pytest.raises(TypeError, match="ttl must be seconds"):
        wrong(1)


@pytest.mark.parametrize("times", [{"ttl": 60}, {"idle_ttl": 60}])
def test_hits_look_at_the_time_if_what_is_defined_later_says_so(
    name: str, times: dict[str, Any]
) -> None:
    clock, load = ManualClock(), loader(name)
    warmcache.cache(name, maxsize=2, timer=clock, **times)
    value = load(1)
    assert load(1) is value
    clock.advance(61)
    assert load(1) is not value


def test_hits_are_recorded_in_what_is_defined_later(name: str, tmp_path: Any) -> None:
    load = loader(name)
    with warmcache.cache(name, maxsize=2, record=tmp_path / "uses.csv"):
        load(1), load(1), load(1)
    lines = (tmp_path / "uses.csv").read_text().splitlines()
    assert 3 == sum("load(1)" in line for line in lines)


def test_hits_are_recorded_where_they_look_at_the_time_too(name: str, tmp_path: Any) -> None:
    load = loader(name)
    with warmcache.cache(name, maxsize=2, ttl=60) as cache, cache.record(tmp_path / "uses.csv"):
        value = load(1)
        assert load(1) is value
    with warmcache.cache(name, maxsize=2) as cache:
        assert load(1) is load(1)
    lines = (tmp_path / "uses.csv").read_text().splitlines()
    assert 2 == sum("load(1)" in line for line in lines)
