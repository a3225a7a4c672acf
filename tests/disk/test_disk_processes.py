"""Many processes of one folder: one load of a cold key, whoever is killed, stopped or forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    HEADER,
    KINDS,
    LARGE,
    bytes_of,
    descriptors,
    expected,
    files,
    key_of,
    payload_of,
    read,
    value_of,
    write,
)

from warmcache._disk import locked_file
from warmcache._disk.folder import Folder
from warmcache._disk.store import DiskStore
from warmcache._disk.writing import Writing

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

PRELUDE = f"""
import os, signal, sys, threading, time
sys.path[:0] = {sys.path!r}
from disk_stores import *
folder = sys.argv[1]

def say(*words):
    print(*words, flush=True)

def load(store, name, kind="file", wait=30):
    found = read(store, name)
    if found is None:
        with store.alone(key_of(name), wait) as alone:
            found = read(store, name)
            if found is None:
                say("loads", alone)
                sys.stdin.readline()
                write(store, name, kind)
                found = expected(name, kind)
    say("has it" if found == expected(name, kind) else "has something else")
"""


class Process:
    """One that runs a program, and is told to go on by a line."""

    def __init__(self, folder: Path, program: str) -> None:
        command = [sys.executable, "-W", "error", "-c", PRELUDE + program, str(folder)]
        self.running = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)

    def hear(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write("\n")
        self.running.stdin.flush()

    def rest(self) -> list[str]:
        """Let it go on, and return what else it says."""
        said, _ = self.running.communicate(timeout=30)
        return said.splitlines()


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[str], Process]]:
    begun: list[Process] = []

    def begin(program: str) -> Process:
        begun.append(Process(folder, program))
        return begun[-1]

    yield begin
    for each in begun:
        each.running.kill()
        each.running.communicate()


LOAD = "load(DiskStore(folder), 1)"


def test_eight_processes_and_a_cold_key_make_one_load(
    folder: Path, start: Callable[[str], Process]
) -> None:
    loader = start(LOAD)
    assert "loads True" == loader.hear()
    others = [start("store = DiskStore(folder); say('waits'); load(store, 1)") for _ in range(7)]
    assert ["waits"] * 7 == [each.hear() for each in others]
    assert ["has it"] == loader.rest()
    assert [["has it"]] * 7 == [each.rest() for each in others]
    assert [] == files(folder, "locks")


def test_threads_and_a_cold_key_make_one_load(store: DiskStore) -> None:
    loads, inside = [], threading.Barrier(8)

    def get() -> None:
        inside.wait(5)
        with store.alone(key_of(1), 30) as alone:
            if store.read(key_of(1)) is None:
                loads.append(alone)
                write(store, 1)

    threads = [threading.Thread(target=get) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [True] == loads


def test_a_load_of_one_key_holds_up_no_other(store: DiskStore) -> None:
    with store.alone(key_of(1), 0) as one, store.alone(key_of(2), 0) as other:
        assert one and other


def test_where_the_loader_is_killed_one_other_loads(
    folder: Path, start: Callable[[str], Process]
) -> None:
    loader = start(LOAD)
    loader.hear()
    other = start(LOAD)
    loader.running.kill()
    assert "loads True" == other.hear()
    assert ["has it"] == other.rest()
    assert [] == files(folder, "locks")


def test_where_the_loader_is_stopped_a_wait_has_an_end(
    start: Callable[[str], Process],
) -> None:
    loader = start(LOAD)
    loader.hear()
    loader.running.send_signal(signal.SIGSTOP)
    other = start("load(DiskStore(folder), 1, wait=0.2)")
    assert "loads False" == other.hear()
    assert ["has it"] == other.rest()
    loader.running.send_signal(signal.SIGCONT)
    assert ["has it"] == loader.rest()


def test_two_that_wait_for_each_other_both_go_on(store: DiskStore) -> None:
    """As nested loads in opposite order do."""
    got: list[bool] = []
    both = threading.Barrier(2)

    def nest(outer: int, inner: int) -> None:
        with store.alone(key_of(outer), 5) as first:
            both.wait(5)
            with store.alone(key_of(inner), 0.1) as second:
                got.append(first)
                got.append(second)
                both.wait(5)

    threads = [threading.Thread(target=nest, args=args) for args in ((1, 2), (2, 1))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [False, False, True, True] == sorted(got)


def test_who_leaves_a_lock_that_others_wait_for_leaves_no_file_and_no_two_holders(
    folder: Path, store: DiskStore
) -> None:
    inside, most = [], [0]

    def hold() -> None:
        for _ in range(30):
            with store.alone(key_of(1), 30) as alone:
                assert alone
                inside.append(1)
                most[0] = max(most[0], len(inside))
                inside.pop()

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [1] == most
    assert [] == files(folder, "locks")


def test_a_lock_whose_file_was_removed_while_one_waited_for_it_is_none(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, lock = store.alone(key_of(1), 0), locked_file.try_to_lock
    assert holder.__enter__()

    def leave_first(descriptor: int) -> bool:
        monkeypatch.setattr(locked_file, "try_to_lock", lock)
        holder.__exit__(None, None, None)
        return lock(descriptor)

    monkeypatch.setattr(locked_file, "try_to_lock", leave_first)
    with store.alone(key_of(1), 0) as second, store.alone(key_of(1), 0) as third:
        assert (True, False) == (second, third)


# -- locks that are none, or are not there -----------------------------------------------


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked_file, "try_to_lock", lambda descriptor: True)


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("kind", KINDS)
def test_locks_that_are_granted_to_all_cost_entries_and_nothing_wrong_is_read(
    kind: str, folder: Path, opened: Any
) -> None:
    stores = [opened(maxitems=5) for _ in range(4)]
    wrong: list[object] = []

    def work(who: int) -> None:
        store = stores[who]
        for number in range(40):
            name = number % 7
            try:
                with store.alone(key_of(name), 0):
                    write(store, name, kind)
                if number % 10 == who:
                    store.check()
                if number % 10 == who + 4:
                    DiskStore(folder, maxitems=5).close()  # which clears away
            except FileNotFoundError:  # another took it for a dead one's
                pass
            found = read(store, name)
            if found not in (None, expected(name, kind)):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [] == wrong
    assert 0 == sum(store.counts.refused for store in stores)
    report = stores[0].check()
    assert (report.bytes, 0) == (bytes_of(folder), report.damaged)
    assert [] == files(folder, "tmp")


@pytest.mark.usefixtures("no_locks")
def test_a_writer_that_was_taken_for_dead_does_not_commit(folder: Path, opened: Any) -> None:
    store, other = opened(), opened()
    write(store, "old", FILE, key=1)

    def dump(path: Path) -> None:
        path.write_bytes(value_of("new", LARGE))
        other.check()

    with pytest.raises(FileNotFoundError):
        store.write(key_of(1), HEADER, dump, LARGE)
    assert expected("old", FILE) == read(store, 1)
    assert (1, bytes_of(folder)) == store.totals()


def test_where_there_are_no_locks_it_works_without(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> bool:
        raise locked_file.NoLocksError(37, "No locks available")

    monkeypatch.setattr(locked_file, "try_to_lock", fail)
    store = opened(maxitems=2)
    before = descriptors()
    for name, kind in enumerate(KINDS):
        with store.alone(key_of(name), 60) as alone:
            assert not alone
            assert write(store, name, kind)
        assert expected(name, kind) == read(store, name)
    left = folder / "tmp" / f"{key_of(1)}.{'0' * 16}"
    left.touch()
    assert (2, bytes_of(folder)) == store.check()[:2]
    assert left.exists()  # nobody knows whose it is
    assert before + 2 >= descriptors()  # the index and its journal


# -- what is left of the dead -----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_writer_left_is_cleared_away_by_the_next(
    kind: str, folder: Path, start: Callable[[str], Process], opened: Any
) -> None:
    dying = start(
        f"""
def die(path):
    payload_of(1, {kind!r})(path) if {kind!r} != "inline" else path.touch()
    say("written")
    sys.stdin.readline()
with DiskStore(folder).alone(key_of(2), 0):
    DiskStore(folder).write(key_of(1), HEADER, die, 1)
"""
    )
    assert "written" == dying.hear()
    opened()
    assert 2 <= len(files(folder, "tmp"))  # for it lives
    assert 1 == len(files(folder, "locks"))
    dying.running.kill()
    dying.running.wait()
    store = opened()
    assert [] == files(folder, "tmp") + files(folder, "locks")
    assert (0, 0) == store.totals()


@pytest.mark.parametrize("how", ["remove", "evict"])
def test_what_was_replaced_by_a_writer_that_died_then_goes_with_the_entry(
    how: str, folder: Path, start: Callable[[str], Process], opened: Any
) -> None:
    store = opened()
    write(store, "old", FILE, key=1)
    dying = start(
        """
from warmcache._disk.writing import Writing
Writing._discard_predecessor = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write(DiskStore(folder), "new", "file", key=1)
"""
    )
    assert -signal.SIGKILL == dying.running.wait()
    assert 3 == len(files(folder))
    assert bytes_of(folder) <= store.totals().bytes
    store.remove(key_of(1)) if how == "remove" else store.evict()
    assert [] == files(folder)
    assert (0, 0) == store.totals()


@pytest.mark.race
def test_a_commit_while_its_predecessor_is_removed_leaves_no_payload(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = opened(), opened()
    write(store, "old", FILE, key=1)
    removing, committed = threading.Event(), threading.Event()
    discard, commit = Folder.discard, Writing._discard_predecessor

    def discard_after_the_commit(self: Folder, name: str) -> bool:
        if self is other._folder and name == self.place(key_of(1)) and not removing.is_set():
            removing.set()  # what has this name it takes for the old one
            assert committed.wait(5)
        return discard(self, name)

    def discard_predecessor(self: Writing, before: Any) -> bool:
        committed.set()
        return commit(self, before)

    def dump(path: Path) -> None:
        path.write_bytes(value_of("new", LARGE))
        removal.start()
        assert removing.wait(5)

    monkeypatch.setattr(Folder, "discard", discard_after_the_commit)
    monkeypatch.setattr(Writing, "_discard_predecessor", discard_predecessor)
    removal = threading.Thread(target=other.remove, args=(key_of(1),))
    store.write(key_of(1), HEADER, dump, LARGE)
    removal.join()
    assert [] == files(folder)
    assert (0, 0) == store.totals()


def test_a_write_whose_file_is_cleared_away_before_it_is_locked_takes_another_name(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lock = opened(), locked_file.try_to_lock
    names: list[str] = []

    def clear_first(descriptor: int) -> bool:
        monkeypatch.setattr(locked_file, "try_to_lock", lock)
        names.extend(files(folder, "tmp"))
        (folder / names[0]).unlink()
        return lock(descriptor)

    monkeypatch.setattr(locked_file, "try_to_lock", clear_first)
    written = write(store, 1, FILE)
    assert written is not None
    assert written.payload != names[0].removeprefix("tmp/")
    assert expected(1, FILE) == read(store, 1)


# -- a fork ------------------------------------------------------------------------------


@contextmanager
def forked() -> Iterator[bool]:
    """Give whether this is the child, which ends with the block; see in the parent how it ended."""
    child = os.fork()
    if not child:
        code = 1
        try:
            yield True
            code = 0
        finally:
            os._exit(code)
    yield False
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_child_begins_anew_and_works_on_the_same_folder(
    kind: str, folder: Path, store: DiskStore
) -> None:
    write(store, 1, kind)
    store.used(key_of(1))
    with forked() as child:
        if child:
            assert 0 == sum(store.counts)
            assert store._index.identity is None  # the connection is the parent's
            assert expected(1, kind) == read(store, 1)
            write(store, 2, kind)
            assert [2, bytes_of(folder)] == [*store.totals()]
            store.close()
    assert expected(2, kind) == read(store, 2)
    assert (2, bytes_of(folder)) == store.totals()
    store.close()
    assert 2 == store._index.run(lambda rows: rows.find(key_of(1))).uses  # once, by the parent


def test_a_fork_in_the_midst_of_a_write_leaves_it_to_the_parent(
    folder: Path, store: DiskStore
) -> None:
    write(store, "old", FILE, key=1)
    children: list[int] = []

    def dump(path: Path) -> None:
        path.write_bytes(value_of("new", LARGE))
        children.append(os.fork())

    parent = os.getpid()
    try:
        written = store.write(key_of(1), HEADER, dump, LARGE)
    except OSError as error:
        # In the child: nothing of the parent's is touched.
        os._exit(0 if "its parent goes on" in str(error) and os.getpid() != parent else 1)
    if os.getpid() != parent:
        os._exit(2)
    assert written is not None
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1])
    assert expected("new", FILE) == read(store, 1)
    assert (1, bytes_of(folder)) == store.totals()
    assert [] == files(folder, "tmp")


def test_a_child_that_lives_on_holds_no_lock_of_its_parent(
    folder: Path, start: Callable[[str], Process]
) -> None:
    dying = start(
        """
store = DiskStore(folder)
def dump(path):
    path.write_bytes(b"")
    if not os.fork():
        signal.alarm(30)
        say(os.getpid())
    signal.pause()
with store.alone(key_of(1), 0):
    store.write(key_of(1), HEADER, dump)
"""
    )
    child = int(dying.hear())
    try:
        dying.running.kill()
        dying.running.wait()
        store = DiskStore(folder)
        assert [] == files(folder, "tmp") + files(folder, "locks")
        with store.alone(key_of(1), 0) as alone:
            assert alone
        store.close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_leaves_its_parents_lock_does_not_remove_it(
    folder: Path, store: DiskStore
) -> None:
    with store.alone(key_of(1), 0):
        with forked() as child:
            if child:
                with store.alone(key_of(1), 0) as alone:
                    assert not alone
        lock = store.alone(key_of(2), 0)
        assert lock.__enter__()
        with forked() as child:
            if child:
                lock.__exit__(None, None, None)
        assert 2 == len(files(folder, "locks"))
        lock.__exit__(None, None, None)


def test_a_fork_waits_until_no_thread_is_in_the_index(store: DiskStore) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stay(rows: Any) -> None:
        inside.set()
        go_on.wait(5)

    thread = threading.Thread(target=store._index.run, args=(stay,))
    thread.start()
    inside.wait(5)
    threading.Timer(0.05, go_on.set).start()
    with forked() as child:
        if child:
            assert write(store, 1)
    thread.join()
    assert expected(1, "inline") == read(store, 1)


def test_a_child_forked_while_a_thread_was_in_the_index_reads_and_writes_nothing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmcache._disk.index._FORK_PATIENCE", 0.01)
    write(store, 1)
    inside, go_on = threading.Event(), threading.Event()

    def stay(rows: Any) -> None:
        inside.set()
        go_on.wait(5)

    thread = threading.Thread(target=store._index.run, args=(stay,))
    thread.start()
    inside.wait(5)
    with forked() as child:
        if child:
            assert expected(1, "inline") == read(store, 1)
            with pytest.raises(OSError, match="forked while the index was in use"):
                write(store, 2)
    go_on.set()
    thread.join()
    assert write(store, 2)
    assert payload_of(2, "inline")
