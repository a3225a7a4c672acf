"""What is called from inside a scope or a load is inside it; a thread that is begun there is not.

Not even where threads inherit the context of who begins them, which Python can be told to have.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import asyncio, contextvars, threading
from concurrent.futures import ThreadPoolExecutor
import warmcache
from warmcache import warm

loaded = []

@warm
def load(name):
    loaded.append(name)
    return [name]

def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(5)
    return results[0]

load("a")
"""
SWITCHES = [[]]
if sys.version_info >= (3, 14):
    SWITCHES += [["-X", "thread_inherit_context=1"], ["-X", "thread_inherit_context=0"]]


@pytest.fixture(params=SWITCHES, ids=" ".join)
def check(request: pytest.FixtureRequest) -> object:
    def run(program: str) -> None:
        done = subprocess.run(
            [sys.executable, *request.param, "-W", "error", "-c", BEGIN + program],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert "" == done.stdout + done.stderr

    return run


def test_a_thread_that_is_begun_inside_disabled_is_not_inside(check) -> None:
    check("""
with warmcache.disabled():
    assert in_thread(lambda: load("a") is load("a"))
    assert load("a") is not load("a")
""")


def test_a_thread_that_is_begun_inside_no_load_may_load(check) -> None:
    check("""
with warmcache.no_load():
    assert ["b"] == in_thread(lambda: load("b"))
""")


def test_nor_is_one_that_goes_on_after_it(check) -> None:
    check("""
go = threading.Event()
pool = ThreadPoolExecutor(1)
with warmcache.disabled():
    pool.submit(int).result()
assert load("a") is pool.submit(load, "a").result()
pool.shutdown()
""")


def test_a_scope_of_the_threads_own_is_its(check) -> None:
    check("""
def work():
    with warmcache.disabled():
        inner = load("a") is not load("a")
    return inner and load("a") is load("a")
with warmcache.disabled():
    assert in_thread(work)
assert in_thread(work)
""")


def test_what_is_called_through_to_thread_is_inside(check) -> None:
    check("""
async def main():
    with warmcache.disabled():
        for _ in range(2):  # the first begins a thread for it
            assert await asyncio.to_thread(lambda: load("a") is not load("a"))
    assert await asyncio.to_thread(lambda: load("a") is load("a"))
asyncio.run(main())
""")


def test_a_copy_of_the_context_is_inside_in_another_thread(check) -> None:
    check("""
with warmcache.disabled():
    context = contextvars.copy_context()
assert in_thread(lambda: context.run(lambda: load("a") is not load("a")))
""")


def test_a_thread_that_is_begun_in_a_load_waits_for_it_as_any_other(check) -> None:
    check("""
asks, got = threading.Event(), []

@warm
def slow():
    def work():
        asks.set()
        got.append(slow())
    thread = threading.Thread(target=work)
    thread.start()
    asks.wait(5)
    while not slow.cache.stats().waits:
        pass
    threads.append(thread)
    return ["value"]

threads = []
value = slow()
threads[0].join(5)
assert value is got[0]
""")


def test_a_load_that_is_asked_for_through_to_thread_by_itself_is_refused(check) -> None:
    check("""
@warm
async def outer():
    return await asyncio.to_thread(inner)

@warm
def inner():
    return asyncio.run(outer())

try:
    asyncio.run(outer())
except warmcache.WarmcacheError as error:
    pass
else:
    raise AssertionError("it is not refused")
""")
