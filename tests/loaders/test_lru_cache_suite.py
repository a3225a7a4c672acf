"""CPython's own tests of lru_cache, with @warm in its place: what differs does so on purpose.

They come with the interpreter, or, as on some systems, do not; test_as_lru_cache.py has what they
ask for in words of our own.
"""

from __future__ import annotations

import functools
import sys
import types
import unittest
from importlib.util import find_spec
from typing import Any

import pytest

from warmcache import warm

pytestmark = pytest.mark.oracle

# What docs/lru_cache.md says of each.
DIFFERENT = {
    "test_kwargs_order": "the order of keywords makes no other key",
    "test_lru_bug_35780": "a load that asks for its own key is a LoadCycleError",
    "test_lru_cache_parameters": "there are more of them",
    "test_lru_hash_only_once": "a miss hashes the arguments several times",
    "test_lru_method": "a method has a cache_info of each instance",
    "test_lru_type_error": "lists are keys by content",
    "test_lru_with_maxsize_negative": "what is less than nothing is refused",
    "test_lru_with_types": "f(x=3) is f(3)",
}
LATER = {  # which came with a later interpreter than the oldest
    "test_common_signatures": "what cache_info() returns is annotated",
    "test_lru_checks_arg_is_callable": "who gives something else is told so in other words",
}
if sys.version_info < (3, 14):  # from which on it goes less deep
    LATER["test_lru_recursion"] = "each load under way has its place: none is deeper than maxsize"
NEVER_RUN = {
    "test_lru_cache_threaded2": "waits until many threads load one key at once, of which one does",
    "test_lru_reentrancy_with_len": "has len() of all modules be warm, ours included",
}


def lru_cache(maxsize: Any = 128, typed: Any = False) -> Any:
    if callable(maxsize):
        return warm(maxsize)
    return warm(policy="lru", maxsize=maxsize, typed=typed)


def _module() -> Any:
    """Return functools as the tests take it, with ours in it."""
    module = types.ModuleType("functools")
    vars(module).update({k: v for k, v in vars(functools).items() if not k.startswith("__")})
    vars(module).update(lru_cache=lru_cache, cache=lambda function: lru_cache(None)(function))
    return module


@lru_cache()
def cached_func(x: Any, y: Any) -> Any:
    return 3 * x + y


class Methods:
    @lru_cache()
    def cached_meth(self, x: Any, y: Any) -> Any:
        return 3 * x + y

    @staticmethod
    @lru_cache()
    def cached_staticmeth(x: Any, y: Any) -> Any:
        return 3 * x + y


def _suite() -> Any:
    if find_spec("test") is None or find_spec("test.test_functools") is None:
        return None
    from test.test_functools import TestLRU  # type: ignore[import-not-found]

    class TestWarm(TestLRU, unittest.TestCase):  # type: ignore[misc]
        module = _module()
        cached_func = (cached_func,)
        cached_staticmeth = staticmethod(Methods.cached_staticmeth)

    TestWarm.cached_meth = Methods.cached_meth  # not above: it is to stay a method of that class
    TestWarm.__test__ = False  # pytest is not to collect it
    return TestWarm


SUITE = _suite()
NAMES = [] if SUITE is None else unittest.TestLoader().getTestCaseNames(SUITE)


def _outcome(name: str) -> str:
    result = unittest.TestResult()
    SUITE(name).run(result)
    [error] = [text for _, text in [*result.failures, *result.errors]][-1:] or [""]
    return error


@pytest.mark.skipif(SUITE is None, reason="this interpreter has come without its own tests")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [each for each in NAMES if each not in NEVER_RUN])
def test_it_passes_the_test_that_lru_cache_does_but_for_what_differs_on_purpose(name: str) -> None:
    error = _outcome(name)
    assert (name in {**DIFFERENT, **LATER}) == bool(error), (
        error or "it passes: nothing differs any more"
    )


@pytest.mark.skipif(SUITE is None, reason="this interpreter has come without its own tests")
def test_the_list_of_what_differs_names_tests_that_are_there() -> None:
    assert len(NAMES) > 20
    assert set() == {*DIFFERENT, *NEVER_RUN} - {*NAMES}
