"""Caches by name, shared by modules that know nothing of each other."""

from __future__ import annotations

import gc
import threading
import types
import uuid
from typing import Any

import pytest

import warmcache
from warmcache import LFUCache, LRUCache

CAP = 5.0


@pytest.fixture
def name() -> str:
    return f"gpu-{uuid.uuid4()}"


def test_a_name_is_one_cache_for_the_whole_process(name: str) -> None:
    cache = warmcache.cache(name, policy="lfu", maxsize=3)

    assert isinstance(cache, LFUCache) and 3 == cache.maxsize
    assert warmcache.cache(name) is cache is warmcache.cache(name, policy="lfu", maxsize=3)


MODULE = """
from warmcache import cache, warm
{define}
@warm(cache={name!r}{options})
def load(x):
    return {value!r}
"""
SAID = "policy='lru', maxsize=2"
BY_HAND, BY_LOADER, NOT = ("cache({name!r}, " + SAID + ")", ""), ("", ", " + SAID), ("", "")


@pytest.mark.parametrize(
    "said",
    [
        (BY_HAND, BY_HAND),
        (BY_LOADER, BY_LOADER),
        (NOT, BY_LOADER),
        (NOT, BY_HAND),
        (BY_LOADER, NOT),
    ],
)
def test_modules_that_know_nothing_of_each_other_share_it(
    name: str, said: tuple[tuple[str, str], ...]
) -> None:
    modules = []
    for value, (define, options) in zip(("first", "second"), said, strict=True):
        module = types.ModuleType(value)
        define = define.format(name=name)
        exec(MODULE.format(define=define, name=name, options=options, value=value), vars(module))
        modules.append(module)
    first, second = modules

    assert ("first", "second") == (first.load(1), second.load(1))
    assert first.load.cache is second.load.cache is warmcache.cache(name)
    first.load(2)
    assert not first.load.contains(1) and 2 == first.load.cache.currsize, "one limit for both"


REGISTERED = """
from warmcache import warm
@warm(cache={name!r}, policy="lru", maxsize=1, teardown={teardown})
{loader}
"""


def test_strangers_take_turns_as_in_a_registry_of_one_object(name: str) -> None:
    """What the same calls do under parsl_object_registry, each object shut down before the next."""
    happened: list[str] = []
    loader = 'def load(name):\n    said(f"load {name}")\n    return f"stop {name}"'
    made = (
        "class load:\n    def __init__(self, name):\n"
        '        said(f"load {name}")\n        self.name = name\n'
        '    def stop(self):\n        said(f"stop {self.name}")'
    )
    modules = []
    for teardown, source in (("said", loader), ("'stop'", made)):
        module = types.ModuleType("stranger")
        module.said = happened.append  # type: ignore[attr-defined]
        exec(REGISTERED.format(name=name, teardown=teardown, loader=source), vars(module))
        modules.append(module)
    embedder, folder = (module.load for module in modules)

    for load, what in [
        (embedder, "a"),
        (folder, "b"),
        (folder, "b"),
        (embedder, "a"),
        (embedder, "c"),
    ]:
        assert load(what) is load(what)
    warmcache.cache(name).clear()
    expected = "load a, stop a, load b, stop b, load a, stop a, load c, stop c"
    assert expected.split(", ") == happened


def test_lru_is_what_options_alone_mean(name: str) -> None:
    cache = warmcache.cache(name, maxsize=3)
    assert isinstance(cache, LRUCache) and warmcache.cache(name, "lru", maxsize=3) is cache


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("lfu", {"maxsize": 3}),
        ("lru", {"maxsize": 4}),
        (None, {"maxsize": 4}),
        ("lru", {"maxsize": 3, "idle_ttl": 5}),
        ("lru", {}),
    ],
)
def test_a_second_definition_that_differs_is_an_error_that_shows_both(
    name: str, policy: str | None, options: dict[str, Any]
) -> None:
    cache = warmcache.cache(name, policy="lru", maxsize=3)
    with pytest.raises(ValueError) as caught:
        warmcache.cache(name, policy=policy, **options)

    text = str(caught.value)
    assert f"cache {name!r} is defined already, as (policy='lru', maxsize=3)" in text
    shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
    assert f"it cannot be (policy={policy or 'lru'!r}{', ' if shown else ''}{shown}) too" in text
    assert warmcache.cache(name) is cache


def test_a_name_that_is_not_defined_is_an_error_that_tells_how(name: str) -> None:
    warmcache.cache(f"{name}-other", maxsize=1)
    with pytest.raises(ValueError, match=rf"no cache '{name}' yet: define it.*{name}-other"):
        warmcache.cache(name)
    with pytest.raises(ValueError, match=rf"; did you mean '{name}-other'\?"):
        warmcache.cache(f"{name}-othre")


def test_a_bad_definition_defines_nothing(name: str) -> None:
    with pytest.raises(TypeError, match=r"no option 'maxsise'; did you mean 'maxsize'\?"):
        warmcache.cache(name, maxsise=1)
    with pytest.raises(ValueError, match="there is no policy 'lur'; did you mean 'lru'"):
        warmcache.cache(name, policy="lur", maxsize=1)
    with pytest.raises(TypeError, match="missing a required argument: 'maxsize'"):
        warmcache.cache(name, policy="lru")

    assert 1 == warmcache.cache(name, maxsize=1).maxsize


def test_a_closed_cache_may_be_defined_anew(name: str) -> None:
    with warmcache.cache(name, maxsize=1) as first:
        pass
    with pytest.raises(ValueError, match="no cache"):
        warmcache.cache(name)
    second = warmcache.cache(name, policy="lfu", maxsize=2)

    assert second is not first and 2 == second.maxsize


def test_a_closed_cache_is_not_among_those_that_there_are(name: str) -> None:
    warmcache.cache(name, maxsize=1).close()
    with pytest.raises(ValueError, match=f"no cache '{name}' any more") as caught:
        warmcache.cache(name)
    there_are = str(caught.value).partition("There are: ")[2]
    assert there_are and name not in there_are


def test_a_named_cache_lives_though_nobody_holds_it(name: str) -> None:
    number = id(warmcache.cache(name, maxsize=1))
    gc.collect()
    assert number == id(warmcache.cache(name))


@pytest.mark.race
def test_threads_that_define_it_at_once_get_one_cache(name: str) -> None:
    start, found = threading.Barrier(4), []

    def define() -> None:
        start.wait(CAP)
        found.append(warmcache.cache(name, policy="lru", maxsize=3))

    threads = [threading.Thread(target=define) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)

    assert 4 == len(found) and 1 == len(set(map(id, found)))
