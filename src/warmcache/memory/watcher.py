"""Looks at a device, and has idle entries go when it runs full: ``watermarks.py`` says when."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from warmcache._core.drivers.let_go import flush
from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache.probes.probe import Probe

from .watermarks import Act, Watermarks

log = logging.getLogger("warmcache")


class Watcher:
    """What keeps the device of a memory cache below its high mark.

    It is told at each look which cache is meant: one that it held would not be noticed
    to be gone before the garbage collector comes.

    Args:
        probe: what reads the device.
        high: the fraction of the device in use above which idle entries go.
        low: the fraction at which that ends.
        poll: seconds between looks; 0: nobody looks.
        confirm: seconds that a driver may take to show what came back.
        min_residency: seconds for which a loaded entry is left alone.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        high: float,
        low: float,
        poll: float,
        confirm: float,
        min_residency: float,
    ) -> None:
        if not 0 < low <= high <= 1:
            raise ValueError(f"0 < low <= high <= 1 must hold, got low={low!r}, high={high!r}")
        for name, seconds in dict(poll=poll, min_residency=min_residency, confirm=confirm).items():
            if not seconds >= 0:
                raise ValueError(f"{name} must not be negative, got {seconds!r}")
        self.poll = poll
        self._probe = probe
        self._min_residency = min_residency
        self._new_watermarks = partial(Watermarks, high, low, poll, confirm)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what was seen; in a forked child another thread may have held the lock."""
        self._watermarks = self._new_watermarks()
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
            log.warning(
                "%s is %.0f %% full, but not by what is cached here: evicting gave nothing back",
                *(self._probe.name, 100 * used / sample.total),
            )
        if act is Act.FLUSH:
            flush(cache)
        elif act is Act.EVICT:
            victim = run(remove.under_pressure(cache, self._min_residency), cache)
            if victim is None:
                self._watermarks.nothing_idle(now)
            else:
                self._watermarks.evicted(time.monotonic(), victim.weight, used)
