"""Caches with a node, as processes begin, fork and end, and as loaders travel between them."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from node_caches import Sharer
from node_members import CAP, Member
from processes import METHODS, run

from warmcache import warm
from warmcache.memory import HostMemoryCache, MemoryCache
from warmcache.testing import FakeProbe

Make = Callable[..., Sharer]

SHARER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent / "support")!r})
from node_caches import Sharer
"""


# -- forks and other children --------------------------------------------------------------


def test_a_forked_child_takes_part_by_itself_with_nothing_warm(tmp_path: Path) -> None:
    program = f"""{SHARER}
sharer = Sharer(sys.argv[1])
sharer.lease("a", 60)
child = os.fork()
if not child:
    say(sharer.warm(), sharer.load("b", 30), *sharer.node())
    sharer.load("c", 10), sharer.cache.clear()
    say(*sharer.node())
    os._exit(0)
ended(child)
sharer.load("d", 1)
say(*sharer.node()[:1], sharer.warm())
"""
    node = str(tmp_path / "node")
    assert ["[]  2 90 100 0", "2 60 100 0", "1 ['a', 'd']"] == run(tmp_path, program, node)


def test_what_a_killed_parent_had_is_room_though_its_child_lives(
    tmp_path: Path, sharer: Make
) -> None:
    program = f"""{SHARER}
import os, time
sharer = Sharer(sys.argv[1])
sharer.lease("a", 90)
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""
    path, node = tmp_path / "program.py", tmp_path / "node"
    path.write_text(program)
    parent = subprocess.Popen([sys.executable, path, node], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        here = sharer(node=node)
        assert (1, 90, 100, 0) == here.node()
        parent.kill()
        parent.wait(CAP)
        assert "" == here.load("b", 50)
        os.kill(child, 0)  # it lives still
    finally:
        os.kill(child, signal.SIGKILL)
        parent.kill()
        parent.wait(CAP)
        parent.stdout.close()


@pytest.mark.parametrize("method", METHODS)
def test_children_of_multiprocessing_have_records_of_their_own(method: str, tmp_path: Path) -> None:
    program = f"""{SHARER}
import multiprocessing

def work(folder, pipe):
    sharer = Sharer(folder)
    sharer.lease("b", 30)
    pipe.send(sharer.node())
    pipe.recv()

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    sharer = Sharer(sys.argv[1])
    sharer.load("a", 30)
    ours, theirs = context.Pipe()
    child = context.Process(target=work, args=(sys.argv[1], theirs))
    child.start()
    say(*ours.recv())
    say(repr(sharer.load("c", 60)), sharer.warm())
    ours.send("end")
    child.join()
    say(child.exitcode, repr(sharer.load("d", 40)), *sharer.node())
"""
    said = run(tmp_path, program, str(tmp_path / "node"))
    assert ["2 60 100 0", "'' ['c']", "0 '' 1 100 100 0"] == said


def test_a_process_that_ends_tears_down_before_others_may_load(tmp_path: Path) -> None:
    program = f"""{SHARER}
from node_members import Member
sharer = Sharer(sys.argv[1])
folder = sharer.cache._view.meter.member._folder

def teardown(value):
    say("torn down while", Member(folder).ledger.status().committed, "count")

sharer.loader(60, teardown=teardown)("a")
"""
    assert ["torn down while 60 count"] == run(tmp_path, program, str(tmp_path / "node"))
    assert [] == [*(tmp_path / "node").glob("*/*")]


# -- travelling --------------------------------------------------------------------------


def test_a_loader_that_travels_takes_its_node_along(tmp_path: Path) -> None:
    @warm(policy="ram", budget="64MiB", node=tmp_path, floor="1MiB", size="1MiB")
    def load(name: str) -> bytes:
        return name.encode()

    load("here")
    path = tmp_path / "loader.pickle"
    path.write_bytes(cloudpickle.dumps(load))
    program = """
import pickle
with open(sys.argv[1], "rb") as file:
    load = pickle.load(file)
say(load("there").decode(), *load.cache.node[:3])
"""
    assert [f"there 2 {2 * 2**20} {64 * 2**20}"] == run(tmp_path, program, str(path))
    assert load.cache is not None and load.cache.node is not None
    assert 1 == load.cache.node.processes
    load.cache.close()


@pytest.mark.parametrize("again", [copy.copy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_such_a_cache_is_as_little_to_be_copied_as_any_of_memory(
    again: Callable[[Any], Any], tmp_path: Path
) -> None:
    with HostMemoryCache[str, Any]("1MiB", node=tmp_path, getsizeof=len) as cache:
        cache["a"] = bytes(1000)
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            again(cache)
        assert cache.node is not None and (1, 1000) == cache.node[:2]


def test_a_loader_that_is_switched_off_takes_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMCACHE", "off")
    program = """
@warm(policy="ram", budget="1MiB", node=sys.argv[1], size=10)
def load():
    say("loaded")

load(), load()
say(*os.listdir(os.path.join(sys.argv[1], *os.listdir(sys.argv[1]))))
"""
    assert ["loaded", "loaded", ""] == run(tmp_path, program, str(tmp_path / "node"))


# -- folders and disks that are not as they should be -----------------------------------------


@pytest.mark.parametrize("wrong", ["wide", "another user's", "link", "windows"])
def test_a_folder_that_is_not_safe_is_refused_where_the_loader_is_decorated(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    error: type[Exception] = PermissionError
    if wrong == "link":
        error = ValueError
        (tmp_path / "elsewhere").mkdir(0o700)
        node.symlink_to(tmp_path / "elsewhere")
    else:
        node.mkdir(0o700)
    if wrong == "wide":
        node.chmod(0o777)
    with monkeypatch.context() as within:
        if wrong == "another user's":
            mine = os.geteuid()
            within.setattr(os, "geteuid", lambda: mine + 1)
        elif wrong == "windows":
            error = ValueError
            within.setattr("warmcache._node.flock.fcntl", None)
        with pytest.raises(error):

            @warm(policy="ram", budget="1MiB", node=node)
            def load() -> None: ...

    assert [] == [*node.iterdir()]


def test_where_the_disk_is_full_a_cache_works_alone_and_says_so_once(
    tmp_path: Path, sharer: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    here = sharer(probe=FakeProbe(10_000, name="device"))
    outside = Member(tmp_path / "device")
    outside.lease(90)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", fail)
        assert "" == here.load("a", 60) == here.load("b", 60)
    assert ["b"] == here.warm()
    assert 1 == caplog.text.count("goes on alone")
    assert "" == here.load("c", 90)
    outside.close()


def test_a_folder_that_is_deleted_leaves_a_process_to_itself(
    tmp_path: Path, sharer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    here = sharer()
    here.load("a", 60)
    while tmp_path.exists():  # it may write there meanwhile
        shutil.rmtree(tmp_path, ignore_errors=True)
    assert "" == here.load("b", 60)
    assert ["b"] == here.warm() and "goes on alone" in caplog.text


@pytest.mark.parametrize("wrong", [3, b"folder", 0.5])
def test_what_is_neither_true_nor_a_folder_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="node"):
        MemoryCache(100, probe=FakeProbe(100), node=wrong)
