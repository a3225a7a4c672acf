"""A process that asks for it closes what is warm on SIGTERM, and dies of it as it would have."""

from __future__ import annotations

import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import METHODS, posix, run

from warmcache import close_on_sigterm
from warmcache._engines.worker_side import hello
from warmcache._process import sigterm as _sigterm

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
