"""With ``per="ctx"`` what a loader loads belongs to an argument, which is no part of the key."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gates import CAP, Gate
from owned import Loads, Owner, janitor_done

import warmcache
from warmcache import (
    ClosedError,
    Context,
    LRUCache,
    Removal,
    RemovalCause,
    WarmClass,
    disabled,
    warm,
)
from warmcache._loaders import call_site
from warmcache._loaders.owners import owner_of
from warmcache.testing import assert_consistent


class Model:
    """Something that can be watched."""


def test_each_owner_has_its_own_values_by_identity() -> None:
    @dataclass
    class Equal:
        number: int = 1

    loads = Loads()
    here, there = Equal(), Equal()
    value = loads.load(here, "a")
    assert value is loads.load(here, "a")
    assert value is loads.load(owner=here, name="a")
    assert value is not loads.load(there, "a")
    assert 2 == loads.loads


def test_hits_and_misses_are_of_all_owners_together() -> None:
    loads = Loads()
    here, there = Owner(), Owner()
    for owner in (here, there, here, here):
        loads.load(owner, "a")
    assert (2, 2, 128, 2) == loads.load.cache_info()


SHAPES = {
    "first": lambda: lambda ctx, a, b=2: [a, b],
    "last": lambda: lambda a, b, ctx: [a, b],
    "positional only": lambda: lambda a, ctx, /, b=2: [a, b],
    "keyword only": lambda: lambda a, b=2, *, ctx: [a, b],
    "before *args": lambda: lambda ctx, *args: list(args),
    "beside **kwargs": lambda: lambda ctx, a, **kwargs: [a, *kwargs.values()],
}
CALLS: dict[str, Any] = {
    "first": lambda load, ctx: (load(ctx, 1), load(ctx, 1, b=2), load(ctx=ctx, a=1)),
    "last": lambda load, ctx: (load(1, 2, ctx), load(1, ctx=ctx, b=2), load(ctx=ctx, a=1, b=2)),
    "positional only": lambda load, ctx: (load(1, ctx), load(1, ctx, 2), load(1, ctx, b=2)),
    "keyword only": lambda load, ctx: (load(1, ctx=ctx), load(1, 2, ctx=ctx), load(a=1, ctx=ctx)),
    "before *args": lambda load, ctx: (load(ctx, 1, 2), load(ctx, 1, 2), load(ctx, 1, 2)),
    "beside **kwargs": lambda load, ctx: (load(ctx, 1, b=2), load(a=1, b=2, ctx=ctx)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_owner_may_be_any_argument(shape: str) -> None:
    load = warm(per="ctx")(SHAPES[shape]())
    here, there = Owner(), Owner()
    first, *others = CALLS[shape](load, here)
    assert [1, 2] == first
    assert all(each is first for each in others)
    assert CALLS[shape](load, there)[0] is not first


def test_the_owner_is_no_part_of_what_key_is_called_with() -> None:
    seen: list[tuple[Any, ...]] = []

    def key(a: int, b: int) -> int:
        seen.append((a, b))
        return a

    @warm(per="ctx", key=key)
    def load(a: int, ctx: Owner, b: int) -> list[int]:
        return [a, b]

    owner = Owner()
    assert load(1, owner, 2) is load(1, owner, 3)
    assert {(1, 2), (1, 3)} == {*seen}


def test_what_else_makes_a_key_does_so_for_each_owner() -> None:
    @warm(per="ctx", key={"name": str.lower, "log": None}, typed=True, version=3)
    def load(ctx: Owner, name: str, log: object = None) -> list[str]:
        return [name]

    here, there = Owner(), Owner()
    assert load(here, "A") is load(here, "a", log=print)
    assert load(here, "A") is not load(there, "A")


def test_all_that_a_loader_offers_takes_the_owner_where_its_calls_do() -> None:
    loads = Loads()
    load, here, there = loads.load, Owner(), Owner()
    assert None is load.peek(here, "a")
    with load.lease(here, "a") as value:
        assert ["a"] == value
        assert load.contains(here, "a")
        assert not load.contains(there, "a")
        assert value is load.peek(owner=here, name="a")
    with load.lease(here, "a") as again:
        assert value is again
    assert load.cache_key(here, "a") in load.cache
    assert "of_argument(<Owner>, 'a')" == str(load.cache_key(here, "a"))
    assert [] == load.evict(there, "a")
    assert ["a"] == [removal.key[-1] for removal in load.evict(here, "a")]
    load.warm_up([(here, "a"), {"owner": there, "name": "b"}])
    assert load.contains(there, "b")
    assert [RemovalCause.EXPLICIT] == loads.causes
    load.cache_clear()
    assert 0 == len(load.cache)


def test_a_lease_taken_in_async_code_is_of_the_owner() -> None:
    loads = Loads()
    owner = Owner()

    async def main() -> None:
        async with loads.load.alease(owner, "a") as value, loads.load.alease(owner, "a") as again:
            assert value is again is loads.load(owner, "a")

    asyncio.run(main())
    assert 1 == loads.loads


def test_an_async_loader_has_owners_too() -> None:
    @warm(per="ctx")
    async def load(ctx: Owner, name: str) -> list[str]:
        await asyncio.sleep(0)
        return [name]

    async def main() -> None:
        here, there = Owner(), Owner()
        first = await load(here, "a")
        assert first is await load(here, "a")
        assert first is not await load(there, "a")
        async with load.lease(here, "a") as leased:
            assert first is leased
        assert 1 == len(await load.evict(here, "a"))
        assert load.contains(there, "a")
        assert 1 == len(await load.evict_all())

    asyncio.run(main())


def test_a_generator_and_a_class_have_owners_too() -> None:
    ended: list[str] = []

    @warm(per="ctx", maxsize=9)
    def load(ctx: Context, name: str) -> Any:
        yield [name]
        ended.append(name)

    @warm(per="ctx")
    class Session(WarmClass):
        def __init__(self, ctx: Context, name: str) -> None:
            self.name = name

    with Context() as owner:
        assert load(owner, "a") is load(owner, "a")
        session = Session(owner, "a")
        assert session is Session(ctx=owner, name="a")
        assert Session.contains(owner, "a")
        load(owner, "b")
    assert ["b", "a"] == ended
    assert 0 == len(Session.cache)


def test_a_static_method_has_owners_and_a_method_has_one() -> None:
    class Sky:
        @warm(per="ctx")
        @staticmethod
        def static(name: str, ctx: Owner) -> list[str]:
            return [name]

        @staticmethod
        @warm(per="ctx")
        def below(ctx: Owner, name: str) -> list[str]:
            return [name]

        @warm(per="self")
        def method(self, name: str) -> list[str]:
            return [name]

    here, there, sky = Owner(), Owner(), Sky()
    assert Sky.static("a", here) is sky.static("a", here)
    assert Sky.static("a", here) is not Sky.static("a", there)
    assert sky.below(here, "a") is sky.below(here, "a")
    assert sky.below(here, "a") is not sky.below(there, "a")
    assert sky.method("a") is sky.method("a")
    assert sky.method("a") is not Sky().method("a")


def test_a_method_belongs_to_its_instance_alone() -> None:
    def method(self: Any, ctx: Owner) -> None: ...

    method.__qualname__ = "Sky.method"
    for per in ("ctx", threading.current_thread):
        with pytest.raises(TypeError, match="is a method: what it loads belongs to self"):
            warm(per=per)(method)  # type: ignore[call-overload]


@pytest.mark.parametrize("per", ["nobody", "args", "kwargs"])
def test_the_owner_is_an_argument_that_there_is(per: str) -> None:
    def load(ctx: Owner, *args: int, **kwargs: int) -> None: ...

    must_be = r"per must be the name of one argument of load\(\), got .*; it has: ctx, args, kwargs"
    with pytest.raises(ValueError, match=must_be):
        warm(per=per)(load)


class Slotted:
    """What cannot be referenced weakly."""

    __slots__ = ()


NOT_WEAKLY = {"None": None, "number": 5, "text": "ctx", "tuple": (), "slotted": Slotted()}


@pytest.mark.parametrize("owner", NOT_WEAKLY.values(), ids=NOT_WEAKLY)
@pytest.mark.parametrize("ask", ["__call__", "lease", "contains", "evict", "cache_key"])
def test_what_cannot_be_referenced_weakly_is_refused_and_nothing_is_loaded(
    ask: str, owner: Any
) -> None:
    loads = Loads()
    with pytest.raises(TypeError, match=r"of_argument\(\) loads is to belong to .* weakly"):
        getattr(loads.load, ask)(owner, "a")
    assert 0 == loads.loads


def test_two_threads_that_first_load_for_an_owner_at_once_have_one_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads, owner, gate, found = Loads(), Owner(), Gate(), list[Any]()

    def held_up(thing: Any) -> Any:
        monkeypatch.undo()
        first = owner_of(thing)
        gate.wait()
        return first

    monkeypatch.setattr(call_site, "owner_of", held_up)
    thread = threading.Thread(target=lambda it: found.append(loads.load(it, "a")), args=(owner,))
    thread.start()
    gate.until_reached()
    value = loads.load(owner, "a")
    gate.open()
    thread.join(CAP)
    assert value is found[0] is loads.load(owner, "a")
    assert 1 == loads.loads
    del owner
    janitor_done()
    assert ["a"] == loads.names


# -- the end of an owner ---------------------------------------------------------------


def test_what_belongs_to_a_dead_owner_goes_the_last_loaded_first_wherever_it_lies() -> None:
    order: list[str] = []
    causes: list[RemovalCause] = []

    def note(removal: Removal) -> None:
        causes.append(removal.cause)

    def noted(value: list[str]) -> None:
        order.append(value[0])

    shared: LRUCache[Any, Any] = LRUCache(99)
    one = Loads(cache=shared, teardown=noted)
    two = Loads(teardown=noted)
    three = Loads(policy="lfu", maxsize=9, teardown=noted)

    class Sky:
        @warm(teardown=noted, on_removal=note)
        def beam(self, name: str) -> list[str]:
            return [name]

    dying, staying = Sky(), Sky()
    for number, loads in enumerate([one, two, three, two, one, three]):
        loads.load(dying, str(number))
        loads.load(staying, "other")
    dying.beam("6"), staying.beam("other"), one.load(dying, "7")
    del dying
    janitor_done()
    assert [*"76543210"] == order
    assert {RemovalCause.CLOSED} == {*causes, *two.causes, *three.causes}
    assert {"closed": 3} == shared.stats().removals
    assert staying.beam.contains("other")
    assert all(each.load.contains(staying, "other") for each in (one, two, three))


def test_what_is_leased_goes_with_its_last_lease() -> None:
    loads = Loads()
    owner: Owner | None = Owner()
    loads.load(owner, "idle")
    with loads.load.lease(owner, "leased") as value:
        del owner
        janitor_done()
        assert ["idle"] == loads.names
        assert ["leased"] == value
    assert ["idle", "leased"] == loads.names
    assert [RemovalCause.CLOSED] * 2 == loads.causes


def test_an_owner_in_a_cycle_is_let_go_of_too() -> None:
    loads = Loads()
    owner = Owner()
    owner.me = owner  # type: ignore[attr-defined]
    loads.load(owner, "a")
    del owner
    gc.collect()
    janitor_done()
    assert ["a"] == loads.names


def test_an_owner_in_the_place_of_a_dead_one_inherits_nothing() -> None:
    @warm(per="ctx", maxsize=None)
    def load(ctx: Owner) -> Model:
        return Model()

    seen: dict[int, weakref.ref[Model]] = {}
    reused = 0
    for _ in range(200):
        owner = Owner()
        reused += id(owner) in seen
        model = load(owner)
        assert id(owner) not in seen or seen[id(owner)]() is not model
        seen[id(owner)] = weakref.ref(model)
        del owner, model
    assert reused, "the test saw no place used again"


def test_what_is_loaded_while_its_owner_dies_goes_as_well() -> None:
    """A thread loads for it by a weak reference, and is the last to hold it."""
    loads = Loads()
    gate = Gate()
    owners = [Owner()]

    @warm(per="ctx", teardown=loads.torn_down.append)
    def load(ctx: Owner) -> list[str]:
        gate.wait()
        return ["a"]

    thread = threading.Thread(target=lambda: load(owners.pop()))
    thread.start()
    gate.until_reached()
    gate.open()
    thread.join(CAP)
    janitor_done()
    assert ["a"] == loads.names


def test_a_loader_that_is_gone_leaves_nothing_of_a_dead_owner_in_a_shared_cache() -> None:
    shared: LRUCache[Any, Any] = LRUCache(9)
    loads = Loads(cache=shared)
    torn_down, owner = loads.torn_down, Owner()
    loads.load(owner, "a")
    gone = weakref.ref(loads.load)
    del loads
    gc.collect()
    assert None is gone()
    assert 1 == len(shared)
    del owner
    janitor_done()
    assert [["a"]] == torn_down
    assert 0 == len(shared)


def test_a_living_owner_does_not_keep_a_loader() -> None:
    owner = Owner()
    loads = Loads(on_removal=None)
    torn_down = loads.torn_down
    loads.load(owner, "a")
    gone = weakref.ref(loads.load)
    del loads
    gc.collect()
    janitor_done()
    assert None is gone()
    assert [["a"]] == torn_down, "its cache went with it"


def test_an_owner_knows_nothing_of_loaders_that_are_gone() -> None:
    owner = Owner()
    for _ in range(3):
        loads = Loads(on_removal=None, teardown=None)
        loads.load(owner, "a")
        del loads
        gc.collect()
    assert [] == owner_of(owner)._sites


def test_a_loader_does_not_keep_an_owner_that_its_values_do_not_refer_to() -> None:
    loads = Loads(teardown=None)
    owner = Owner()
    loads.load(owner, "a")
    with loads.load.lease(owner, "b"):
        gone = weakref.ref(owner)
        del owner
        assert None is gone()


def test_a_failing_teardown_stops_no_other() -> None:
    torn_down: list[str] = []

    def fail(value: list[str]) -> None:
        torn_down.append(value[0])
        raise RuntimeError("no")

    loads = Loads(teardown=fail)
    owner: Owner | None = Owner()
    loads.load(owner, "a"), loads.load(owner, "b")
    del owner
    janitor_done()
    assert ["b", "a"] == torn_down
    assert 2 == loads.load.cache.stats().teardown_failures
    assert_consistent(loads.load.cache)


# -- elsewhere -------------------------------------------------------------------------


def test_inside_disabled_it_is_loaded_for_the_caller_alone() -> None:
    loads = Loads()
    owner = Owner()
    with disabled():
        assert loads.load(owner, "a") is not loads.load(owner, "a")
        with loads.load.lease(owner, "a"):
            pass
    assert 0 == len(loads.load.cache)
    assert 3 == loads.loads


def test_where_nothing_is_kept_the_owner_has_nothing() -> None:
    loads = Loads(maxsize=0)
    owner = Owner()
    assert loads.load(owner, "a") is not loads.load(owner, "a")


def test_a_copy_of_an_owner_is_another() -> None:
    loads = Loads()
    owner = Owner()
    assert loads.load(owner, "a") is not loads.load(copy.copy(owner), "a")


def test_a_removal_that_is_kept_keeps_neither_owner_nor_values() -> None:
    loads = Loads(teardown=None)
    owner: Owner | None = Owner()
    loads.load(owner, "a")

    [kept] = loads.load.evict(owner, "a")
    gone = weakref.ref(owner)
    del owner
    assert None is gone()
    assert "of_argument(<dead instance>, 'a')" == kept.call


def test_a_hit_for_an_owner_is_generated_as_a_methods_is() -> None:
    """It looks the owner up by its id, and asks nobody."""
    loads = Loads()
    owner = Owner()
    loads.load(owner, "a")
    source = loads.load.__globals__["__loader__"].get_source("")
    assert "_warm_sites[_warm_id(owner)].table[name]" in source
    assert 0 == loads.load.cache.stats().hits
    loads.load(owner, "a")
    assert 1 == loads.load.cache.stats().hits


def test_a_closed_cache_is_closed_for_owners() -> None:
    loads = Loads()
    owner = Owner()
    loads.load(owner, "a")
    loads.load.cache.close()
    with pytest.raises(ClosedError, match="was closed by close"):
        loads.load(owner, "a")


def test_owners_are_among_the_options_that_type_checkers_and_completion_see() -> None:
    assert "per" in warmcache.warm.__signature__.parameters  # type: ignore[attr-defined]


@pytest.mark.parametrize("argument", ["a", 1, (1, 2), [1, 2], {1: 2}, Path("a"), frozenset("a")])
@pytest.mark.parametrize("version", [None, 2])
def test_what_belongs_to_an_owner_goes_whatever_its_key_is_made_of(
    argument: Any, version: Any
) -> None:
    loads, owner = Loads(version=version), Owner()
    value = loads.load(owner, argument)
    del owner
    janitor_done()
    assert [value] == loads.torn_down


def test_a_teardown_that_exits_stops_no_later_ones(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[Any] = []

    def end(value: list[str]) -> None:
        ended.append(value[0])
        if value == ["exits"]:
            raise SystemExit

    loads = Loads(teardown=end)
    for name in ("exits", "goes"):
        owner = Owner()
        loads.load(owner, name)
        del owner
        janitor_done()
    assert ["exits", "goes"] == ended
