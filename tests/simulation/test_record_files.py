"""Files of recordings: only their owner may read them, and links stay what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import warmcache
from warmcache import warm
from warmcache._simulation.trace_file import read_trace


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_only_the_owner_may_read_a_recording(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    load = warm(policy="lru", maxsize=2, record=path)(lambda key: [key])
    load("a")
    load.cache.close()
    assert 0o600 == mode(path)
    with warmcache.LRUCache[str, int](2).record(tmp_path / f"other-{name}"):
        assert 0o600 == mode(tmp_path / f"other-{name}"), "from the first moment on"


def test_a_file_that_others_could_read_is_emptied_and_the_owners_from_then_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("what was there")
    assert 0o666 == mode(path)
    with warmcache.LRUCache[str, int](2).record(path):
        assert 0o600 == mode(path)
        path.chmod(0o640)  # the owner's own wish
    assert 0o640 == mode(path) and "what was there" not in path.read_text()


@pytest.mark.parametrize("there", [False, True])
def test_a_symbolic_link_is_followed(there: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "there.csv", tmp_path / "trace.csv"
    if there:
        target.write_text("what was there")
    link.symlink_to(target)
    cache = warmcache.LRUCache[str, int](2)
    with cache.record(link):
        cache["a"] = 1
    assert link.is_symlink() and ["a"] == read_trace(target).keys
    assert 0o600 == mode(target)


def test_what_is_no_file_stays_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o622)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with warmcache.LRUCache[str, int](2).record(pipe):
            assert 0o622 == mode(pipe)
        assert os.read(reader, 100).startswith(b"t_s,key")
    finally:
        os.close(reader)
