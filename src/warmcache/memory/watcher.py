"""Looks at a device, and has idle entries go when it runs full: ``watermarks.py`` says when."""

from __future__ import annotations

import threading
import time

from warmcache._core.drivers.lingering import flush
from warmcache._core.drivers.threads import run
from warmcache._core.plans import share
from warmcache._core.plans.cache_view import CacheView
from warmcache._log import log
from warmcache.probes.probe import Probe

from .arbiter import Arbiter
from .setup import MemorySetup
from .watermarks import Act, Watermarks


class Watcher:
    """What keeps the device of a memory cache below its high mark.

    It is told at each look which cache is meant: one that it held would not be noticed
    to be gone before the garbage collector comes.
    """

    def __init__(self, probe: Probe, setup: MemorySetup, arbiter: Arbiter) -> None:
        self.poll = setup.poll
        self._probe = probe
        self._arbiter = arbiter
        self._setup = setup
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what was seen; in a forked child another thread may have held the lock."""
        setup = self._setup
        self._watermarks = Watermarks(setup.high, setup.low, setup.poll, setup.confirm)
        self._looking = threading.Lock()

    def next_look(self) -> float:
        """Return the seconds until the next look."""
        return self._watermarks.next_look()

    def look(self, cache: CacheView) -> None:
        """Look at the device and do what its pressure asks for, unless another thread is at it."""
        if self._looking.acquire(blocking=False):
            try:
                self._mind_the_pressure(cache)
            finally:
                self._looking.release()

    def _mind_the_pressure(self, cache: CacheView) -> None:
        sample = self._probe.sample()
        if sample.total is None or sample.free is None:
            return
        now, used, known = time.monotonic(), sample.total - sample.free, self._watermarks.foreign
        act = self._watermarks.look(now, sample.total, used, sample.reserved)
        if self._watermarks.foreign and not known:
            log().warning(
                "%s is %.0f %% full, but not by what is cached here: evicting gave nothing back",
                *(self._probe.name, 100 * used / sample.total),
            )
        if act is Act.FLUSH:
            flush(cache)
        elif act is Act.EVICT:
            self._evict(cache, now, used)

    def _evict(self, cache: CacheView, now: float, used: int) -> None:
        """Have the cheapest entry on the device go, unless another cache has just done so."""
        if self._arbiter.is_waiting(used):
            return
        weight = run(share.under_pressure(cache), cache)
        if weight is None:
            self._watermarks.nothing_idle(now)
        else:
            self._watermarks.evicted(time.monotonic(), weight, used)
            self._arbiter.evicted(weight, used, self._setup.confirm)
