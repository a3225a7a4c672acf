"""``load.many([...])``: each distinct call once, results in order."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from encoders import AsyncEncoder, Encoder, Unkeyable, values_of

from warmcache import KeyingError, WarmMissError, disabled, no_load, warm


class Calls(list[Any]):
    """The calls of a loader that gives what it was called with."""

    def loader(self, **options: Any) -> Any:
        @warm(**options)
        def load(*args: Any, **kwargs: Any) -> Any:
            self.append(args)
            return [*args, kwargs]

        return load


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_each_distinct_call_is_made_once_and_results_are_in_order(calls: Calls) -> None:
    load = calls.loader()
    load("c")
    assert [["a", {}], ["b", {}], ["a", {}], ["c", {}], [{"x": 1}]] == load.many(
        [("a",), ("b",), ("a",), ("c",), {"x": 1}]
    )
    assert [("c",), ("a",), ("b",), ()] == calls
    assert [] == load.many([]) == load.many(iter([]))


def test_what_the_cache_has_no_room_for_is_given_all_the_same(calls: Calls) -> None:
    load = calls.loader(maxsize=1)
    assert ["a", "b", "a"] == [value[0] for value in load.many([("a",), ("b",), ("a",)])]
    assert [("a",), ("b",)] == calls


@pytest.mark.parametrize("wrong", ["ab", b"ab", {"a": 1}, 5, ["a"], [("a",), 5], [["a"]]])
def test_what_is_no_call_is_refused_with_what_to_write_and_nothing_is_loaded(
    wrong: Any, calls: Calls
) -> None:
    load = calls.loader()
    with pytest.raises(TypeError, match=r"many\(\) takes .*got .*; write load\.many\(\[\('a',\)"):
        load.many(wrong)
    assert [] == calls


def test_a_call_that_does_not_fit_is_refused_before_any_is_made() -> None:
    calls = []
    load: Any = warm(lambda name: calls.append(name))
    with pytest.raises(TypeError, match="missing|argument"):
        load.many([("a",), ("a", "b")])
    with pytest.raises(KeyingError):
        load.many([("a",), (Unkeyable(),)])
    assert [] == calls


def test_of_an_async_loader_it_is_awaited() -> None:
    calls = []

    @warm(maxsize=1)
    async def load(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0)
        return name.upper()

    async def main() -> None:
        wanted = [("a",), ("b",), ("a",)]
        both = await asyncio.gather(load.many(wanted), load.many(wanted))
        assert 2 * [["A", "B", "A"]] == both
        assert ["A"] == await load.many([{"name": "a"}])

    asyncio.run(main())
    assert ["a", "b"] == calls[:2]


def test_of_a_method_it_is_of_its_instance() -> None:
    class Model:
        @warm
        def load(self, name: str) -> tuple[int, str]:
            return id(self), name

    one, other = Model(), Model()
    assert [(id(one), "a"), (id(one), "a")] == one.load.many([("a",), ("a",)])
    assert [(id(other), "a")] == other.load.many([("a",)])


def test_of_a_class_it_gives_instances() -> None:
    @warm
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

    many: Any = Model.many  # type: ignore[attr-defined]
    first, second, third = many([("a",), ("b",), ("a",)])
    assert first is third is Model("a") and "b" == second.name


def test_it_is_there_when_nobody_has_the_function_any_more() -> None:
    many = warm(lambda name: [name]).many
    assert [["a"], ["a"]] == many([("a",), ("a",)])


def test_hits_are_hits(calls: Calls) -> None:
    load = calls.loader()
    load.many([("a",), ("b",)])
    load.many([("b",), ("a",)])
    assert (2, 2) == (load.cache_info().hits, load.cache_info().misses)


def test_disabled_makes_every_call(calls: Calls) -> None:
    load = calls.loader()
    with disabled():
        load.many([("a",), ("a",)])
    assert [("a",), ("a",)] == calls


def test_no_load_forbids_what_is_missing(calls: Calls) -> None:
    load = calls.loader()
    load("a")
    with no_load():
        assert [["a", {}]] == load.many([("a",)])
        with pytest.raises(WarmMissError):
            load.many([("a",), ("b",)])


def test_where_nothing_is_kept_equal_calls_are_one_and_keys_are_not_needed(calls: Calls) -> None:
    load = calls.loader(maxsize=0)
    unsayable = Unkeyable()
    assert 3 == len(load.many([("a",), ("a",), (unsayable,)]))
    assert [("a",), (unsayable,)] == calls


@pytest.mark.parametrize("kind", [Encoder, AsyncEncoder])
def test_with_batch_a_call_is_one_of_an_element_and_one_load_is_made(kind: type[Encoder]) -> None:
    encoder = kind()

    def many(calls: Any) -> Any:
        answer = encoder.load.many(calls)
        return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer

    assert values_of("aba") == many([("a",), {"texts": "b"}, ("a", "m")])
    assert [["a", "b"]] == encoder.calls
    mixed = many([("c",), ("d", "n"), ("e",), {"texts": "f", "model": "n"}, ("a",)])
    assert values_of("c") + values_of("d", "n") + values_of("e") + values_of("f", "n") == mixed[:4]
    assert [["c", "e"], ["d", "f"]] == encoder.calls[1:]


def test_with_batch_the_work_grows_as_the_number_of_other_arguments_does() -> None:
    @warm(batch="names", maxsize=None)
    def load(names: list[str], size: int) -> list[Any]:
        return [(name, size) for name in names]

    def work(number: int) -> int:
        calls, steps = [("a", size) for size in range(number)], 0

        def count(*event: object) -> None:
            nonlocal steps
            steps += 1

        load.cache_clear()
        sys.setprofile(count)
        try:
            found = load.many(calls)
        finally:
            sys.setprofile(None)
        assert calls == found
        return steps

    work(1)
    assert work(400) < 10 * work(50)


def test_with_batch_calls_of_other_arguments_are_told_apart_whatever_these_are() -> None:
    calls = []

    class Session:
        __eq__ = None  # type: ignore[assignment]
        __hash__ = None  # type: ignore[assignment]

    @warm(batch="names", key={"session": None})
    def load(session: Any, names: list[str]) -> list[Any]:
        calls.append((session, names))
        return names

    one, other = Session(), Session()
    load.many([(one, "a"), (other, "b"), (one, "c")])
    assert 2 == len(calls) and (one, ["a", "c"]) == calls[0]


def test_calls_of_several_owners_are_of_each() -> None:
    class Run:
        pass

    loads: list[tuple[Any, str]] = []

    @warm(per="run")
    def load(run: Any, name: str) -> object:
        loads.append((run, name))
        return object()

    one, two = Run(), Run()
    a, b, c = load.many([(one, "a"), (two, "a"), (one, "a")])
    assert a is c is load(one, "a") and b is load(two, "a") and a is not b
    assert [(one, "a"), (two, "a")] == loads


def test_several_elements_of_an_owner_are_for_methods() -> None:
    text = r"batch= does not go with per=: make the loader a method .* or leave per= out"
    with pytest.raises(TypeError, match=text):
        warm(batch="names", per="run")(lambda run, names: names)

    class Scene:
        @warm(batch="names")
        def render(self, names: list[str]) -> list[object]:
            return [object() for _ in names]

    one, two = Scene(), Scene()
    [a, b], [other] = one.render(["a", "b"]), two.render(["a"])
    assert a is not other and [a, b] == one.render(["a", "b"])
