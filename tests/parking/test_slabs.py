"""Host memory is reused by what fits, kept within its limit, and given back."""

from __future__ import annotations

import mmap
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from warmcache._parking.parking import CannotPark
from warmcache._parking.slabs import Slabs
from warmcache._process.janitor import janitor

PAGE = mmap.PAGESIZE


def taken_and_given_back(slabs: Slabs, nbytes: int) -> None:
    slabs.give_back(slabs.take(nbytes))


def test_a_slab_is_whole_pages_and_can_be_written() -> None:
    slabs = Slabs()
    slab = slabs.take(PAGE + 1)
    assert 2 * PAGE == slab.nbytes == slabs.in_use
    assert slab.view is not None
    slab.view[-1] = 7
    assert (7, 2 * PAGE) == (slab.view[-1], len(slab.view))
    assert PAGE == slabs.take(0).nbytes


def test_what_was_given_back_is_reused_by_what_fits() -> None:
    slabs = Slabs()
    slab = slabs.take(16 * PAGE)
    slabs.give_back(slab)
    slabs.give_back(slab)  # which changes nothing
    assert (0, 16 * PAGE) == (slabs.in_use, slabs.kept)
    assert slab is slabs.take(15 * PAGE)
    assert (16 * PAGE, 0) == (slabs.in_use, slabs.kept)
    slabs.give_back(slab)
    assert slab is not slabs.take(14 * PAGE)  # too much of it would lie idle
    assert slab is not slabs.take(17 * PAGE)
    assert 16 * PAGE == slabs.kept


def test_the_smallest_that_fits_is_taken() -> None:
    slabs = Slabs()
    large, small = slabs.take(18 * PAGE), slabs.take(17 * PAGE)
    slabs.give_back(large)
    slabs.give_back(small)
    assert small is slabs.take(16 * PAGE)


def test_what_is_still_looked_into_waits_and_counts() -> None:
    slabs = Slabs(limit=4 * PAGE)
    slab = slabs.take(3 * PAGE)
    assert slab.view is not None
    onlooker = [slab.view]
    slabs.give_back(slab)
    assert (3 * PAGE, 0) == (slabs.in_use, slabs.kept)
    with pytest.raises(CannotPark):
        slabs.take(3 * PAGE)
    slabs.unmap_kept()
    onlooker[0][0] = 1
    onlooker.clear()
    assert (0, 3 * PAGE) == (slabs.in_use, slabs.kept)
    assert slab is slabs.take(3 * PAGE)


def test_all_of_them_stay_within_the_limit() -> None:
    slabs = Slabs(limit=9 * PAGE)
    for nbytes in (4 * PAGE, 6 * PAGE):
        slab = slabs.take(nbytes)
        slabs.give_back(slab)
    assert 6 * PAGE == slabs.kept
    first = slabs.take(3 * PAGE)
    assert (3 * PAGE, 6 * PAGE) == (slabs.in_use, slabs.kept)
    with pytest.raises(CannotPark, match="it takes .* of host memory, and of .* are in use"):
        slabs.take(8 * PAGE)
    assert 6 * PAGE == slabs.kept
    slabs.take(5 * PAGE)
    assert (8 * PAGE, 0) == (slabs.in_use, slabs.kept)
    slabs.give_back(first)
    assert 3 * PAGE == slabs.kept


def test_the_oldest_are_unmapped_first() -> None:
    slabs = Slabs(limit=10 * PAGE)
    one, two = slabs.take(4 * PAGE), slabs.take(5 * PAGE)
    slabs.give_back(two)
    slabs.give_back(one)
    slabs.take(3 * PAGE)
    assert (3 * PAGE, 4 * PAGE) == (slabs.in_use, slabs.kept)


def test_what_is_kept_can_be_given_to_the_system() -> None:
    slabs = Slabs()
    staying = slabs.take(PAGE)
    taken_and_given_back(slabs, 5 * PAGE)
    slabs.unmap_kept()
    assert (PAGE, 0) == (slabs.in_use, slabs.kept)
    assert staying.view is not None


def test_memory_that_the_system_does_not_have_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slabs = Slabs()

    def none_left(*_arguments: Any, **_more: Any) -> None:
        assert PAGE == slabs.in_use
        raise OSError("cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", none_left)
    with pytest.raises(OSError, match="cannot allocate"):
        slabs.take(PAGE)
    assert 0 == slabs.in_use


class Cuda:
    """What slabs ask of CUDA, and what was asked."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.locked: dict[int, int] = {}

    def is_available(self) -> bool:
        return True

    def cudart(self) -> Any:
        return types.SimpleNamespace(
            cudaHostRegister=self.register, cudaHostUnregister=self.locked.pop
        )

    def register(self, address: int, nbytes: int, flags: int) -> int:
        if not self.error:
            self.locked[address] = nbytes
        return self.error


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    return cuda


def test_slabs_are_locked_where_there_is_cuda_and_unlocked_before_they_go(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    slabs, jobs = Slabs(), list[Callable[[], object]]()
    monkeypatch.setattr(janitor, "defer", jobs.append)
    taken_and_given_back(slabs, 3 * PAGE)
    taken_and_given_back(slabs, 3 * PAGE)
    assert [3 * PAGE] == [*cuda.locked.values()]
    slabs.unmap_kept()
    assert {} == cuda.locked
    assert [] == jobs, "it would be unlocked twice, and what is there now the second time"
    Slabs(page_locked=False).take(PAGE)
    assert {} == cuda.locked


def test_a_slab_that_cannot_be_locked_is_used_all_the_same_unless_it_must_be(cuda: Cuda) -> None:
    cuda.error = 2
    assert PAGE == Slabs().take(PAGE).nbytes
    slabs = Slabs(page_locked=True)
    with pytest.raises(CannotPark, match="page_locked=True: CUDA does not lock 4096 bytes: 2"):
        slabs.take(4096)
    assert 0 == slabs.in_use


def test_locking_them_takes_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert PAGE == Slabs().take(PAGE).nbytes
    with pytest.raises(CannotPark, match="needs CUDA, and torch finds none"):
        Slabs(page_locked=True).take(PAGE)


def test_what_is_closed_keeps_nothing(cuda: Cuda) -> None:
    slabs = Slabs()
    lent, looked_into = slabs.take(2 * PAGE), slabs.take(PAGE)
    assert looked_into.view is not None
    onlooker = [looked_into.view]
    taken_and_given_back(slabs, 3 * PAGE)
    slabs.give_back(looked_into)
    assert 3 == len(cuda.locked)
    slabs.close()
    assert (2 * PAGE, 0) == (slabs.in_use, slabs.kept)
    assert lent.view is not None
    slabs.give_back(lent)
    assert (0, 0) == (slabs.in_use, slabs.kept)
    del looked_into
    janitor.drain(5)
    assert {} == cuda.locked
    onlooker[0][0] = 1  # it is mapped still


def test_what_nobody_has_closed_is_unlocked_while_it_is_mapped_and_not_by_a_finalizer(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    slabs, jobs = Slabs(), list[Callable[[], object]]()
    memory = weakref.ref(slabs.take(PAGE)._memory)
    taken_and_given_back(slabs, 2 * PAGE)
    monkeypatch.setattr(janitor, "defer", jobs.append)
    del slabs
    assert (2, 2) == (len(jobs), len(cuda.locked))
    assert memory() is not None, "unmapped before it is unlocked"
    while jobs:
        jobs.pop()()
    assert {} == cuda.locked
    assert memory() is None


def test_a_forked_child_unlocks_nothing(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    slabs, jobs = Slabs(), list[Callable[[], object]]()
    taken_and_given_back(slabs, PAGE)
    monkeypatch.setattr(janitor, "defer", jobs.append)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    del slabs
    assert [] == jobs
    assert 1 == len(cuda.locked)


@pytest.mark.race
def test_while_one_is_mapped_others_are_taken_and_its_bytes_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slabs, begun, go_on = Slabs(limit=4 * PAGE), threading.Event(), threading.Event()
    taken_and_given_back(slabs, PAGE)
    real = mmap.mmap

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert go_on.wait(5)
        return real(*arguments, **more)

    monkeypatch.setattr(mmap, "mmap", slow)
    mapping = threading.Thread(target=slabs.take, args=[3 * PAGE])
    mapping.start()
    assert begun.wait(5)
    assert PAGE == slabs.take(PAGE).nbytes
    with pytest.raises(CannotPark):
        slabs.take(2 * PAGE)
    go_on.set()
    mapping.join(5)
    assert 4 * PAGE == slabs.in_use
