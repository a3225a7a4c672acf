"""Threads, forks, the GIL and other users of the library."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakenvml import FakeNvml

from warmcache import ProbeUnavailable
from warmcache.probes import NvmlProbe, Sample
from warmcache.probes.nvml_session import session
from warmcache.testing import ManualClock

CAP = 5.0
UNKNOWN = Sample()


def until(claim: Callable[[], object]) -> None:
    """Let other threads run until ``claim`` holds."""
    deadline = time.monotonic() + CAP
    while not claim():
        assert time.monotonic() < deadline, "it never came to that"
        os.sched_yield()


class Sampler(threading.Thread):
    """Takes one sample."""

    def __init__(self, probe: NvmlProbe) -> None:
        super().__init__(daemon=True)
        self.probe = probe
        self.sample: Sample | None = None
        self.start()

    def run(self) -> None:
        self.sample = self.probe.sample()

    def result(self) -> Sample | None:
        self.join(CAP)
        assert not self.is_alive()
        return self.sample


# -- threads ---------------------------------------------------------------------------


@pytest.mark.race
def test_python_goes_on_while_the_driver_takes_its_time(fake: FakeNvml) -> None:
    fake.add()
    probe = NvmlProbe(0)
    good = probe.sample()
    fake.state.gate = 1
    slow = Sampler(probe)
    # If the call held the GIL, this thread would run again only once it is over.
    until(lambda: fake.state.waiting)
    assert slow.is_alive()
    fake.state.gate = 0
    assert good == slow.result()


@pytest.mark.race
def test_a_call_that_hangs_makes_the_others_figures_unknown_and_nobody_else_hang(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add()
    clock = ManualClock()
    probe = NvmlProbe(0, timer=clock)
    good = probe.sample()
    monkeypatch.setattr(session, "patience", 0.01)
    fake.state.gate = 1
    hanging = Sampler(probe)
    until(lambda: fake.state.waiting)
    with pytest.raises(ProbeUnavailable, match="another thread's call .* does not return; `nv"):
        NvmlProbe(0)
    other = NvmlProbe.__new__(NvmlProbe)
    other.__dict__.update(probe.__dict__)
    assert UNKNOWN == other.sample()
    assert hanging.is_alive()
    fake.state.gate = 0
    assert good == hanging.result()
    clock.advance(1)
    assert good == other.sample()


@pytest.mark.race
def test_many_threads_never_meet_inside_the_library_nor_raise(fake: FakeNvml) -> None:
    cards = [fake.add(f"GPU-{number}") for number in range(2)]
    probes = [NvmlProbe(number, timer=ManualClock()) for number in range(2)]
    good = [probe.sample() for probe in probes]
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait(CAP)
            for turn in range(300):
                if number == 0 and turn % 50 == 25:
                    session.restart(session.generation)
                sample = probes[number % 2].sample()
                if sample != good[number % 2]:
                    wrong.append(sample)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [] == wrong
    assert 1 == fake.state.together
    assert 2 == len(cards)


# -- processes -------------------------------------------------------------------------

IN_CHILD = """
    import os, signal, sys, threading, time
    import pynvml
    from ctypes import *
    from warmcache import ProbeUnavailable
    from warmcache.probes.nvml import session
    from warmcache.probes import NvmlProbe, Sample

    def until(claim):
        deadline = time.monotonic() + 5
        while not claim() and time.monotonic() < deadline:
            os.sched_yield()

    def in_child(claim):
        "Return what the claim says in a forked child; a child that hangs is killed."
        child = os.fork()
        if not child:
            signal.alarm(10)
            result = 99
            try:
                result = int(claim())
            finally:
                os._exit(result)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(script: str, fake: FakeNvml, library: Path, *arguments: str) -> list[str]:
    """Run a script in a process that finds the library by its path; return what it prints."""
    code = textwrap.dedent(IN_CHILD) + textwrap.dedent(script)
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **fake.environ(library)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout.split()


def test_a_process_finds_the_library_by_its_path_and_loads_nothing_else(
    fake: FakeNvml, library: Path
) -> None:
    card = fake.add()
    script = """
        print(NvmlProbe(0).sample().total)
        print("torch" in sys.modules)
    """
    assert [str(card.total), "False"] == run(script, fake, library)


def test_a_driver_whose_library_lacks_the_second_version_is_read(
    fake: FakeNvml, old_library: Path
) -> None:
    card = fake.add()
    script = "sample = NvmlProbe(0).sample(); print(sample.free, sample.used)"
    assert [str(card.free), str(card.used + card.reserved)] == run(script, fake, old_library)


def test_without_a_driver_it_is_one_clear_line(fake: FakeNvml, tmp_path: Path) -> None:
    script = """
        try:
            NvmlProbe(0)
        except ProbeUnavailable as error:
            print(error)
    """
    said = " ".join(run(script, fake, tmp_path / "nothing"))
    assert "NVML Shared Library Not Found (code 12); install NVIDIA's driver" in said


def test_a_child_reads_the_card_in_a_session_of_its_own(fake: FakeNvml, library: Path) -> None:
    fake.add()
    script = """
        probe = NvmlProbe(0)
        good = probe.sample()
        print(good.total > 0, in_child(lambda: probe.sample() == good))
        print(in_child(lambda: NvmlProbe(0).sample() == good), probe.sample() == good)
    """
    assert ["True", "1", "1", "True"] == run(script, fake, library)
    # Ending the parent's session in the child would end what the two share of it.
    assert (3, 0) == (fake.calls("init"), fake.calls("shutdown"))


@pytest.mark.race
def test_a_child_does_not_inherit_a_lock_that_another_thread_held(
    fake: FakeNvml, library: Path
) -> None:
    fake.add()
    script = """
        probe = NvmlProbe(0)
        good = probe.sample()
        held, go = threading.Event(), threading.Event()
        def hold():
            with pynvml.libLoadLock:
                held.set()
                go.wait(20)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(5)
        print(in_child(lambda: probe.sample() == good))
        go.set()
        thread.join()
    """
    assert ["1"] == run(script, fake, library)


SLOW = """
    sys.path.insert(0, sys.argv[1])
    from fakenvml import _State
    import mmap
    with open(os.environ["FAKE_NVML"], "r+b") as file:
        state = _State.from_buffer(mmap.mmap(file.fileno(), 0))

    probe = NvmlProbe(0)
    good = probe.sample()
    state.gate = 1
    sampler = threading.Thread(target=probe.sample)
    sampler.start()
    until(lambda: state.waiting)
"""


@pytest.mark.race
def test_a_fork_waits_until_no_thread_is_in_a_call(fake: FakeNvml, library: Path) -> None:
    fake.add()
    script = (
        textwrap.dedent(SLOW)
        + """
main = threading.get_ident()

def forking():
    frame = sys._current_frames()[main]
    return frame.f_code.co_name == "before_fork"

def open_gate():
    until(forking)
    state.gate = 0

session.fork_patience = 20
opener = threading.Thread(target=open_gate)
opener.start()
print(in_child(lambda: probe.sample() == good))
opener.join(), sampler.join()
print(probe.sample() == good)
"""
    )
    assert ["1", "True"] == run(script, fake, library, str(Path(__file__).parent))


@pytest.mark.race
def test_a_child_of_a_fork_that_could_not_wait_never_touches_the_library(
    fake: FakeNvml, library: Path
) -> None:
    fake.add()
    script = (
        textwrap.dedent(SLOW)
        + """
session.fork_patience = 0.01

def unavailable():
    try:
        NvmlProbe(0)
    except ProbeUnavailable as error:
        return "was forked while" in error.reason

print(in_child(lambda: probe.sample() == Sample()), in_child(unavailable))
print(in_child(lambda: in_child(unavailable)))
state.gate = 0
sampler.join()
print(probe.sample() == good, in_child(lambda: probe.sample() == good))
"""
    )
    printed = run(script, fake, library, str(Path(__file__).parent))
    assert ["1", "1", "1", "True", "1"] == printed


@pytest.mark.models
def test_torchs_own_use_of_the_library_and_ours_do_not_disturb_each_other(
    fake: FakeNvml, library: Path
) -> None:
    fake.add("GPU-11111111-aaaa-bbbb-cccc-000000000001")
    fake.add("GPU-22222222-aaaa-bbbb-cccc-000000000002")
    script = """
        import torch
        from warmcache.probes import TorchProbe
        probe = TorchProbe(1)
        good = probe.sample()
        print(torch.cuda._raw_device_count_nvml(), *torch.cuda._raw_device_uuid_nvml())
        session.restart(session.generation)
        print(probe.sample() == good, torch.cuda._raw_device_count_nvml())
        print(in_child(lambda: torch.cuda._raw_device_count_nvml() == 2))
        print(in_child(lambda: probe.sample() == good))
        print(probe.base.uuid, torch.cuda.is_initialized(), probe.allocated())
    """
    uuids = [fake.state.card[number].uuid.decode() for number in range(2)]
    expected = ["2", *uuids, "True", "2", "1", "1", uuids[1], "False", "0"]
    assert expected == run(script, fake, library)
