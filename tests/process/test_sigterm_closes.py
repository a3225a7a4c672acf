"""What is warm as a process ends is torn down, once, the last loaded first."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import run

import warmcache
from warmcache import close_on_sigterm
from warmcache._engines.worker_side import hello
from warmcache._process import at_exit as _exit
from warmcache._process import sigterm as _sigterm

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no such signals here")

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
METHODS = ["fork", "forkserver", "spawn"]
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


# -- how -------------------------------------------------------------------------------


def test_teardowns_run_in_the_main_thread_though_another_has_loaded(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import sqlite3
        load = warm(teardown=lambda _: say(threading.current_thread().name))(Value)
        def work():
            load("a").closed = True
        in_thread(work).join()
        connect = warm(teardown="close")(sqlite3.connect)  # wants to be closed where it began
        connect(":memory:")
        """,
    )
    assert ["MainThread"] == said


def test_a_failing_teardown_stops_no_other_and_is_logged(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        def fail(value):
            value.close()
            raise RuntimeError("on purpose")
        one = warm(teardown=fail)(Value)
        other = warm(teardown="close")(Value)
        one("a"), other("b"), one("c")
        import logging
        logging.basicConfig(stream=sys.stdout)
        """,
    )
    closed = [line for line in said if "closes" in line]
    assert [f"parent closes parent's {name}" for name in "cba"] == closed
    assert 2 == said.count("RuntimeError: on purpose")


HANGING = """
    import logging, signal
    from warmcache._process import at_exit as _exit
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    _exit.PATIENCE = float(sys.argv[1])
    def close(value):
        say("begins", value.name[-1])
        if value.name[-1] in sys.argv[2]:
            threading.Event().wait()
        value.close()
    one = warm(teardown=close)(Value)
    other = warm(teardown=close)(Value)
    one("a"), other("b"), one("c"), other("d")
    value = one("c")
    value.closed = True
"""


@posix
@pytest.mark.parametrize("hanging", ["c", "dba"])
def test_a_hanging_teardown_stops_neither_the_others_nor_the_end_and_is_named(
    hanging: str, tmp_path: Path
) -> None:
    said = run(tmp_path, HANGING, "0.1", hanging)
    begun = [line[-1] for line in said if line.startswith("begins")]
    closed = [line[-1] for line in said if line.startswith("parent closes")]
    left = [line for line in said if line.startswith("not torn down in time")]
    assert ([*"dcba"], [name for name in "dcba" if name not in hanging]) == (begun, closed)
    names = ", ".join(f"Value('{name}')" for name in hanging)
    assert [f"not torn down in time, and left as the process closes: {names}"] == left


@posix
def test_one_that_lets_nothing_interrupt_it_ends_the_process_and_is_shown(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        from warmcache._process import at_exit as _exit
        _exit.PATIENCE = 0.05
        def hang_for_good(value):
            value.close()
            while True:
                try:
                    threading.Event().wait()
                except BaseException:
                    pass
        warm(teardown=hang_for_good)(Value)("a")
        import logging
        logging.disable()
        """.replace("warm(tear", "load = warm(tear").replace(
            ')(Value)("a")', ')(Value); load("a")'
        ),
        status=1,
        stderr=None,
    )
    assert ["parent closes parent's a"] == said


@posix
def test_the_users_own_timer_goes_on_afterwards(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import signal
        rung = threading.Event()
        handler = lambda *_: say("rung")
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 3600)
        load = warm(teardown="close")(Value)
        load("a")
        warmcache.close_all()
        say(signal.getsignal(signal.SIGALRM) is handler, signal.getitimer(0)[0] > 3000)
        """,
    )
    assert ["parent closes parent's a", "True True"] == said


def test_an_interrupt_is_raised_once_everything_is_torn_down(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        def interrupted(value):
            value.close()
            if "b" in value.name:
                raise KeyboardInterrupt
        load = warm(teardown=interrupted)(Value)
        load("a"), load("b")
        try:
            warmcache.close_all()
        except KeyboardInterrupt:
            say("interrupted")
        """,
        stderr=None,
    )
    assert ["parent closes parent's b", "parent closes parent's a", "interrupted"] == said


def test_a_teardown_that_another_thread_has_begun_is_waited_for(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        begun, go = threading.Event(), threading.Event()
        def close(value):
            if "a" in value.name[-1]:
                begun.set()
                go.wait(20)
            else:
                go.set()
            value.close()
        load = warm(teardown=close)(Value)
        load("a"), load("b")
        in_thread(lambda: load.evict("a"))
        begun.wait(20)
        """,
    )
    assert {"parent closes parent's a", "parent closes parent's b"} == {*said}
    assert 2 == len(said)


def test_a_teardown_that_another_thread_never_ends_is_named(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import logging
        from warmcache._process import at_exit as _exit
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        begun = threading.Event()
        def close(value):
            value.closed = True
            begun.set()
            threading.Event().wait()
        load = warm(teardown=close)(Value)
        load("a")
        in_thread(lambda: load.evict("a"))
        begun.wait(20)
        _exit.PATIENCE = 0.05
        """,
    )
    assert ["not torn down in time, and left as the process closes: Value('a')"] == said


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
    closed = ["parent closes parent's b", "parent closes parent's a", "the cache is closed"]
    assert [*closed, "end", "parent closes parent's c"] == said


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


# -- SIGTERM ---------------------------------------------------------------------------

TERMINATED = """
import logging, signal
logging.basicConfig(stream=sys.stdout, format="%(message)s")
@warm(teardown="close")
def load(name):
    return Value(name)
def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
"""


def terminated(tmp_path: Path, program: str, *, status: int = -signal.SIGTERM) -> list[str]:
    """Run ``program``, which can ``load`` and ``terminate``, and says what is logged."""
    return run(tmp_path, TERMINATED + textwrap.dedent(program), status=status)


@posix
def test_sigterm_closes_everything_and_the_process_still_dies_of_it(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        warmcache.close_on_sigterm()
        load("a"), load("b")
        in_thread(terminate)
        threading.Event().wait()
        """,
    )
    assert ["parent closes parent's b", "parent closes parent's a"] == said


@posix
@pytest.mark.parametrize(
    "opt_in", ["", "warmcache.close_on_sigterm()()"], ids=["without", "undone"]
)
def test_without_it_and_after_undoing_it_sigterm_closes_nothing(
    opt_in: str, tmp_path: Path
) -> None:
    assert [] == terminated(tmp_path, f"{opt_in}\nload('a')\nterminate()\n")


@posix
def test_a_handler_that_was_there_is_called_once_everything_is_closed(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number + 1))
        assert warmcache.close_on_sigterm() == warmcache.close_on_sigterm()
        load("a")
        try:
            terminate()
        finally:
            say("unwound")
        """,
        status=signal.SIGTERM + 1,
    )
    assert ["parent closes parent's a", "unwound"] == said


@posix
def test_where_sigterm_is_ignored_it_stays_so_and_nothing_is_closed(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        undo = warmcache.close_on_sigterm()
        load("a")
        terminate()
        undo()
        terminate()
        say("alive")
        """,
        status=0,
    )
    assert ["alive", "parent closes parent's a"] == said


@posix
@pytest.mark.parametrize(
    "before",
    ["warmcache.close_on_sigterm()()", "warmcache.close_on_sigterm(); other_handler()"],
    ids=["undone", "covered"],
)
def test_a_worker_that_is_forked_closes_on_sigterm_whatever_its_parent_made_of_it(
    before: str, tmp_path: Path
) -> None:
    said = terminated(
        tmp_path,
        f"""
        from warmcache._engines.worker_side import hello
        other_handler = lambda: signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        {before}
        if not os.fork():
            hello()
            load("a")
            terminate()
        os.wait()
        """,
        status=0,
    )
    assert ["child closes child's a"] == said


@posix
def test_a_second_sigterm_waits_for_nothing(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        warmcache.close_on_sigterm()
        impatient = warm(teardown=lambda value: (value.close(), terminate()))(Value)
        load("a"), impatient("b")
        terminate()
        """,
    )
    assert ["parent closes parent's b"] == said


@posix
def test_a_teardown_that_hangs_holds_sigterm_up_for_its_time_alone(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        warmcache.close_on_sigterm(patience=0.1)
        hanging = warm(teardown=lambda value: threading.Event().wait())(Value)
        load("a"), hanging("b")
        terminate()
        """,
    )
    assert "parent closes parent's a" in said
    assert "not torn down in time, and left as the process closes: Value('b')" in said


@posix
def test_a_teardown_that_sigterm_interrupts_is_named_and_the_others_run(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        warmcache.close_on_sigterm()
        interrupted = warm(teardown=lambda value: (terminate(), value.close()))(Value)
        load("a"), interrupted("b")
        interrupted.evict("b")
        """,
    )
    left = "not torn down in time, and left as the process closes: Value('b')"
    assert ["parent closes parent's a", left] == said


@posix
def test_a_forked_child_inherits_it_and_closes_what_it_has_itself(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        warmcache.close_on_sigterm()
        load("a")
        child = os.fork()
        if not child:
            load("b")
            terminate()
        status = os.waitpid(child, 0)[1]
        say(os.waitstatus_to_exitcode(status), load("a").name)
        """,
        status=0,
    )
    assert ["child closes child's b", "-15 parent's a", "parent closes parent's a"] == said


@posix
def test_a_child_that_is_forked_while_its_parent_closes_can_close_too(tmp_path: Path) -> None:
    said = terminated(
        tmp_path,
        """
        children = []
        def fork(value):
            value.close()
            if not children:
                children.append(None)
                children.append(os.fork())
                if not children[1]:
                    @warm(teardown="close")
                    def other(name):
                        return Value(name)
                    other("b")
                    terminate()
                os.waitpid(children[1], 0)
        warmcache.close_on_sigterm()
        forking = warm(teardown=fork)(Value)
        forking("a")
        terminate()
        """,
    )
    assert ["parent closes parent's a", "child closes child's b"] == said


@posix
@pytest.mark.parametrize("method", METHODS)
def test_terminating_a_worker_of_multiprocessing_closes_it(method: str, tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import multiprocessing
        @warm(teardown="close")
        def load(name):
            return Value(name)
        def work(ready):
            warmcache.close_on_sigterm()
            load("a")
            ready.set()
            threading.Event().wait()
        def main():
            context = multiprocessing.get_context(sys.argv[1])
            ready = context.Event()
            child = context.Process(target=work, args=(ready,))
            child.start()
            ready.wait(20)
            child.terminate()
            child.join()
            say(child.exitcode)
        if __name__ == "__main__":
            main()
        """,
        method,
    )
    assert ["child closes child's a", "-15"] == said


@pytest.fixture
def sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    _sigterm._installed = None
    _sigterm._asked_here = False


@pytest.fixture
def called(sigterm: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called by a SIGTERM, ours over theirs, and another over both."""
    called: list[str] = []
    monkeypatch.setattr(_sigterm, "end", lambda patience: called.append("closed"))
    signal.signal(signal.SIGTERM, lambda *_: called.append("theirs"))
    close_on_sigterm()
    below = signal.getsignal(signal.SIGTERM)
    assert callable(below)

    def over(number: int, frame: object) -> None:
        called.append("over")
        below(number, None)

    signal.signal(signal.SIGTERM, over)
    return called


def test_asked_for_again_it_closes_once_and_first(called: list[str]) -> None:
    over = signal.getsignal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert ["over", "closed", "theirs"] == called
    undo = close_on_sigterm()
    signal.raise_signal(signal.SIGTERM)
    assert ["closed", "over", "theirs"] == called[3:]
    undo()
    assert over is signal.getsignal(signal.SIGTERM)


def test_undone_it_leaves_a_handler_that_was_put_over_it_and_closes_nothing(
    called: list[str],
) -> None:
    assert _sigterm._installed is not None
    _sigterm._installed.undo()
    signal.raise_signal(signal.SIGTERM)
    assert ["over", "theirs"] == called


def test_a_worker_that_begins_to_serve_keeps_what_it_was_told_of_sigterm(sigterm: None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    undo = close_on_sigterm(patience=3)
    hello()
    assert _sigterm._installed is not None
    assert 3 == _sigterm._installed.patience
    undo()
    hello()
    assert before is signal.getsignal(signal.SIGTERM)


def test_only_the_main_thread_can_ask_for_it() -> None:
    errors: list[str] = []

    def ask() -> None:
        try:
            close_on_sigterm()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert 1 == len(errors) and "must be called in the main thread" in errors[0]


def test_a_handler_that_is_not_pythons_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with pytest.raises(RuntimeError, match="not Python's.*close_all"):
        close_on_sigterm()


@pytest.mark.parametrize("signalled", [_exit.Overdue, KeyboardInterrupt])
def test_a_signal_just_as_a_teardown_ends_leaves_no_last_resort_behind(
    signalled: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    armed: list[object] = []
    handler = _exit.faulthandler
    monkeypatch.setattr(handler, "dump_traceback_later", lambda *_, **__: armed.append(None))
    monkeypatch.setattr(handler, "cancel_dump_traceback_later", armed.clear)

    class Interrupted(_exit._Watch):
        alarms = 1

        def _stop(self) -> None:
            if self.alarms:
                self.alarms -= 1
                raise signalled
            super()._stop()

    with Interrupted(1.0, last_resort=True) as watch:
        watch.run(lambda: None, "key")
        assert [] == armed == _exit._watched


def test_patience_is_ten_seconds_unless_said() -> None:
    assert 10.0 == _exit.PATIENCE
    assert warmcache.close_all.__kwdefaults__ == {"patience": 10.0}
