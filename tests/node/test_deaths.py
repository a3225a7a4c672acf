"""What becomes of the room of processes of a node that die, are stopped, or fork."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from node_members import Member, Start, begun, until
from processes import run

HOLDS_THE_GATE = """
import fcntl, os, sys, time
gate = os.open(sys.argv[1] + "/lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(gate, fcntl.LOCK_EX)
print("inside", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_had_is_room_once_the_device_shows_it(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    shown = [10.0]
    one, other = member(available=lambda: shown[0], confirm=60.0), start(tmp_path)
    other.tell("lease", 90)
    one.lease(0)
    other.kill()
    assert "of dead processes may not be back yet" in one.lease(50, wait=0.3)
    shown[0] = 100.0
    assert "granted" == one.lease(50)


def test_what_is_in_flight_is_not_there_to_be_shown(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(available=lambda: 50.0, confirm=60.0), start(tmp_path)
    other.tell("lease", 90)
    assert one.ledger.grow(10, 0) is None  # and has not landed
    other.kill()
    assert "granted" != one.lease(41, wait=0.3)
    assert "granted" == one.lease(40, wait=0)


@pytest.mark.parametrize("shown", [None, OSError("no driver")])
def test_without_a_probe_what_a_killed_process_had_is_room_after_a_time(
    shown: OSError | None,
    tmp_path: Path,
    start: Start,
    member: Callable[..., Member],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "warmcache")

    def available() -> float | None:
        if shown is not None:
            raise shown
        return None

    one, other = member(available=available, confirm=0.5), start(tmp_path)
    other.tell("lease", 90)
    other.kill()
    assert "granted" != one.lease(50, wait=0)
    assert "granted" == one.lease(50)
    assert (shown is not None) == ("what its device has left: OSError('no driver')" in caplog.text)


def test_who_comes_later_knows_what_a_dead_one_has_left(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(confirm=60.0), start(tmp_path)
    other.tell("lease", 90)
    other.kill()
    assert "granted" != one.lease(50, wait=0)  # who has found it
    assert "granted" != start(tmp_path).tell("lease", 50, 0.1)
    assert "granted" != start(tmp_path).tell("lease", 11, 0)


def test_who_had_nothing_leaves_nothing_when_it_is_killed(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(confirm=60.0), start(tmp_path)
    other.tell("lease", 90)
    other.tell("shrink", 90)
    other.kill()
    assert "granted" == one.lease(100)
    assert 1 == len([*tmp_path.glob("*.rec")]) == len([*tmp_path.glob("*.sock")])


def test_a_restart_of_the_machine_does_not_keep_what_the_dead_have_left(
    tmp_path: Path, start: Start, member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = member(confirm=0.3), start(tmp_path)
    other.tell("lease", 90)
    other.kill()
    now = time.monotonic_ns
    with monkeypatch.context() as before:  # when the clock had run for a year
        before.setattr(time, "monotonic_ns", lambda: now() + 365 * 86400 * 10**9)
        assert "granted" != one.lease(50, wait=0)
    assert "granted" == one.lease(50)


def test_an_owner_that_is_stopped_is_passed_over(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    stopped, other = start(tmp_path), start(tmp_path)
    stopped.tell("load", 50, 1.0)
    other.tell("load", 50, 2.0)
    stopped.stop()
    assert "granted" == member().lease(40)
    assert [40] == other.tell("gave")


def test_where_no_other_owner_is_left_the_refusal_names_the_stopped_one(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    stopped = start(tmp_path)
    stopped.tell("load", 90)
    stopped.stop()
    refusal = member().ledger.grow(40, wait=1.5)
    assert refusal is not None
    assert (f"process {stopped.pid}",) == refusal.asked
    assert f"asked in vain: process {stopped.pid}" in str(refusal)


def test_an_owner_that_goes_on_is_asked_again_and_gives_nothing_for_who_has_gone(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    stopped, one = start(tmp_path), member()
    stopped.tell("load", 90)
    stopped.stop()
    assert "granted" != one.lease(40, wait=1.2)
    os.kill(stopped.pid, signal.SIGCONT)
    assert [] == stopped.tell("gave")
    assert "granted" == one.lease(40)


def test_a_waiter_that_is_stopped_is_passed_after_a_second(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, stopped = member(), start(tmp_path)
    one.lease(60)
    stopped.begin("lease", 50)
    until(lambda: one.ledger.status().waiting)
    stopped.stop()
    one.shrink(20)  # by which the stopped one could go on
    assert "granted" != one.lease(40, wait=0)
    assert "granted" == one.lease(40)


def test_the_gate_is_free_as_soon_as_its_holder_is_killed(
    tmp_path: Path, member: Callable[..., Member]
) -> None:
    one = member()
    one.lease(10)
    with holder_of_the_gate(tmp_path) as holder:
        end = begun(lambda: one.lease(10))
        holder.kill()
        assert "granted" == end()


def holder_of_the_gate(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDS_THE_GATE, str(folder)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert "inside\n" == holder.stdout.readline()
    return holder


def test_while_the_gates_holder_is_stopped_all_wait_and_say_so(
    tmp_path: Path, member: Callable[..., Member], caplog: pytest.LogCaptureFixture
) -> None:
    one = member()
    one.lease(10)
    with holder_of_the_gate(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        ended = threading.Event()
        end = begun(lambda: (one.ledger.grow(10, 0), ended.set()))
        until(lambda: "fuser -v" in caplog.text)
        assert f"{tmp_path}/lock" in caplog.text
        assert not ended.wait(0.3)  # nobody goes on without
        holder.kill()
        assert (None, None) == end()


def test_a_process_can_end_while_the_gates_holder_is_stopped(
    tmp_path: Path, member: Callable[..., Member]
) -> None:
    one = member()
    one.lease(10)
    with holder_of_the_gate(tmp_path) as holder:
        begun(lambda: one.close())()
        holder.kill()
    other = member(confirm=0.1)
    assert "granted" == other.lease(100)


def test_a_forked_child_does_not_keep_its_killed_parent_alive(tmp_path: Path) -> None:
    program = """
    import signal, time
    from warmcache._node.ledger import NodeLedger

    def make():
        return NodeLedger(
            sys.argv[1], budget=100, quotes=list, reclaim=lambda n: 0, available=lambda: 100.0
        )

    to_child, from_child = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        ledger = make()
        assert ledger.grow(90, 5) is None
        ledger.landed(90)
        if not os.fork():
            os.write(from_child[1], b"%d" % ledger.status().committed)
            os.read(to_child[0], 1)
            os.write(from_child[1], b"!" if ledger.grow(30, 5) is None else b"?")
            ledger.close()
            os._exit(0)
        signal.pause()
    say("committed", os.read(from_child[0], 9).decode())
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    ledger = make()
    say(ledger.grow(50, 5))
    os.write(to_child[1], b"x")
    say(os.read(from_child[0], 9).decode())
    ledger.close()
    """
    folder = tmp_path / "node"
    assert ["committed 90", "None", "!"] == run(tmp_path, program, str(folder))


def test_a_forked_child_takes_a_part_of_its_own_and_the_parent_keeps_its(tmp_path: Path) -> None:
    program = """
    from warmcache._node.ledger import NodeLedger

    ledger = NodeLedger(
        sys.argv[1], budget=100, quotes=list, reclaim=lambda n: 0, available=lambda: None
    )
    assert ledger.grow(60, 5) is None
    child = os.fork()
    if not child:
        say(*ledger.status())
        ledger.shrink(60)  # it has none of it
        say("refused" if ledger.grow(50, 0) else "granted")
        say("refused" if ledger.grow(40, 0) else "granted")
        say(*ledger.status())
        ledger.close()
        os._exit(0)
    ended(child)
    say(*ledger.status())
    ledger.close()
    say(os.listdir(sys.argv[1]))
    """
    assert ["1 60 100 0", "refused", "granted", "2 100 100 0", "1 60 100 0", "[]"] == run(
        tmp_path, program, str(tmp_path / "node")
    )


@pytest.mark.race
def test_a_child_forked_while_a_thread_is_inside_takes_part_all_the_same(tmp_path: Path) -> None:
    program = """
    from warmcache._node.ledger import NodeLedger

    inside, go = threading.Event(), threading.Event()
    def make(available):
        return NodeLedger(
            sys.argv[1], budget=100, quotes=list, reclaim=lambda n: 0, available=available
        )
    dead = os.fork()
    if not dead:
        make(lambda: None).grow(90, 5)
        os._exit(0)
    os.waitpid(dead, 0)

    def available():
        inside.set()
        go.wait(5)
        return 100.0
    ledger = make(available)
    thread = in_thread(lambda: ledger.grow(50, 5))
    inside.wait(5)
    child = os.fork()
    if not child:
        go.set()
        say("child", ledger.grow(20, 5))
        ledger.close()
        os._exit(0)
    go.set()
    ended(child)
    thread.join()
    ledger.close()
    """
    assert ["child None"] == run(tmp_path, program, str(tmp_path / "node"))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_multiprocessing_each_take_a_part_of_their_own(
    method: str, tmp_path: Path
) -> None:
    program = """
    import multiprocessing
    from warmcache._node.ledger import NodeLedger

    ledger = NodeLedger(
        sys.argv[1], budget=100, quotes=list, reclaim=lambda n: 0, available=lambda: None
    )

    def work(said):
        refusal = ledger.grow(30, 5)
        said.send((refusal, ledger.status().processes))
        said.recv()
        ledger.close()

    if __name__ == "__main__":
        ledger.grow(30, 5)
        context = multiprocessing.get_context(sys.argv[2])
        pipes = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            worker = context.Process(target=work, args=(theirs,))
            worker.start()
            pipes.append((ours, worker))
            say(*ours.recv())
        for ours, worker in pipes:
            ours.send("go")
            worker.join()
        say(*ledger.status())
        ledger.close()
    """
    said = run(tmp_path, program, str(tmp_path / "node"), method)
    assert ["None 2", "None 3", "1 30 100 0"] == said
