"""What a traceback shows of an error: the frames of whoever calls and is called, one of ours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from frames import frames_of

import warmcache
from warmcache import LRUCache, disabled, no_load, warm
from warmcache.testing import FakeProbe

CAP = 5.0


def frames(call: Callable[[], object]) -> list[str]:
    """Return those below ``call``, which fails."""
    with pytest.raises(BaseException) as caught:
        call()
    names = frames_of(caught.value)
    return names[names.index("<lambda>") + 1 :]


def fail(*args: Any) -> Any:
    raise OSError("no such model")


def hold(load: Any, *args: Any) -> None:
    with load.lease(*args):
        pass


@warm
def load(name: Any) -> Any:
    return fail()


@warm
def generate(name: str) -> Any:
    yield fail()


class Models:
    @warm
    def method(self, name: str) -> Any:
        return fail()

    @warm
    @classmethod
    def of_class(cls, name: str) -> Any:
        return fail()

    @classmethod
    @warm
    def of_class_below(cls, name: str) -> Any:
        return fail()

    @warm
    @staticmethod
    def static(name: str) -> Any:
        return fail()

    @staticmethod
    @warm
    def static_below(name: str) -> Any:
        return fail()

    @property
    @warm
    def prop(self) -> Any:
        return fail()


@warm
class Model:
    def __init__(self, name: str) -> None:
        fail()


models = Models()
full: LRUCache[Any, Any] = LRUCache(1, getsizeof=lambda value: 2)
host = warmcache.HostMemoryCache(10, probe=FakeProbe(1000), headroom=0)


@warm(maxsize=1, size=2)
def large(name: str) -> str:
    return name


@warm(maxsize=1, size=fail)
def weighed_by_a_failing_hook(name: str) -> str:
    return name


@warm(cache=host)
def measured(name: str) -> Any:
    return fail()


@warm(cache=host, size=20)
def large_in_memory(name: str) -> str:
    return name


@warm
def outer(name: str) -> Any:
    return load(name)


@warm
def outer_of_a_cache(name: str) -> Any:
    return full[name]


def array() -> Any:
    import numpy

    return numpy.zeros(3)


LOADERS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "a function": (lambda: load("a"), ["[load]", "load", "fail"]),
    "a generator": (lambda: generate("a"), ["[generate]", "generate", "fail"]),
    "a method": (lambda: models.method("a"), ["[method]", "method", "fail"]),
    "an unbound method": (lambda: Models.method(models, "a"), ["[method]", "method", "fail"]),
    "a class method": (lambda: Models.of_class("a"), ["[of_class]", "of_class", "fail"]),
    "a class method below": (
        lambda: models.of_class_below("a"),
        ["[of_class_below]", "of_class_below", "fail"],
    ),
    "a static method": (lambda: models.static("a"), ["[static]", "static", "fail"]),
    "a static method below": (
        lambda: models.static_below("a"),
        ["[static_below]", "static_below", "fail"],
    ),
    "a property": (lambda: models.prop, ["[prop]", "prop", "fail"]),
    "a class": (lambda: Model("a"), ["[Model]", "__init__", "fail"]),
    "measured memory": (lambda: measured("a"), ["[measured]", "measured", "fail"]),
    "a hook": (lambda: weighed_by_a_failing_hook("a"), ["[weighed_by_a_failing_hook]", "fail"]),
    "a loader in a loader": (
        lambda: outer("a"),
        ["[outer]", "outer", "[load]", "load", "fail"],
    ),
    "a cache in a loader": (
        lambda: outer_of_a_cache("a"),
        ["[outer_of_a_cache]", "outer_of_a_cache", "[__getitem__]"],
    ),
    "a lease": (lambda: hold(load, "a"), ["hold", "[__enter__]", "load", "fail"]),
    "a lease of a class": (lambda: hold(Model, "a"), ["hold", "[__enter__]", "__init__", "fail"]),
    "warming up": (lambda: load.warm_up(["a"]), ["[warm_up]", "load", "fail"]),
}


@pytest.mark.parametrize("how", LOADERS)
def test_a_loaders_error_shows_the_users_frames_and_one_of_ours(how: str) -> None:
    call, expected = LOADERS[how]
    assert expected == frames(call)


@pytest.mark.parametrize("how", LOADERS)
def test_a_loaders_error_shows_no_more_inside_disabled(how: str) -> None:
    call, expected = LOADERS[how]
    if how == "a hook":
        return  # which nobody asks in there
    with disabled():
        assert expected == frames(call)


def _store() -> None:
    full["a"] = "a"


OURS_ALONE: dict[str, tuple[Callable[[], object], list[str]]] = {
    "no room": (lambda: large("a"), ["[large]"]),
    "no room in memory": (lambda: large_in_memory("a"), ["[large_in_memory]"]),
    "no room for a lease": (lambda: hold(large, "a"), ["hold", "[__enter__]"]),
    "no room for what is stored": (_store, []),
    "no key": (lambda: load(array()), ["[load]"]),
    "no key for a lease": (lambda: load.lease(array()), ["[lease]"]),
    "no key to look for": (lambda: load.contains(array()), ["[contains]"]),
    "no key to peek at": (lambda: load.peek(array()), ["[peek]"]),
    "no key to evict": (lambda: load.evict(array()), ["[evict]"]),
    "no key to tell": (lambda: load.cache_key(array()), ["[cache_key]"]),
    "nothing under a key": (lambda: full["a"], ["[__getitem__]"]),
    "nothing to pop": (lambda: full.pop("a"), ["[pop]"]),
    "nothing to delete": (lambda: full.__delitem__("a"), ["[__delitem__]"]),
    "nothing to detach": (lambda: full.detach("a"), ["[detach]"]),
    "nobody to go": (lambda: full.popitem(), ["[popitem]"]),
    "no default that fits": (lambda: full.setdefault("a", "a"), ["[setdefault]"]),
    "an unknown option": (lambda: warm(max_entries=3)(fail), ["[decorate]"]),
    "an unknown policy": (lambda: warm(policy="lruu")(fail), ["[decorate]"]),
    "a bad value": (lambda: warm(maxsize=-1)(fail), ["[decorate]"]),
    "a bad budget": (lambda: warm(policy="ram", budget="much")(fail), ["[decorate]"]),
    "options beside a loader": (lambda: warm(fail, maxsize=3), ["[warm]"]),  # type: ignore[call-overload]
    "no loader": (lambda: warm(3), ["[warm]"]),  # type: ignore[call-overload]
    "a bad time to live": (lambda: LRUCache(3, ttl=-1), ["[__init__]"]),
    "a bad time to live, of another": (lambda: warmcache.TTLCache(3, "x"), ["[__init__]"]),
    "no function": (lambda: warmcache.TLRUCache(3, 5), ["[__init__]"]),  # type: ignore[arg-type]
    "no choice": (lambda: warmcache.RRCache(3, 5), ["[__init__]"]),  # type: ignore[arg-type]
    "a bad limit": (lambda: LRUCache(-1), ["[__init__]"]),
    "a bad limit of memory": (lambda: warmcache.HostMemoryCache("x"), ["[__init__]"]),
    "a bad order": (lambda: warmcache.HostMemoryCache(3, order="x"), ["[__new__]"]),
    "no such option": (lambda: LRUCache(3, max_size=3), ["[__init__]"]),  # type: ignore[call-arg]
    "an unknown policy to create": (lambda: warmcache.policies.create("lruu"), ["[create]"]),
    "a bad option to create": (lambda: warmcache.policies.create("lru", m=3), ["[create]"]),
    "nothing registered": (lambda: warmcache.Registry("x").create("y"), ["[create]"]),
    "no patience": (lambda: warmcache.close_all(patience=-1), ["[close_all]"]),
    "no such trace": (lambda: warmcache.simulate("none.csv"), ["[simulate]"]),
    "no such cache": (lambda: warmcache.cache("nobody defined this"), ["[cache]"]),
}


@pytest.mark.parametrize("how", OURS_ALONE)
def test_an_error_of_ours_shows_one_frame_of_ours(how: str) -> None:
    call, expected = OURS_ALONE[how]
    if how == "no room for what is stored":
        with pytest.raises(warmcache.CapacityError) as caught:
            call()
        assert ["_store", "[__setitem__]"] == frames_of(caught.value)[-2:]
    else:
        assert expected == frames(call)


def test_what_is_not_warm_where_loading_is_forbidden_shows_one_frame() -> None:
    with no_load():
        assert ["[load]"] == frames(lambda: load("a"))


def test_a_lease_of_a_bare_cache_shows_one_frame() -> None:
    assert ["hold", "[__enter__]"] == frames(lambda: hold(full, "a"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, StopIteration, GeneratorExit])
def test_what_is_no_ordinary_error_shows_no_more(error: type[BaseException]) -> None:
    @warm
    def interrupted(name: str) -> None:
        raise error

    assert ["[interrupted]", "interrupted"] == frames(lambda: interrupted("a"))


def test_frames_of_the_package_that_the_loader_calls_stay() -> None:
    @warm
    def allocate(nbytes: int) -> Any:
        return FakeProbe(100).block(nbytes)

    assert ["[allocate]", "allocate"] == frames(lambda: allocate(101))[:2]


# -- more than one who is told ---------------------------------------------------------


class OddError(Exception):
    """One that cannot be copied by its arguments."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


class UncopiedError(Exception):
    def __new__(cls, *args: object) -> UncopiedError:
        if not args:
            raise TypeError
        return super().__new__(cls)

    def __init__(self, name: str, reason: str) -> None:
        self.args = ()


@pytest.mark.race
@pytest.mark.parametrize(
    "error", [OSError(2, "gone"), OddError("a", "gone"), UncopiedError("a", "gone")], ids=repr
)
def test_who_joined_a_load_that_fails_sees_no_frames_of_others(error: Exception) -> None:
    entered, go = threading.Event(), threading.Event()

    @warm
    def slow(name: str) -> None:
        entered.set()
        assert go.wait(CAP)
        raise error

    seen: list[list[str]] = []

    def ask() -> None:
        try:
            slow("a")
        except Exception as raised:
            seen.append(frames_of(raised))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert entered.wait(CAP)
    for thread in threads[1:]:
        thread.start()
    while 3 != slow.cache.stats().waits:
        assert threads[0].is_alive()
    go.set()
    for thread in threads:
        thread.join(CAP)
    assert [["ask", "[slow]", "slow"]] * 4 == seen


def test_a_note_that_one_caller_adds_is_not_seen_by_another() -> None:
    from warmcache._core.plans.get import own_copy

    error = ValueError("gone")
    error.add_note("while it loaded")
    one = own_copy(error, None)
    one.add_note("mine")
    assert ["while it loaded"] == error.__notes__
    assert ["while it loaded", "mine"] == one.__notes__


def test_what_an_odd_error_knows_is_known_by_each_copy() -> None:
    from warmcache._core.plans.get import own_copy

    error = OddError("a", "gone")
    copy: Any = own_copy(error, None)
    assert copy is not error and ("a", "a: gone") == (copy.name, str(copy))


# -- what the error has besides --------------------------------------------------------


def test_causes_contexts_notes_and_groups_are_left_alone() -> None:
    @warm
    def chained(name: str) -> None:
        try:
            fail()
        except OSError as error:
            group = ExceptionGroup("several", [error, KeyError("b")])
            group.add_note("a note")
            raise group from error

    with pytest.raises(ExceptionGroup) as caught:
        chained("a")
    error = caught.value
    assert isinstance(error.__cause__, OSError) and error.__cause__ is error.__context__
    assert ["chained", "fail"] == frames_of(error.__cause__)
    assert (OSError, KeyError) == tuple(map(type, error.exceptions))
    assert ["a note"] == error.__notes__


def test_a_context_that_came_through_a_loader_is_short_too() -> None:
    @warm
    def falls_back(name: str) -> None:
        try:
            load(name)
        except OSError:
            raise LookupError(name)  # noqa: B904

    with pytest.raises(LookupError) as caught:
        falls_back("a")
    context = caught.value.__context__
    assert context is not None
    assert ["falls_back", "[load]", "load", "fail"] == frames_of(context)


# -- all of them -----------------------------------------------------------------------


def test_all_frames_are_shown_from_the_moment_on_that_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARMCACHE_TRACEBACK", "full")
    assert "[slow_call]" in frames(lambda: load("a"))
    assert "[key]" in frames(lambda: load.contains(array()))
    assert len(frames(lambda: warm(max_entries=3)(fail))) > 1
