"""What a task on Dask may want, and which tasks are the same."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import dask_models as models
import pytest
from dask_in_process import installed, one_worker, until
from dask_models import fetch, load

import warmcache
import warmcache.dask as wd
from warmcache._engines.wanted import Wanted

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("nothing_is_warm")]


@one_worker
async def test_async_functions_lease_what_async_loaders_load(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)
    assert "a" == await wd.submit(c, models.fetched, "a", warm=partial(fetch, "a"))
    assert ["a"] == models.loads


@one_worker
async def test_calls_of_one_meaning_are_one_task_as_in_dask(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)

    await installed(c, s)

    def key(function: Any, name: str, wanted: str, **options: Any) -> str:
        return str(wd.submit(c, function, name, warm=partial(load, wanted), **options).key)

    one = key(models.where, "a", "a")
    assert one == key(models.where, "a", "a", retries=2)
    assert one == wd.map(c, models.where, ["a"], warm=partial(load, "a"))[0].key
    assert one.startswith("where-")
    others = {
        key(models.where, "b", "a"),
        key(models.where, "a", "b"),
        key(models.evict, "a", "a"),
        key(models.where, "a", "a", pure=False),
        key(models.where, "a", "a", key="mine"),
    }
    assert 5 == len(others - {one})
    assert "mine" in others


@one_worker
async def test_map_marks_each_task_with_its_own(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)
    futures = wd.map(c, models.where, [*"aba"], range(9), warm=models.marks([*"aba"]), key="k")
    assert [a.address] * 3 == await c.gather(futures)
    assert ["dask_models.load('a')", "dask_models.load('b')", "dask_models.load('a')"] == [
        s.tasks[future.key].annotations["warm"] for future in futures
    ]
    assert all(future.key.startswith("k-") for future in futures)
    assert [] == wd.map(c, models.where, [], warm=[])
    with pytest.raises(ValueError, match="2 elements for 3 calls"):
        wd.map(c, models.where, [*"abc"], warm=models.marks([*"ab"]))
    with pytest.raises(ValueError, match="1 keys for 3 tasks"):
        wd.map(c, models.where, [*"abc"], warm=partial(load, "a"), key=["k"])


@one_worker
async def test_a_mark_that_is_none_is_refused_at_once(c: Any, s: Any, a: Any) -> None:
    with pytest.raises(TypeError, match=r"functools.partial\(load, 'a'\)"):
        wd.submit(c, models.where, "a", warm="a")
    with pytest.raises(TypeError, match="functools.partial"):
        wd.submit(c, models.where, "a", warm=partial(len, "a"))
    with pytest.raises(TypeError, match="missing"):
        wd.submit(c, models.where, "a", warm=load)
    with pytest.raises(TypeError, match="only if both are"):
        wd.submit(c, models.where, "a", warm=partial(fetch, "a"))
    with pytest.raises(TypeError, match="only if both are"):
        wd.submit(c, models.fetched, "a", warm=partial(load, "a"))


def test_equal_calls_have_one_name() -> None:
    names = {Wanted.of(call).name for call in (partial(load, "a"), partial(load, name="a"))}
    assert {"dask_models.load('a')"} == names


def test_unpickling_a_task_loads_nothing() -> None:
    wanted = pickle.loads(pickle.dumps(Wanted.of(partial(load, "a"))))
    assert not wanted.is_warm()
    assert [] == models.loads


def test_a_body_works_where_there_is_no_worker() -> None:
    from warmcache._engines.dask_worker import under_lease

    with pytest.raises(ValueError, match="No worker"):
        under_lease("key", Wanted.of(partial(load, "a")), models.where, "a")
    assert ["a"] == models.loads
    assert not isinstance(load("a"), warmcache.Cache)


@one_worker
async def test_an_asynchronous_client_is_asked_to_await_the_installation(
    c: Any, s: Any, a: Any
) -> None:
    with pytest.warns(UserWarning, match=r"await warmcache.dask.install\(client\)") as said:
        assert a.address == await wd.submit(c, models.where, "a", warm=partial(load, "a"))
    assert [__file__] == [each.filename for each in said]
    await until(lambda: "warmcache" in s.plugins)
    assert a.address == await wd.submit(c, models.where, "b", warm=partial(load, "b"))
