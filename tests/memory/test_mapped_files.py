"""What is mapped from files weighs nothing, as far as the system can drop it by itself."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footprints import KIB, size
from mapped import PAGE, folder_on_disk

from warmcache import HostMemoryCache, warm
from warmcache.memory import mapped_files
from warmcache.memory.footprint import footprint
from warmcache.testing import assert_consistent


@pytest.fixture
def weights() -> Iterator[Path]:
    """Give a file of ten pages."""
    with folder_on_disk() as folder:
        file = folder / "the weights"
        file.write_bytes(bytes(10 * PAGE))
        yield file


def mapped(value: object) -> tuple[int, int]:
    """Return what is counted of a value, and what of it is mapped."""
    found = footprint(value, "cpu")
    assert found is not None
    assert found.nbytes == sum(nbytes for _, nbytes in found.parts)
    return found.nbytes, found.mapped


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file_weighs_nothing(weights: Path, mode: Any) -> None:
    values = np.memmap(weights, mode=mode)
    assert (0, 10 * PAGE) == mapped(values) == mapped([values, values[:7]])
    assert 0 == values.sum()
    assert (0, 10 * PAGE) == mapped(values), "read or not"


def test_mapped_objects_and_what_lies_over_them_are_mapped(weights: Path) -> None:
    with weights.open("rb") as file:
        opened = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert (0, 10 * PAGE) == mapped([opened, np.frombuffer(opened, np.uint8), memoryview(opened)])


def test_what_lies_beside_it_weighs(weights: Path) -> None:
    own = np.zeros(KIB, np.uint8)
    assert (KIB, 10 * PAGE) == mapped([np.memmap(weights, mode="r"), own])
    assert KIB == size(own)


def test_pages_that_were_written_to_weigh_where_the_file_does_not_get_them(weights: Path) -> None:
    values = np.memmap(weights, mode="c")
    values[PAGE], values[2 * PAGE], values[7 * PAGE + 5] = 1, 1, 1
    assert (3 * PAGE, 7 * PAGE) == mapped(values)
    found = footprint(values, "cpu")
    assert found is not None and found.blocks is not None
    assert [2 * PAGE, PAGE] == [end - start for start, end, _ in found.blocks]


def test_what_is_written_to_the_file_itself_can_be_dropped(weights: Path) -> None:
    values = np.memmap(weights, mode="r+")
    values[:] = 1
    assert (0, 10 * PAGE) == mapped(values)


def test_memory_that_only_looks_like_a_file_weighs() -> None:
    shared = mmap.mmap(-1, 4 * PAGE)
    assert (4 * PAGE, 0) == mapped(shared)
    private = mmap.mmap(-1, 4 * PAGE, flags=mmap.MAP_PRIVATE)
    assert (4 * PAGE, 0) == mapped(private)


MOUNTS = b"""\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:20 / /run rw shared:1 - tmpfs tmpfs rw
24 23 8:2 / /run/disk\\040two rw - xfs /dev/sdb rw
25 22 0:6 / /huge rw - hugetlbfs none rw
"""


@pytest.mark.parametrize(
    ("path", "weighs"),
    [
        (b"/models/a", False),
        (b"/running/a", False),
        (b"/run/a", True),
        (b"/run/disk two/a", False),
        (b"/huge/a", True),
        (b"/dev/shm/torch_1_2", True),
        (b"/dev/zero (deleted)", True),
        (b"/memfd:weights (deleted)", True),
        (b"/SYSV00000000 (deleted)", True),
        (b"/models/a (deleted)", False),
    ],
)
def test_files_that_lie_in_memory_themselves_weigh(
    path: bytes, weighs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = (
        b"1000-2000 r--s 00000000 08:01 0                          [heap]\n"
        b"2000-3000 r--s 00000000 08:01 5                          " + path + b"\n"
        b"3000-4000 rw-p 00000000 00:00 0 \n"
    )
    files = {"/proc/self/maps": maps, "/proc/self/mountinfo": MOUNTS}
    monkeypatch.setattr(mapped_files, "_read", files.__getitem__)
    ranges: list[Any] = [(0x1000, 0x1800, None), (0x1F00, 0x3100, None), (0x3F00, 0x4000, None)]
    kept, nbytes = mapped_files.apart_from_files(ranges)
    if weighs:
        assert (ranges, 0) == (kept, nbytes)
    else:
        outside = [(0x1F00, 0x2000, None), (0x3000, 0x3100, None)]
        assert ([ranges[0], *outside, ranges[2]], 0x1000) == (kept, nbytes)


@pytest.mark.parametrize("unreadable", ["maps", "pagemap"])
def test_where_it_cannot_be_told_it_weighs(
    weights: Path, unreadable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unreadable == "maps":
        monkeypatch.setattr(mapped_files, "_read", lambda path: b"")
    else:
        monkeypatch.setattr(mapped_files, "_page_flags", lambda page, count: b"")
    assert (10 * PAGE, 0) == mapped(np.memmap(weights, mode="c"))


def test_it_says_by_what_it_was_weighed_and_evicts_nothing(weights: Path) -> None:
    cache: HostMemoryCache[Any, Any] = HostMemoryCache(8 * PAGE, poll=0, wait=0, confirm=60)

    @warm(cache=cache)
    def load(name: str) -> Any:
        return np.zeros(4 * PAGE, np.uint8) if name == "own" else np.memmap(weights, mode="r")

    load.warm_up(["own", "a", "b"])
    assert [(4 * PAGE, "footprint"), (0, "mapped"), (0, "mapped")] == [
        (each.weight, each.weighed_by) for each in cache.entries()
    ]
    held = load("a")
    load.evict("a")
    assert (0, 0) == (cache.stats().dying, cache.stats().zombies), "nothing is waited for"
    assert_consistent(cache)
    assert 0 == held[0]


def test_pages_that_were_read_are_not_taken_for_what_is_not_seen(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with weights.open("r+b") as file:
        file.truncate(64 * 2**20)
    cache: HostMemoryCache[Any, Any] = HostMemoryCache("1GiB", poll=0)

    @warm(cache=cache)
    def load() -> Any:
        values = np.memmap(weights, mode="r")
        assert 0 == values.sum()  # all of it is in physical memory now
        return values

    load()
    assert [(0, "mapped")] == [(each.weight, each.weighed_by) for each in cache.entries()]


def test_two_entries_share_the_pages_that_both_have_written(weights: Path) -> None:
    cache: HostMemoryCache[Any, Any] = HostMemoryCache(100 * PAGE, poll=0)
    values = np.memmap(weights, mode="c")
    values[: 3 * PAGE] = 1
    cache["a"], cache["b"] = values, values[: 2 * PAGE]
    assert [3 * PAGE, 0] == [each.weight for each in cache.entries()]
    del cache["a"]
    assert 3 * PAGE == cache.entries()[0].weight, "the whole mapping lives as long as a view"
