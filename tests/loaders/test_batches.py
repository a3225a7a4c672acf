"""Loaders with ``batch=``: each element is an entry, and what is missing is loaded together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from encoders import AsyncEncoder, Encoder, Unkeyable, values_of

import warmcache
from warmcache import (
    Cache,
    CapacityError,
    ClosedError,
    KeyingError,
    Load,
    LRUCache,
    MemoryCache,
    WarmMissError,
    disabled,
    no_load,
    warm,
)
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

OF_BOTH = pytest.mark.parametrize("kind", [Encoder, AsyncEncoder])


# -- what is loaded, and in which order --------------------------------------------------------


@OF_BOTH
@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        (["a"], ["a"]),
        (["ab"], ["ab"]),
        (["aba"], ["ab"]),
        (["ab", "ab"], ["ab"]),
        (["ab", "ba"], ["ab"]),
        (["ba", "bcabdc"], ["ba", "cd"]),
        (["", "a", ""], ["a"]),
        (["aaaa", "baab"], ["a", "b"]),
        (["abcdefghij"], ["abcdefghij"]),  # more than there is room for
        (["abcdefghij", "aj"], ["abcdefghij", "a"]),
    ],
)
def test_what_is_missing_is_loaded_together_and_each_once(
    kind: type[Encoder], asked: list[str], calls: list[str]
) -> None:
    encoder = kind()
    for texts in asked:
        assert values_of(texts) == encoder([*texts])
    assert [[*call] for call in calls] == encoder.calls
    assert_consistent(encoder.load.cache)


@pytest.mark.parametrize("given", [("a", "b"), iter("ab"), dict.fromkeys("ab").keys(), range(2)])
def test_a_batch_is_whatever_can_be_iterated_over_and_is_taken_once(given: Any) -> None:
    encoder = Encoder()
    assert 2 == len(encoder(given)) == len(encoder.calls[0])


@OF_BOTH
@pytest.mark.parametrize("given", ["ab", b"ab", {"a": 1}, 5, None])
def test_what_is_no_batch_is_refused_by_the_arguments_name(kind: type[Encoder], given: Any) -> None:
    encoder = kind()
    with pytest.raises(TypeError, match=r"takes several texts, got .*; for this one, write enc"):
        encoder(given)
    assert [] == encoder.calls


@OF_BOTH
def test_other_arguments_are_part_of_each_key(kind: type[Encoder]) -> None:
    encoder = kind()
    assert values_of("ab", "n") == encoder(["a", "b"], "n")
    assert values_of("ab") == encoder(["a", "b"], model="m")
    assert values_of("ab", "n") == encoder(texts=["a", "b"], model="n")
    assert 2 == len(encoder.calls)


def test_a_batch_of_tuples_is_not_taken_for_one_of_them() -> None:
    encoder = Encoder()
    encoder([("a", "b")])
    assert values_of("ab") == encoder(("a", "b"))
    assert [[("a", "b")], ["a", "b"]] == encoder.calls

    @warm(batch="texts")
    def encode(texts: list[Any]) -> list[Any]:
        return [[text] for text in texts]

    class Model:
        @warm(batch="texts")
        def encode(self, texts: list[Any]) -> list[Any]:
            return [[text] for text in texts]

    for load in (encode, Model().encode):
        assert [[("a", "b")]] == load([("a", "b")]) == load([("a", "b")])
        assert [["a"], ["b"]] == load(("a", "b"))


def test_elements_that_are_not_hashable_have_their_own_places() -> None:
    encoder = Encoder()
    texts: list[Any] = [["a"], {"b": 1}, ["a"]]
    assert values_of(texts) == encoder(texts) == encoder(texts)
    assert [[["a"], {"b": 1}]] == encoder.calls


def test_a_batch_by_keyword_alone() -> None:
    calls = []

    @warm(batch="names")
    def load(*paths: str, names: list[str], **options: int) -> list[Any]:
        calls.append(names)
        return [(paths, name, options) for name in names]

    expected = [(("p",), "a", {"x": 1}), (("p",), "b", {"x": 1})]
    assert expected == load("p", names=["a", "b"], x=1) == load("p", x=1, names=("a", "b"))
    assert [["a", "b"]] == calls
    assert load.contains("p", names="a", x=1)


def test_a_default_of_the_batch_is_taken_too() -> None:
    load = warm(batch="names")(lambda names=("a", "b"): [*names])
    assert ["a", "b"] == load() and load.contains("a")


def test_a_result_may_be_any_sequence_and_is_given_as_a_list() -> None:
    load = warm(batch="texts")(lambda texts: tuple(texts))
    assert ["a", "b"] == load(["a", "b"])
    assert type(load(["a", "b"])) is list
    first = load(["a"])
    first.append("c")
    assert ["a"] == load(["a"])


def test_a_method_has_elements_of_each_instance() -> None:
    calls = []

    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

        @warm(batch="texts", key={"texts": str.lower})
        def encode(self, texts: list[str], *, scale: int = 1) -> list[Any]:
            calls.append((self.name, texts))
            return [(self.name, text, scale) for text in texts]

        @staticmethod
        @warm(batch="texts")
        def split(texts: list[str]) -> list[Any]:
            return [text.split() for text in texts]

        @warm(batch="texts")
        @classmethod
        def of_class(cls, texts: list[str]) -> list[Any]:
            return [(cls.__name__, text) for text in texts]

    one, other = Model("one"), Model("other")
    assert [("one", "a", 1), ("one", "b", 1), ("one", "a", 1)] == one.encode(["a", "b", "A"])
    assert [("other", "b", 1)] == other.encode(["b"])
    assert [("one", "b", 1)] == one.encode(("B",)) == Model.encode(one, ["b"])
    assert [("one", ["a", "b"]), ("other", ["b"])] == calls
    assert one.encode.contains("a") and not other.encode.contains("a")
    assert [("one", "c", 2)] == one.encode.many([{"texts": "c", "scale": 2}])
    assert [["a", "b"]] == Model.split(["a b"]) == one.split(["a b"])  # type: ignore[comparison-overlap]
    assert [("Model", "a")] == Model.of_class(["a"]) == one.of_class(["a"])


def test_an_async_method() -> None:
    class Model:
        @warm(batch="texts")
        async def encode(self, texts: list[str]) -> list[str]:
            return [text.upper() for text in texts]

    async def main() -> None:
        model = Model()
        assert ["A", "B", "A"] == await model.encode(["a", "b", "a"])
        assert ["B"] == await model.encode.many([("b",)])
        assert 2 == model.encode.cache_info().misses

    asyncio.run(main())


# -- what makes the key ------------------------------------------------------------------------


def test_key_is_asked_of_each_element() -> None:
    encoder = Encoder(key={"texts": str.lower, "model": None})
    assert values_of("AbB") == encoder(["A", "b", "B"])[:2] + values_of("B")
    assert [["A", "b"]] == encoder.calls
    assert values_of("A") == encoder(["a"], "n")


def test_key_may_make_the_key_of_a_whole_call_of_one() -> None:
    encoder = Encoder(key=lambda texts, model: texts.lower())
    encoder(["A", "b"])
    encoder(["a", "B"], "n")
    assert [["A", "b"]] == encoder.calls


def test_typed_and_version_are_as_they_are() -> None:
    encoder = Encoder(typed=True, version=2)
    assert values_of([1, True, 1.0]) == encoder([1, True, 1.0])
    assert [[1, True, 1.0]] == encoder.calls and 2 in encoder.load.cache_key(1)


def test_what_cannot_be_a_key_is_refused_before_anything_is_loaded() -> None:
    encoder = Encoder()
    with pytest.raises(KeyingError):
        encoder(["a", Unkeyable()])
    assert [] == encoder.calls


# -- what a loader can do besides --------------------------------------------------------------


def test_all_else_takes_one_element() -> None:
    encoder = Encoder()
    load = encoder.load
    load(["a", "b"])
    assert (["a", "m"], None) == (load.peek("a"), load.peek("c"))
    assert load.contains("b") and not load.contains("c") and load.contains("b", model="m")
    assert 1 == len(load.evict("a")) and not load.contains("a")
    with load.lease("a") as value, load.lease("b") as other:
        assert (["a", "m"], ["b", "m"]) == (value, other)
    assert [["a", "b"], ["a"]] == encoder.calls
    load.warm_up(["c", ("d", "n")])
    assert [["c"], ["d"]] == encoder.calls[2:]
    assert "encode('d', 'n')" == repr(load.cache_key("d", "n"))
    load.cache_clear()
    assert 0 == len(load.cache)


def test_all_else_of_an_async_loader_takes_one_element() -> None:
    encoder = AsyncEncoder()

    async def main() -> None:
        load = encoder.load
        await load(["a", "b"])
        assert ["a", "m"] == load.peek("a")
        assert 1 == len(await load.evict("a"))
        async with load.lease("a") as value:
            assert ["a", "m"] == value
        await load.warm_up(["c"])
        assert [["a", "b"], ["a"], ["c"]] == encoder.calls
        await load.cache_clear()

    asyncio.run(main())


def test_a_lease_in_a_thread_for_async_code_is_of_one_element() -> None:
    encoder = Encoder()

    async def main() -> None:
        async with encoder.load.alease("a") as value:
            assert ["a", "m"] == value

    asyncio.run(main())


@OF_BOTH
def test_a_call_of_one_element_finds_what_a_batch_loaded_and_the_other_way(
    kind: type[Encoder],
) -> None:
    encoder = kind()
    encoder(["a", "b"])

    async def of_async() -> None:
        async with encoder.load.lease("b"), encoder.load.lease("c"):
            pass

    if kind is AsyncEncoder:
        asyncio.run(of_async())
    else:
        with encoder.load.lease("b"), encoder.load.lease("c"):
            pass
    assert values_of("cba") == encoder(["c", "b", "a"])
    assert [["a", "b"], ["c"]] == encoder.calls


# -- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "said"),
    [
        ([1], ValueError, "list of 2 for texts=.* it returned 1, of which none is kept"),
        ([1, 2, 3], ValueError, "it returned 3"),
        ([], ValueError, "it returned 0"),
        ("ab", TypeError, "a list with a value for each.* it returned 'ab'"),
        (b"ab", TypeError, "it returned b'ab'"),
        (None, TypeError, "it returned None"),
        ({"a": 1, "b": 2}, TypeError, "it returned {'a': 1"),
        ({1, 2}, TypeError, "it returned {1, 2}"),
        (iter([1, 2]), TypeError, "it returned <list_iterator"),
    ],
)
@OF_BOTH
def test_a_result_that_does_not_fit_is_an_error_and_nothing_is_stored(
    kind: type[Encoder], result: Any, error: type[Exception], said: str
) -> None:
    async def encode_async(texts: Any) -> Any:
        return result

    def encode(texts: Any) -> Any:
        return result

    load: Any = warm(batch="texts")(encode if kind is Encoder else encode_async)
    with pytest.raises(error, match=rf"^encode(_async)?\(\) was given a .*{said}"):
        asyncio.run(load(["a", "b"])) if kind is AsyncEncoder else load(["a", "b"])
    assert 0 == len(load.cache)
    assert (2, 2) == (load.cache.stats().misses, load.cache.stats().load_failures)
    assert_consistent(load.cache)


def test_a_call_of_one_element_is_told_of_a_wrong_result_too() -> None:
    load = warm(batch="texts")(lambda texts: [])
    with pytest.raises(ValueError, match="list of 1 for texts="), load.lease("a"):
        pass


def test_a_coroutine_that_nobody_awaits_is_refused() -> None:
    async def encode(texts: list[str]) -> list[str]:
        return texts

    load: Any = warm(batch="texts")(lambda texts: encode(texts))
    with pytest.raises(TypeError, match="returned a coroutine"):
        load(["a"])


@OF_BOTH
def test_a_loader_that_fails_fails_its_call_and_the_next_one_loads_again(
    kind: type[Encoder],
) -> None:
    def fail(texts: list[str]) -> None:
        if "bad" in texts:
            raise ConnectionError("down")

    encoder = kind(fail)
    encoder(["a"])
    with pytest.raises(ConnectionError, match="down"):
        encoder(["a", "b", "bad"])
    assert values_of("ba") == encoder(["b", "a"])
    assert [["a"], ["b", "bad"], ["b"]] == encoder.calls
    assert 2 == encoder.load.cache.stats().load_failures
    assert_consistent(encoder.load.cache)


@OF_BOTH
def test_a_loader_may_raise_stop_iteration(kind: type[Encoder]) -> None:
    def stop(texts: list[str]) -> None:
        raise StopIteration(5)

    with pytest.raises((StopIteration, RuntimeError)):
        kind(stop)(["a", "b"])


@OF_BOTH
def test_what_is_heavier_than_the_cache_fails_the_call_and_the_rest_is_stored(
    kind: type[Encoder],
) -> None:
    encoder = kind(size=lambda value: len(value[0]), maxsize=3)
    with pytest.raises(CapacityError):
        encoder(["aa", "bbbb", "c"])
    assert encoder.load.contains("aa") and encoder.load.contains("c")
    assert_consistent(encoder.load.cache)


def test_a_closed_cache_loads_nothing() -> None:
    encoder = Encoder()
    encoder.load.cache.close()
    with pytest.raises(ClosedError):
        encoder(["a"])
    assert [] == encoder.calls


# -- what goes with it -------------------------------------------------------------------------


@OF_BOTH
def test_each_element_is_counted_and_told_of_as_any_load(kind: type[Encoder]) -> None:
    clock, told = ManualClock(), list[Load]()
    encoder = kind(lambda texts: clock.advance(6.0), timer=clock, on_load=told.append, tags=["t"])
    encoder(["a", "b", "a"])
    encoder(["b", "c"])
    stats, info = encoder.load.cache.stats(), encoder.load.cache_info()
    assert (1, 3) == (info.hits, info.misses)
    assert (3, 3, 0) == (stats.misses, stats.loads, stats.load_failures)
    assert [("encode", 3.0), ("encode", 3.0), ("encode", 6.0)] == [
        (str(load.key)[:6], load.seconds) for load in told
    ]
    assert 12.0 == stats.load_seconds
    [entry, *_] = encoder.load.cache.entries()
    assert (3.0, {"t"}) == (entry.load_seconds, {*entry.tags})


@OF_BOTH
def test_a_load_that_one_element_asks_for_takes_what_it_takes(kind: type[Encoder]) -> None:
    clock = ManualClock()
    encoder = kind(lambda texts: clock.advance(2.0), timer=clock)
    encoder(["a"])
    assert 2.0 == encoder.load.cache.stats().load_seconds


@OF_BOTH
def test_elements_end_one_by_one(kind: type[Encoder]) -> None:
    clock = ManualClock()
    encoder = kind(ttl=10, timer=clock)
    encoder(["a"])
    clock.advance(6)
    encoder(["a", "b"])
    clock.advance(6)
    assert values_of("ab") == encoder(["a", "b"])
    assert [["a"], ["b"], ["a"]] == encoder.calls


@OF_BOTH
def test_validate_is_asked_of_each_and_what_it_refuses_is_loaded_together(
    kind: type[Encoder],
) -> None:
    bad: set[str] = set()
    encoder = kind(validate=lambda value: value[0] not in bad)
    encoder(["a", "b", "c"])
    bad |= {"a", "c"}
    assert values_of("abc") == encoder(["a", "b", "c"])
    assert [["a", "b", "c"], ["a", "c"]] == encoder.calls
    assert (5, 1) == (encoder.load.cache_info().misses, encoder.load.cache_info().hits)


def test_what_weighs_more_makes_room_for_itself() -> None:
    encoder = Encoder(size=lambda value: len(value[0]), maxsize=4)
    encoder(["aa", "b"])
    encoder(["ccc"])
    assert ["b", "ccc"] == [value[0] for value in encoder.load.cache.values()]
    assert_consistent(encoder.load.cache)


@OF_BOTH
def test_a_cache_that_keeps_nothing_has_each_element_loaded_once_a_call(
    kind: type[Encoder],
) -> None:
    told = list[Load]()
    encoder = kind(maxsize=0, on_load=told.append)
    assert values_of("aba") == encoder(["a", "b", "a"])
    assert values_of("a") == encoder(["a"])
    assert [["a", "b"], ["a"]] == encoder.calls
    assert (3, 3) == (encoder.load.cache.stats().misses, encoder.load.cache.stats().loads)
    assert 3 == len(told)


def test_a_cache_that_keeps_nothing_needs_no_keys() -> None:
    encoder = Encoder(maxsize=0)
    texts = [Unkeyable(), Unkeyable()]
    assert values_of(texts) == encoder(texts)


@OF_BOTH
def test_what_fails_where_nothing_is_kept_is_counted(kind: type[Encoder]) -> None:
    def fail(texts: list[str]) -> None:
        raise ConnectionError("down")

    encoder = kind(fail, maxsize=0)
    with pytest.raises(ConnectionError):
        encoder(["a", "b"])
    assert 2 == encoder.load.cache.stats().load_failures


@OF_BOTH
def test_disabled_calls_the_loader_as_it_was_called(kind: type[Encoder]) -> None:
    encoder = kind()
    encoder(["a"])
    with disabled():
        assert values_of("aba") == encoder(("a", "b", "a"))
    assert [["a"], ["a", "b", "a"]] == encoder.calls
    assert 1 == len(encoder.load.cache)
    assert values_of("a") == encoder(["a"])
    assert 2 == len(encoder.calls)


@OF_BOTH
def test_inside_no_load_what_is_warm_is_there_and_nothing_else(kind: type[Encoder]) -> None:
    encoder = kind()
    encoder(["a", "b"])
    with no_load():
        assert values_of("ba") == encoder(["b", "a"])
        with pytest.raises(WarmMissError, match="'c'"):
            encoder(["a", "c", "d"])
        with disabled(), pytest.raises(WarmMissError):
            encoder(["a"])
    assert [["a", "b"]] == encoder.calls
    assert values_of("abc") == encoder(["a", "b", "c"])
    assert values_of("abc") == encoder(["a", "b", "c"])
    assert [["a", "b"], ["c"]] == encoder.calls


def test_a_list_is_one_element_where_one_is_asked_for() -> None:
    calls = []

    @warm(batch="names")
    def load(names: list[Any]) -> list[Any]:
        calls.append(names)
        return names

    with load.lease(["a"]) as value:
        assert ["a"] == value
    assert [[["a"]]] == calls
    assert load.contains(["a"]) and not load.contains("a")


@OF_BOTH
def test_what_is_forbidden_is_named_and_of_many_how_many_there_are(kind: type[Encoder]) -> None:
    encoder = kind()
    encoder(["a"])
    with no_load():
        for several, said in [("ab", "is"), ("abc", r".*'c'.* are"), ("abcdefg", "and 3 more are")]:
            with pytest.raises(WarmMissError, match=rf"^encode\w*\('b'.*{said} not warm") as error:
                encoder([*several])
            assert ("'c'" in str(error.value)) == ("c" in several)
            assert "'f'" not in str(error.value)


def test_what_cooled_down_is_on_the_hit_path_again_after_a_call() -> None:
    encoder = Encoder()
    encoder(["a"])
    with no_load():
        pass
    assert not encoder.load.lease.__self__._site.hot.table
    encoder(["a"])
    assert encoder.load.lease.__self__._site.hot.table


def test_a_cache_by_name_that_is_defined_later() -> None:
    calls: list[Any] = []

    @warm(cache="batches-later", batch="texts")
    def encode(texts: list[str]) -> list[str]:
        calls.append(texts)
        return texts

    with pytest.raises(ValueError, match="batches-later"):
        encode(["a"])
    cache = warmcache.cache("batches-later", maxsize=4)
    assert ["a"] == encode(["a"]) == encode(["a"])
    assert [["a"]] == calls and 1 == len(cache)


def test_loaders_that_share_a_cache_do_not_share_elements() -> None:
    cache: Cache[Any, Any] = LRUCache(10)
    upper = warm(cache=cache, batch="texts")(lambda texts: [text.upper() for text in texts])
    double = warm(cache=cache, batch="texts")(lambda texts: [text * 2 for text in texts])
    assert (["A"], ["aa"]) == (upper(["a"]), double(["a"]))
    assert (["A"], ["aa"]) == (upper(["a"]), double(["a"]))
    assert 2 == len(cache)


# -- what does not -----------------------------------------------------------------------------


def load_several(names: list[str], *paths: str, **options: str) -> list[str]:
    return names


@pytest.mark.parametrize("argument", ["nobody", "paths", "options"])
def test_an_argument_that_is_none_is_refused_with_those_there_are(argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^batch must be .* got '{argument}'; there are: names$"):
        warm(batch=argument)(load_several)


def test_what_ends_is_refused() -> None:
    def yields(names: list[str]) -> Iterator[list[str]]:
        yield names

    async def yields_async(names: list[str]) -> AsyncIterator[list[str]]:
        yield names

    async def encode(names: list[str]) -> list[str]:
        return names

    cache: Cache[Any, Any] = LRUCache(1, teardown=str)
    for options, target in [
        ({}, yields),
        ({}, yields_async),
        ({"teardown": str}, load_several),
        ({"teardown": str, "teardown_in": "loop"}, encode),
        ({"cache": cache}, load_several),
    ]:
        with pytest.raises(TypeError, match=r"with batch= values are handed out in a list"):
            warm(batch="names", **options)(target)  # type: ignore[call-overload]


def test_a_loader_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="batch= does not go with out_files="):
        warm(batch="names", out_files="to", disk=tmp_path / "tier")(lambda names, to: None)


def test_a_budget_of_memory_is_refused() -> None:
    cache: Cache[Any, Any] = MemoryCache(10, probe=FakeProbe(100))
    for options in ({"policy": "ram"}, {"budget": 10, "device": "cpu"}, {"cache": cache}):
        with pytest.raises(TypeError, match="batch= and a budget of memory.* give it maxsize="):
            warm(batch="names", **options)(load_several)  # type: ignore[call-overload]
    cache.close()


def test_a_class_is_refused() -> None:
    with pytest.raises(TypeError, match="Model is a class, of which a call makes one instance"):

        @warm(batch="names")  # type: ignore[type-var]
        class Model:
            def __init__(self, names: list[str]) -> None: ...


def test_a_method_is_not_bound_to_its_batch() -> None:
    with pytest.raises((ValueError, RuntimeError)) as refused:

        class Model:
            @warm(batch="self")
            def encode(self, texts: list[str]) -> list[str]:
                return texts

    error = refused.value.__cause__ or refused.value
    assert "batch must be an argument of encode() that takes several, got 'self'" in str(error)
