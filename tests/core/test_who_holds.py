"""Who holds a value is named as what it is, with what makes it let go; and nothing is kept."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from warmcache._core.drivers.untracked import untracked
from warmcache._core.drivers.who_holds import holders_of, in_words

CAP = 5.0

pytestmark = pytest.mark.usefixtures("whole_heap")  # what holds may be a module of the tests


class Value:
    """Something that is warm."""


class Server:
    kept: Any

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("__weakref__", "kept")
    kept: Any


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's."""
    module: Any = types.ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    return module


def closing_over(value: Any) -> Callable[[], Any]:
    def closure() -> Any:
        return value

    return closure


def suspended(value: Any) -> Any:
    def generator() -> Iterator[None]:
        kept = value
        yield kept

    running = generator()
    next(running)
    return running


def failed(value: Any) -> BaseException:
    def fails(kept: Any) -> None:
        raise ValueError

    try:
        fails(value)
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next  # type: ignore[union-attr]
        return error
    raise AssertionError


def of(instance: Any, value: Any) -> Any:
    instance.kept = value
    return instance


def of_method(value: Any) -> Any:
    return types.MethodType(print, value)


@dataclass(frozen=True)
class Frozen:
    kept: Any


class Pair(NamedTuple):
    first: int
    second: Any


def remembering(value: Any) -> Any:
    kept = [value]
    cached = functools.lru_cache(kept.pop)
    cached()
    return cached


def future_of(value: Any) -> Any:
    future = asyncio.Future(loop=asyncio.new_event_loop())
    future.get_loop().close()
    future.set_result(value)
    return future


# What a module keeps, and who is said to hold the value in there, with the remedy.
KEPT: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "itself": (lambda value: value, "app.it", "`del app.it`"),
    "a list": (lambda value: [0, value], "app.it[1]", "`del app.it[1]`"),
    "a deque": (lambda value: deque([value]), "app.it[0]", "`del app.it[0]`"),
    "a dict": (lambda value: {"a": value}, "app.it['a']", "`del app.it['a']`"),
    "a set": (lambda value: {value}, "app.it", "`del app.it`"),
    "a nest": (lambda value: {"a": [(value,)]}, "app.it['a'][0][0]", "`del app.it['a'][0]`"),
    "an attribute": (lambda value: of(Server(), value), "app.it.kept", "`del app.it.kept`"),
    "a slot": (lambda value: of(Slotted(), value), "app.it.kept", "`del app.it.kept`"),
    "a method": (lambda value: of_method(value), "app.it", "`del app.it`"),
    "a method of C": (lambda value: value.__repr__, "app.it", "`del app.it`"),
    "a subclass of dict": (lambda value: OrderedDict(a=value), "app.it['a']", "`del app.it['a']`"),
    "keys that are tuples": (lambda v: {("a", 1): v}, "app.it[('a', 1)]", "`del app.it[('a', 1)]`"),
    "keys that nobody can write": (lambda v: {len: v}, "app.it[...]", "`del app.it`"),
    "a frozen dataclass": (lambda value: Frozen(value), "app.it.kept", "`del app.it`"),
    "a named tuple": (lambda value: Pair(1, value), "app.it[1]", "`del app.it`"),
    "a nest of tuples": (lambda value: [((value,),)], "app.it[0][0][0]", "`del app.it[0]`"),
    "keywords": (
        lambda value: functools.partial(print, end=value),
        "app.it.keywords['end']",
        "`del app.it.keywords['end']`",
    ),
    "a cached function": (
        lambda value: remembering(value),
        "app.it",
        "`app.it.cache_clear()`",
    ),
    "a partial": (lambda value: functools.partial(print, value), "app.it.args[0]", "`del app.it`"),
    "a closure": (closing_over, "function closing_over.<locals>.closure()", "drop that function"),
    "a generator": (
        suspended,
        "kept in suspended.<locals>.generator(), which is suspended",
        "have that end",
    ),
    "an error": (
        failed,
        "kept in failed.<locals>.fails(), which a traceback keeps",
        "drop that error",
    ),
}


def array() -> Any:
    return np.zeros(3)


VALUES: dict[str, Callable[[], Any]] = {"an object": Value, "an array": array}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (value, what)
        for what in KEPT
        for value in VALUES
        if (value, what) != ("an array", "a set")  # which has no hash
    ],
)
def test_what_a_module_keeps_is_named_and_goes_by_the_remedy(
    value: str, what: str, app: Any
) -> None:
    """The collector tracks no array, and no dict or tuple of arrays."""
    make, text, remedy = KEPT[what]

    def put() -> weakref.ref[Any]:
        made = VALUES[value]()
        app.it = make(made)
        return weakref.ref(made)

    reference = put()
    named, remedies = in_words(_holders(reference))
    assert text in named
    assert remedy in remedies
    if remedy.startswith("`"):
        exec(remedy.strip("`"), {"app": app})
        assert reference() is None


def test_what_a_variable_has_that_nobody_tracks_is_named_more_than_once(app: Any) -> None:
    made = array()
    models = {"a": {"b": (made,)}}
    reference = weakref.ref(made)
    del made
    for _ in range(2):
        named, remedies = in_words(_holders(reference))
        assert named.startswith("models['a']['b'][0] in test_what_a_variable_has")
        assert ("`del models['a']['b']` there",) == remedies
    assert 1 == len(models)


def test_an_object_whose_variables_nobody_tracks_is_named_more_than_once(app: Any) -> None:
    app.state = Server()
    app.state.kept = array()
    for _ in range(2):
        named, remedies = in_words(_holders(weakref.ref(app.state.kept)))
        assert ("app.state.kept", ("`del app.state.kept`",)) == (named, remedies)


def test_a_default_and_a_context_variable_are_named() -> None:
    made = array()

    def function(default: Any = made) -> None: ...

    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    variable.set(made)
    reference = weakref.ref(made)
    del made
    named, _ = in_words(_holders(reference))
    assert "function test_a_default_and_a_context_variable_are_named.<locals>.function()" in named
    assert "a context variable" in named
    variable.set(None)
    function.__defaults__ = None


def test_no_module_is_asked_what_it_refers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of asyncio gives what is freed, in CPython 3.12 and 3.13: then a collection hangs."""
    asked: set[type] = set()
    found = gc.get_referents

    def ask(*things: Any) -> list[Any]:
        asked.update(map(type, things))
        return found(*[each for each in things if not isinstance(each, types.ModuleType)])

    monkeypatch.setattr(gc, "get_referents", ask)
    untracked()
    assert dict in asked and not [each for each in asked if issubclass(each, types.ModuleType)]


def _holders(reference: weakref.ref[Any]) -> Any:
    found: list[Any] = [reference()]
    gc.collect()  # or what tells of the frames that have ended would be found, too
    return holders_of(found)


def test_a_class_that_keeps_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "kept", Value(), raising=False)
    named, remedies = in_words(holders_of([Server.kept]))
    assert f"{__name__}.Server.kept" in named
    assert f"`del {__name__}.Server.kept`" in remedies


def test_a_bound_method_is_no_end_of_the_way(app: Any) -> None:
    app.on_request = Server().method
    named, _ = in_words(_holders(weakref.ref(app.on_request.__self__)))
    assert "app.on_request" in named


def test_a_function_that_runs_is_named_with_the_variable() -> None:
    model = [Value()]
    named, remedies = in_words(holders_of(model[:1]))
    assert "model[0] in test_a_function_that_runs_is_named_with_the_variable()" == named
    assert ("`del model[0]` there",) == remedies


def test_a_function_that_runs_in_another_thread_is_named_with_the_thread() -> None:
    begun, go = threading.Event(), threading.Event()
    found: list[weakref.ref[Value]] = []

    def serve() -> None:
        model = Value()
        found.append(weakref.ref(model))
        begun.set()
        assert go.wait(CAP)

    thread = threading.Thread(target=serve, name="w-3")
    thread.start()
    assert begun.wait(CAP)
    try:
        named, _ = in_words(_holders(found[0]))
    finally:
        go.set()
        thread.join(CAP)
    assert named.endswith("serve() (thread 'w-3')") and named.startswith("model in ")


def test_a_thread_that_was_given_it_is_named() -> None:
    def given() -> tuple[threading.Thread, weakref.ref[Value]]:
        value = Value()
        return threading.Thread(target=print, args=(value,), name="w-4"), weakref.ref(value)

    thread, reference = given()
    named, _ = in_words(_holders(reference))
    assert "thread._args[0] in test_a_thread_that_was_given_it_is_named()" in named or (
        "thread 'w-4'" in named
    )
    assert not thread.is_alive()


@pytest.mark.parametrize("name", ["last_value", "last_traceback", "last_exc"])
def test_the_last_error_is_named_as_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("last_value", "last_traceback", "last_exc"):
        monkeypatch.delattr(sys, each, raising=False)

    def fail() -> weakref.ref[Value]:
        value = Value()
        error = failed(value)
        last = error.__traceback__ if name == "last_traceback" else error
        monkeypatch.setattr(sys, name, last, raising=False)
        return weakref.ref(value)

    reference = fail()
    named, remedies = in_words(_holders(reference))
    assert f"the last error, sys.{name}" in named
    assert f"`sys.{name} = None`" in remedies
    setattr(sys, name, None)
    gc.collect()
    assert reference() is None


def test_the_result_of_a_future_is_named() -> None:
    def keep() -> tuple[Any, weakref.ref[Value]]:
        value = Value()
        return future_of(value), weakref.ref(value)

    kept, reference = keep()
    named, _ = in_words(_holders(reference))
    assert "Future" in named or "kept" in named
    del kept


def test_what_nobody_can_see_is_said_to_be_held_by_a_function_or_a_library() -> None:
    (only,) = holders_of([object()])
    assert "a variable of a function that is running, or by a C library" == only.text
    assert "" == only.remedy


def test_one_remedy_is_one_holder_though_it_has_several_names(app: Any) -> None:
    from warmcache._core.drivers.who_holds import HeldBy

    found = [HeldBy("_", "{}", "forget"), HeldBy("Out[1]", "{}", "forget"), HeldBy("", "a list")]
    assert ("Out[1] and _, a list", ("forget",)) == in_words(found)


# -- nothing is kept, and nothing of the user's is touched -----------------------------


def test_to_look_keeps_nothing_alive() -> None:
    model: Any = Value()
    reference = weakref.ref(model)
    holders_of([model])
    del model
    assert reference() is None


def test_what_locals_gave_stays_as_it_is() -> None:
    model = Value()
    known = locals()
    holders_of([model])
    assert known["model"] is model


def test_to_look_changes_no_variable_of_a_generator() -> None:
    running = suspended(Value())
    holders_of([running.gi_frame.f_locals["kept"]])
    assert isinstance(running.gi_frame.f_locals["kept"], Value)


def test_the_walks_over_all_objects_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[None] = []
    walk = gc.get_referrers

    def counted(*objects: Any) -> Any:
        walks.append(None)
        return walk(*objects)

    monkeypatch.setattr(gc, "get_referrers", counted)
    value = Value()
    kept: list[Any] = [[[[value]]] for _ in range(50)]
    holders_of([value])
    assert 50 == len(kept) and len(walks) <= 3 * 12


def test_a_debugger_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Value()
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    named, _ = in_words(holders_of([model]))
    if sys.version_info < (3, 13):
        assert "a variable of a function that is running" in named
    assert isinstance(model, Value)
