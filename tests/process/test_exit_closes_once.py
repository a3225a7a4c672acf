"""What is warm as a process ends is torn down, once, the last loaded first."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import METHODS, run

# -- which ends ------------------------------------------------------------------------

SEVERAL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

@warm(teardown="close", on_removal=lambda removal: say(who(), removal.cause.value))
def load(name):
    return Value(name)

@warm(policy="gdsf", maxsize=9)
def generate(name):
    value = Value(name)
    try:
        yield value
    finally:
        value.close()

@warm(teardown="close")
async def fetch(name):
    return Value(name)

cache = warmcache.TTLCache(9, ttl=99, teardown="close")
leases = []

def work(*_):
    load("1")
    generate("2")
    cache["3"] = Value("3")
    with warmcache.disabled():
        generate("4")
    asyncio.run(fetch("5"))
    leases.append(load.lease("0"))
    leases[-1].__enter__()
    load("6")
    load("1")  # a use is no load
    load("7")
    load.evict("7")

def main(how, method=None):
    if how == "main":
        return work()
    load("0")  # which arms this process, and is nothing to its children
    context = multiprocessing.get_context(method)
    if how == "process":
        child = context.Process(target=work)
        child.start()
        child.join()
    elif how == "executor":
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(work).result()
    elif how == "pool":
        pool = context.Pool(1)
        pool.map(work, [0])
        pool.close()
        pool.join()
    elif how == "fork" and not os.fork():
        work()
    elif how == "fork":
        ended(-1)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
ENDS = [("main",), ("fork",)]
ENDS += [(how, method) for how in ("process", "executor", "pool") for method in METHODS]


@pytest.mark.parametrize("end", ENDS, ids="-".join)
def test_everything_goes_once_the_last_loaded_first_and_what_is_leased_last(
    end: tuple[str, ...], tmp_path: Path
) -> None:
    who = "parent" if end == ("main",) else "child"
    said = run(tmp_path, SEVERAL, *end)
    told = [line.rpartition(" ")[2] for line in said if line.startswith(who)]
    assert ["7", "explicit", "6", "closed", *"5432", "1", "closed", "0", "closed"] == told
    others = ["parent closes parent's 0", "parent closed"] if who == "child" else []
    assert others == [line for line in said if not line.startswith(who)]


def test_whichever_comes_first_closes_and_the_other_finds_nothing(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        load = warm(teardown="close")(Value)
        load("a")
        import multiprocessing.util
        load("b")
        multiprocessing.util._exit_function()
        say("then atexit")
        """,
    )
    assert ["parent closes parent's b", "parent closes parent's a", "then atexit"] == said


def test_nothing_is_armed_before_something_has_to_be_torn_down(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        from warmcache._process import at_exit as _exit
        cache = warmcache.LRUCache(3)
        cache["a"] = 1
        other = warm(lambda: 1)
        other()
        load = warm(teardown="close")(Value)
        say(_exit._registered, "multiprocessing" in sys.modules)
        load("a")
        say(_exit._registered, "multiprocessing" in sys.modules)
        """,
    )
    assert ["set() False", "{'atexit'} False", "parent closes parent's a"] == said


@pytest.mark.parametrize("threads", ["", "refuse()"])
def test_what_others_load_as_they_end_goes_too_and_nothing_is_logged(
    threads: str, tmp_path: Path
) -> None:
    said = run(
        tmp_path,
        f"""
        import atexit

        class Service:
            @warm(teardown="close")
            def connect(self):
                return Value("a")

        def refuse():  # as Python 3.12 does by now
            def start(thread):
                raise RuntimeError("can't create new thread at interpreter shutdown")
            threading.Thread.start = start

        @atexit.register
        def report():
            {threads}
            Service().connect()
            cache = warmcache.TTLCache(9, ttl=99, teardown="close")
            cache["b"] = Value("b")
            cache["c"] = Value("c")
            say("reported")
        """,
    )
    # The janitor may be at it meanwhile, where it can be.
    closed = [f"parent closes parent's {name}" for name in "abc"]
    assert [*closed, "reported"] == sorted(said)


# -- close_all -------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["main", "thread"])
def test_close_all_can_be_had_earlier_and_what_comes_after_is_refused(
    where: str, tmp_path: Path
) -> None:
    said = run(
        tmp_path,
        """
        load = warm(teardown="close")(Value)
        load("a"), load("b")
        if sys.argv[1] == "main":
            warmcache.close_all()
        else:
            in_thread(warmcache.close_all).join()
        warmcache.close_all()
        try:
            load("a")
        except warmcache.ClosedError as error:
            say(error)
        later = warm(teardown="close")(Value)
        later("c")
        say("end")
        """,
        where,
    )
    closed = ["parent closes parent's b", "parent closes parent's a"]
    by = "in thread 'Thread-1 (close_all)'" if where == "thread" else f"at {tmp_path}/program.py:"
    assert [*closed, "end", "parent closes parent's c"] == said[:2] + said[3:]
    assert said[2].startswith(f"LRUCache '__main__.Value' was closed by close_all() {by}")


def test_closing_that_a_teardown_asks_for_goes_on_with_the_others(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import logging
        logging.disable()
        def close(value):
            value.close()
            if value.name[-1] == "b":
                warmcache.close_all()
        load = warm(teardown=close)(Value)
        load("a"), load("b"), load("c")
        """,
    )
    assert [f"parent closes parent's {name}" for name in "cba"] == said
