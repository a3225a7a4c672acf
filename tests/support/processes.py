"""What the tests of forks and of the end of a process share: programs that say what they do.

A program runs in a process of its own, warnings being errors. Each line that it or a
child of its says is an item of what :func:`run` returns; ``who()`` tells the two apart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

METHODS = ["fork", "forkserver", "spawn"]  # by which multiprocessing begins a process
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no such signals here")

CAP = 20.0  # seconds, after which a program hangs

PRELUDE = """
import asyncio, os, sys, threading
import warmcache
from warmcache import warm

PARENT = int(os.environ.setdefault("PARENT", str(os.getpid())))

def who(PARENT=PARENT, getpid=os.getpid):
    return "parent" if getpid() == PARENT else "child"

def say(*words, write=os.write):
    write(1, (" ".join(map(str, words)) + "\\n").encode())

class Value:
    def __init__(self, name=""):
        self.name = f"{who()}'s {name}".strip()
        self.closed = False

    def close(self):
        self.closed = True
        say(who(), "closes", self.name)

    def __del__(self, write=os.write, getpid=os.getpid, PARENT=PARENT):
        if not self.closed:  # with nothing that is gone when the interpreter ends
            who = "parent" if getpid() == PARENT else "child"
            write(1, f"{who} drops {self.name}\\n".encode())

def ended(child):
    os.waitpid(child, 0)[1] == 0 or say("the child failed")

def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
"""


def run(
    tmp_path: Path, program: str, *args: str, status: int = 0, stderr: str | None = ""
) -> list[str]:
    """Run ``program`` and return what it said; check how it ended, and what it complained of.

    A ``status`` below 0 is the signal that ended it; a ``stderr`` of None is not checked.
    """
    path = tmp_path / "program.py"
    path.write_text(PRELUDE + textwrap.dedent(program))
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    process = subprocess.Popen(
        [*command, str(path), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=CAP)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too, have the pipes open
        said, complained = process.communicate()
        raise AssertionError(f"it hangs, having said\n{said}\n{complained}") from None
    if stderr is not None:
        assert stderr == complained, complained
    assert status == process.returncode, complained
    return said.splitlines()
