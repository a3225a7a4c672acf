"""The generated code of a hit: any signature, exact counts, exact order, readable."""

from __future__ import annotations

import doctest
import functools
import inspect
import pydoc
import random
import sys
import threading
import traceback
import types
import typing
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache import LRUCache, warm

MISSING = object()
SHARED: list[int] = []


def positional_only(a, b=2, /): ...
def mixed(a, /, b, *, c=3): ...
def keyword_only(*, a, b=2): ...
def starred(a, *rest, b=2): ...
def named(a, **named): ...
def everything(a, b=2, /, c=3, *args, d, e=5, **kwargs): ...
def nothing(): ...
def only_starred(*args, **kwargs): ...
def sentinel(a, b=MISSING): ...
def mutable(a, b=SHARED): ...
def own_names(hit, bind, outer, get, slow, key, id, types): ...
def mangled(_warm_get, _warm_slow=1, *, __warm_entry=2, _warm_clock=3): ...
def helpers(_warm_items, *_warm_types, _warm_value=0, **_warm_key): ...


SIGNATURES: list[tuple[Callable[..., Any], list[tuple[tuple[Any, ...], dict[str, Any]]]]] = [
    # Each list is of calls that are one and the same call.
    (positional_only, [((1,), {}), ((1, 2), {})]),
    (mixed, [((1, 2), {}), ((1,), {"b": 2, "c": 3}), ((1, 2), {"c": 3})]),
    (keyword_only, [((), {"a": 1}), ((), {"b": 2, "a": 1})]),
    (starred, [((1, 2, 3), {}), ((1, 2, 3), {"b": 2})]),
    (named, [((1,), {"x": 1, "y": 2}), ((), {"y": 2, "a": 1, "x": 1})]),
    (everything, [((1,), {"d": 4}), ((1, 2, 3), {"e": 5, "d": 4})]),
    (everything, [((1, 2, 3, 9), {"d": 4, "z": 0}), ((1, 2, 3, 9), {"z": 0, "e": 5, "d": 4})]),
    (nothing, [((), {})]),
    (only_starred, [((), {})]),
    (only_starred, [((1, 2), {"x": 3})]),
    (sentinel, [((1,), {}), ((1, MISSING), {}), ((), {"b": MISSING, "a": 1})]),
    (mutable, [((1,), {}), ((1, SHARED), {}), ((1, []), {})]),
    (own_names, [(tuple(range(8)), {}), (tuple(range(7)), {"types": 7})]),
    (mangled, [((0,), {}), ((), {"_warm_get": 0, "_warm_slow": 1}), ((0,), {"_warm_clock": 3})]),
    (helpers, [((1, 2), {"x": 3}), ((1, 2), {"_warm_value": 0, "x": 3})]),
]


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(("loader", "calls"), SIGNATURES, ids=lambda x: getattr(x, "__name__", ""))
def test_calls_that_bind_alike_are_one_call_whatever_the_signature(
    loader: Callable[..., Any], calls: list[Any], typed: bool
) -> None:
    received: list[Any] = []

    @warm(typed=typed)
    @functools.wraps(loader)
    def load(*args: Any, **kwargs: Any) -> object:
        bound = inspect.signature(loader).bind(*args, **kwargs)
        bound.apply_defaults()
        received.append(bound.arguments)
        return object()

    args, kwargs = calls[0]
    value = load(*args, **kwargs)
    expected = inspect.signature(loader).bind(*args, **kwargs)
    expected.apply_defaults()

    assert [expected.arguments] == received
    assert all(load(*args, **kwargs) is value for args, kwargs in calls * 2)
    assert 1 == len(received)
    assert (2 * len(calls), 1) == load.cache_info()[:2]


@pytest.mark.parametrize("loader", dict.fromkeys(signature[0] for signature in SIGNATURES))
def test_the_generated_function_has_the_very_signature_and_defaults(
    loader: Callable[..., Any],
) -> None:
    generated = warm(loader)

    assert inspect.signature(loader) == inspect.signature(generated, follow_wrapped=False)
    assert (loader.__defaults__ or ()) == (generated.__defaults__ or ())
    assert (loader.__kwdefaults__ or {}) == (generated.__kwdefaults__ or {})


def test_a_mutable_default_is_the_loaders_own_object() -> None:
    seen: list[Any] = []

    @warm
    def load(x: int, into: list[int] = SHARED) -> None:
        seen.append(into)

    load(1)

    assert seen[0] is SHARED and load.__defaults__[0] is SHARED


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"a": 1}), ((1,), {"zzz": 1}), ((), {"b": 2})],
)
def test_a_wrong_call_fails_as_the_loaders_own_would(args: Any, kwargs: Any) -> None:
    def load(a: int, b: int = 2) -> None: ...

    with pytest.raises(TypeError) as ours:
        warm(load)(*args, **kwargs)
    with pytest.raises(TypeError) as theirs:
        load(*args, **kwargs)
    assert str(theirs.value) == str(ours.value)


# -- counts and order --------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.property
@given(
    maxsize=st.integers(1, 5) | st.none(),
    calls=st.lists(st.tuples(st.integers(0, 6), st.booleans())),
    clear_at=st.none() | st.integers(0, 30),
)
def test_results_and_cache_info_are_those_of_lru_cache(
    maxsize: int | None, calls: list[tuple[int, bool]], clear_at: int | None
) -> None:
    def loader() -> Callable[..., Any]:
        order: list[Any] = []

        def load(x: int, by_name: bool = False) -> int:
            order.append((x, by_name))
            return len(order)

        return load

    ours = warm(policy="lru", maxsize=maxsize)(loader())
    theirs = functools.lru_cache(maxsize)(loader())

    for number, (x, by_name) in enumerate(calls):
        if number == clear_at:
            ours.cache_clear()
            theirs.cache_clear()
        assert theirs(x, by_name) == ours(x, by_name)
        assert theirs.cache_info() == ours.cache_info()
        assert theirs.cache_info()._asdict() == ours.cache_info()._asdict()


@pytest.mark.oracle
@pytest.mark.property
@given(st.lists(st.integers(0, 5), max_size=40), st.booleans())
def test_hits_keep_exact_lru_order_and_exact_use_counts(calls: list[int], typed: bool) -> None:
    cache: LRUCache[Any, Any] = LRUCache(6)

    @warm(cache=cache, typed=typed)
    def load(x: int) -> int:
        return x

    model: dict[int, int] = {}
    for x in calls:
        load(x)
        model[x] = model.pop(x, 0) + 1  # the end of a dict is the most recent

    assert [load.cache_key(x) for x in model] == cache.victims()
    assert {load.cache_key(x): uses for x, uses in model.items()} == {
        entry.key: entry.uses for entry in cache.entries()
    }


@pytest.mark.race
def test_hits_from_many_threads_are_all_counted() -> None:
    @warm
    def load(x: int) -> int:
        return x

    def hit_often() -> None:
        for _ in range(2000):
            load(1)

    load(1)
    threads = [threading.Thread(target=hit_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert (16_000, 1) == load.cache_info()[:2]


def test_a_hit_runs_generated_code_only() -> None:
    @warm
    def load(a: int, b: int = 2, *, c: int = 3) -> object:
        return object()

    load(1)
    entered: list[str] = []

    def trace(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            entered.append(frame.f_code.co_filename)

    previous = sys.getprofile()
    sys.setprofile(trace)
    try:
        load(1, c=3)
    finally:
        sys.setprofile(previous)

    assert 1 == len(entered) and entered[0].startswith("warm:")


# -- readable ----------------------------------------------------------------------


def test_a_traceback_shows_the_lines_of_the_generated_code() -> None:
    @warm
    def load(path: str) -> str:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model") as caught:
        load("x")

    lines = traceback.format_exception(caught.value)
    assert any("return _warm_path.slow(" in line and "in load" in line for line in lines)
    assert caught.value.__context__ is None, "the miss before it is no part of the story"


def test_the_namespace_of_generated_code_has_a_spec_that_agrees_with_its_loader() -> None:
    space = warm(lambda name: name).__globals__

    assert __name__ == space["__spec__"].name
    assert space["__loader__"] is space["__spec__"].loader
    with warnings.catch_warnings(record=True, action="always") as seen:
        warnings.warn_explicit("on purpose", UserWarning, "a.py", 1, module_globals=space)
    assert ["on purpose"] == [str(warning.message) for warning in seen]


def test_generated_code_is_shown_without_a_trace_in_linecache_before_it_is() -> None:
    import linecache

    load: Any = warm(lambda x: x)
    name = load.__code__.co_filename
    assert name not in linecache.cache
    linecache.lazycache(name, load.__globals__)  # as traceback does
    assert "_warm_entry" in "".join(linecache.getlines(name))


def documented(x: int, flavour: Flavour | None = None) -> dict[str, Flavour]:
    """Return what was asked for.

    >>> documented(1)
    {}
    """
    return {}


class Flavour:
    pass


def test_signature_hints_help_and_docs_are_the_loaders_own() -> None:
    load = warm(documented)

    assert inspect.signature(documented) == inspect.signature(load)
    assert typing.get_type_hints(documented) == typing.get_type_hints(load)
    assert documented.__doc__ == load.__doc__ and documented is load.__wrapped__
    assert ("documented", "documented", __name__) == (
        load.__name__,
        load.__qualname__,
        load.__module__,
    )
    assert inspect.getsource(documented) == inspect.getsource(load)
    shown = pydoc.render_doc(load, renderer=pydoc.plaintext)
    assert "documented(x: " in shown and "Return what was asked for." in shown


EXAMPLES = '''
from warmcache import warm

@warm
def load(x):
    """
    >>> load(1)
    2
    """
    return x + 1

class Loaders:
    @warm
    def load(self, x):
        """
        >>> Loaders().load(1)
        2
        """
        return x + 1

@warm
class Model:
    """
    >>> Model() is Model()
    True
    """
'''


def test_doctest_finds_and_runs_the_examples_of_warm_things(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("examples_of_ours")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(EXAMPLES, "examples_of_ours.py", "exec"), vars(module))

    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    runner = doctest.DocTestRunner()
    for test in found:
        runner.run(test)

    names = ["Loaders.load", "Model", "load"]
    assert [f"examples_of_ours.{name}" for name in names] == [test.name for test in found]
    assert (0, 3) == (runner.failures, runner.tries)


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, x: int) -> list[int]:
        return [x + self.amount]


@pytest.mark.parametrize(
    ("loader", "args"),
    [
        (functools.partial(lambda x, y: [x, y], 1), (2,)),
        (functools.partial(lambda x, y: [x, y], y=1), (2,)),
        (lambda x: [x], (1,)),
        (Adder(2), (1,)),
        (Adder(2).__call__, (1,)),
        (sorted, ((3, 1, 2),)),
    ],
)
def test_anything_callable_can_be_a_loader(loader: Callable[..., Any], args: Any) -> None:
    load = warm(loader)

    assert loader(*args) == load(*args)
    assert load(*args) is load(*args)
    assert repr(load.cache_key(*args))


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="@warm goes over a function, method or class, not 'lru'"):
        warm("lru")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"@warm\(policy="):
        warm(lambda: 1, policy="lru")  # type: ignore[call-overload]


@pytest.mark.oracle
def test_random_calls_of_a_wide_signature_agree_with_binding_them() -> None:
    rng = random.Random(1)
    load = warm(maxsize=None)(everything)
    signature = inspect.signature(everything)
    keys: dict[Any, Any] = {}
    for _ in range(500):
        args = tuple(rng.randrange(3) for _ in range(rng.randrange(1, 6)))
        kwargs = {name: rng.randrange(3) for name in "deyz" if name == "d" or rng.random() < 0.5}
        if len(args) < 3 and rng.random() < 0.5:
            kwargs["c"] = rng.randrange(3)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        call = (*bound.args, *sorted(bound.kwargs.items()))
        key = load.cache_key(*args, **kwargs)
        assert keys.setdefault(call, key) == key
    assert len(keys) == len(set(keys.values()))
