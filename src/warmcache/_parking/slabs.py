"""Blocks of host memory, reused: into fresh ones a copy takes six times as long.

A slab is mapped from the system in the size that is asked for, and locked there where torch has
CUDA, so that copies run at the full rate of the bus. Locking through torch would round its size up
to a power of two. What is given back is kept for the next value that fits, and unmapped, the oldest
first, where another one needs its room, or all of it where the machine is short and at the end.
What nobody has unmapped is unlocked by the janitor: a finalizer may run in the midst of CUDA.

A tensor that somebody took while a value was parked may still look into the slab. So a slab is
reused only once nothing looks into it: all that does refers to one memoryview, which dies with the
last of them.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._process.janitor import janitor
from warmcache._sizes import format_size
from warmcache._walk import imported

from .parking import CannotPark, HostIsFullError

_SPARE = 1.125  # a slab is reused for what is at most so much smaller
_PORTABLE = 1  # cudaHostRegisterPortable: locked for all devices


class Slab:
    """One block of host memory.

    Attributes:
        nbytes: its size, whole pages.
        view: through which its memory is looked into, and only through that; None as soon as it
            was given back.
        uses: how often it was lent; what was in it is there still if this is the same.
    """

    __slots__ = (
        *("__weakref__", "_looked_into", "_memory", "_unlock", "_unlock_later"),
        *("nbytes", "uses", "view"),
    )

    def __init__(self, nbytes: int, page_locked: bool | Literal["auto"]) -> None:
        self.nbytes = nbytes
        private = (
            {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if sys.platform != "win32" else {}
        )
        self._memory = mmap.mmap(-1, nbytes, **private)
        self._unlock = None if page_locked is False else _lock(self._memory, page_locked)
        self._unlock_later: weakref.finalize[Any, Any] | None = None
        if self._unlock is not None:
            later = weakref.finalize(self, _unlock_in_janitor, self._unlock, os.getpid())
            later.atexit = False  # all memory of a process goes with it
            self._unlock_later = later
        self.uses = 0
        self.lend()

    def lend(self) -> None:
        self.uses += 1
        self.view: memoryview | None = memoryview(self._memory)
        self._looked_into = weakref.ref(self.view)

    def is_looked_into(self) -> bool:
        return self._looked_into() is not None

    def unmap(self) -> None:
        if self._unlock is not None and self._unlock_later is not None:
            self._unlock_later.detach()
            self._unlock()
        self._memory.close()


class Slabs:
    """The slabs of one host tier; any thread may take and give back.

    Args:
        page_locked: whether they are locked in memory, for CUDA to copy from and to; by default
            where torch has CUDA, and as far as the system lets it. True: otherwise none is taken.
        limit: bytes that all of them have, at most.
        retain: whether what is in one that was given back is kept, as long as the room is not
            needed, for a value that is parked again unchanged.

    Attributes:
        copies: what is kept in them so, by the storage on the device that it is a copy of.
    """

    def __init__(
        self,
        page_locked: bool | Literal["auto"] = "auto",
        *,
        limit: float = math.inf,
        retain: bool = False,
    ) -> None:
        self.limit = limit
        self.retain = retain
        self.copies: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._page_locked: bool | Literal["auto"] = page_locked
        self._guard = ForkSafeLock()
        self._lent: set[Slab] = set()
        self._returned: list[Slab] = []  # the oldest first; some may still be looked into
        self._coming = 0  # bytes that are being mapped
        self._closed = False

    @property
    def in_use(self) -> int:
        """Bytes that parked values have, and what is still looked into of those that were."""
        with self._guard.lock:
            return self._in_use()

    @property
    def kept(self) -> int:
        """Bytes that are kept for the next value."""
        with self._guard.lock:
            return sum(slab.nbytes for slab in self._free())

    @property
    def looked_into(self) -> int:
        """Bytes that no parked value has any more, and that cannot be used again yet."""
        with self._guard.lock:
            return self._looked_into()

    def take(self, nbytes: int) -> Slab:
        """Return a slab of at least ``nbytes``.

        Raises:
            HostIsFullError: they would have more than the limit.
            CannotPark: they cannot be locked, and have to be.
            OSError: the system has no such memory.
        """
        nbytes = max(-(-nbytes // mmap.PAGESIZE), 1) * mmap.PAGESIZE
        with self._guard.lock:
            slab = self._that_fits(nbytes)
            if slab is not None:
                self._lend(slab)
                return slab
            used = self._in_use()
            if used + nbytes > self.limit:
                raise HostIsFullError(
                    f"it takes {format_size(nbytes)} of host memory, and of "
                    f"{format_size(self.limit)} {format_size(used)} are in use",
                    nbytes,
                )
            self._unmap_beyond(self.limit - used - nbytes)
            self._coming += nbytes
        try:
            slab = Slab(nbytes, self._page_locked)
        except BaseException:
            with self._guard.lock:
                self._coming -= nbytes
            raise
        with self._guard.lock:
            self._coming -= nbytes
            self._lent.add(slab)
        return slab

    def take_again(self, slab: Slab, uses: int) -> bool:
        """Take a slab that was given back, if nobody else had it since."""
        with self._guard.lock:
            is_as_it_was = slab in self._free() and slab.uses == uses
            if is_as_it_was:
                self._lend(slab)
            return is_as_it_was

    def give_back(self, slab: Slab) -> None:
        """Have a slab for the next value, as soon as nothing looks into it; once is enough."""
        with self._guard.lock:
            if slab in self._lent:
                slab.view = None
                self._lent.remove(slab)
                self._returned.append(slab)
            if self._closed:
                self._unmap_all()

    def fits(self, nbytes: float) -> bool:
        """Whether something that is kept would be taken for so many bytes."""
        with self._guard.lock:
            return self._that_fits(nbytes) is not None

    def unmap_kept(self) -> int:
        """Give the system back what is kept; return the bytes that it was."""
        with self._guard.lock:
            return self._unmap_beyond(0)

    def close(self) -> None:
        """Keep nothing any more: what is lent is unmapped as it is given back."""
        with self._guard.lock:
            self._closed = True
            self._unmap_all()

    def _unmap_all(self) -> None:
        self._unmap_beyond(0)
        self._returned.clear()  # what is looked into goes with who does that
        self.copies.clear()

    def _that_fits(self, nbytes: float) -> Slab | None:
        """Return the smallest that is large enough, and rather none whose contents are retained."""
        retained = self._retained()
        fits = [slab for slab in self._free() if nbytes <= slab.nbytes <= nbytes * _SPARE]
        slab = min(fits, key=lambda slab: (slab in retained, slab.nbytes), default=None)
        if slab in retained:
            kept = sum(slab.nbytes for slab in self._free())
            if self._in_use() + kept + nbytes <= self.limit:
                return None
        return slab

    def _retained(self) -> set[Slab]:
        copies = self.copies.values()
        return {copy.slab for copy in copies if copy.uses == copy.slab.uses}

    def _lend(self, slab: Slab) -> None:
        self._returned.remove(slab)
        self._lent.add(slab)
        slab.lend()

    def _free(self) -> list[Slab]:
        return [slab for slab in self._returned if not slab.is_looked_into()]

    def _in_use(self) -> int:
        return self._coming + sum(slab.nbytes for slab in self._lent) + self._looked_into()

    def _looked_into(self) -> int:
        return sum(slab.nbytes for slab in self._returned if slab.is_looked_into())

    def _unmap_beyond(self, nbytes: float) -> int:
        """Keep no more than so many bytes; return how many went."""
        retained = self._retained()
        kept = sorted(self._free(), key=lambda slab: slab in retained)
        surplus, gone = sum(slab.nbytes for slab in kept) - nbytes, 0
        for slab in kept:
            if gone >= surplus:
                break
            gone += slab.nbytes
            self._returned.remove(slab)
            slab.unmap()
        return gone


def _lock(memory: mmap.mmap, page_locked: bool | Literal["auto"]) -> Callable[[], object] | None:
    """Lock memory for CUDA; return what unlocks it, which it outlives, or None if it is not locked.

    Raises:
        CannotPark: it cannot be locked, and has to be.
    """
    torch = imported("torch", "cuda")
    if torch is None or not torch.cuda.is_available():
        if page_locked is True:
            raise CannotPark("page_locked=True needs CUDA, and torch finds none")
        return None
    # The object that ctypes makes here would hold the memory open.
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    cuda = torch.cuda.cudart()
    error = cuda.cudaHostRegister(address, len(memory), _PORTABLE)
    if int(error):
        if page_locked is True:
            raise CannotPark(f"page_locked=True: CUDA does not lock {len(memory)} bytes: {error}")
        return None
    return partial(_unlock, cuda, address, memory)


def _unlock(cuda: Any, address: int, memory: mmap.mmap) -> None:
    cuda.cudaHostUnregister(address)


def _unlock_in_janitor(unlock: Callable[[], object], process: int) -> None:
    if os.getpid() == process:  # else a forked child, in which there is no CUDA
        janitor.defer(unlock)
