"""As a process ends every teardown is begun, and the process ends, whatever teardowns do."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from processes import needs_fork, posix, run

import warmcache
from warmcache._process import at_exit as _exit


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


@needs_fork
def test_a_child_forked_under_a_watch_for_hangs_ends_all_the_same(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import faulthandler, multiprocessing
        load = warm(teardown="close")(Value)

        def work():
            load("a"), load("b")

        if __name__ == "__main__":
            faulthandler.dump_traceback_later(3600)  # as pytest's faulthandler_timeout does
            child = multiprocessing.get_context("fork").Process(target=work)
            child.start(), child.join()
            say(child.exitcode)
            faulthandler.cancel_dump_traceback_later()
        """,
    )
    assert ["child closes child's b", "child closes child's a", "0"] == said


@needs_fork
def test_in_a_forked_child_too_one_that_lets_nothing_interrupt_it_ends_the_process(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        import multiprocessing
        from warmcache._process import at_exit as _exit
        _exit.PATIENCE = 0.05

        def hang_for_good(value):
            value.close()
            while True:
                try:
                    threading.Event().wait()
                except BaseException:
                    pass

        load = warm(teardown=hang_for_good)(Value)
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=load, args=("a",))
            child.start(), child.join()
            say(child.exitcode)
        """,
        stderr=None,
    )
    assert ["child closes child's a", "1"] == said


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


@pytest.mark.race
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


@pytest.mark.race
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
    assert 10.0 == inspect.signature(warmcache.close_all).parameters["patience"].default
