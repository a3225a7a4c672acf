"""Looks at a device, and has idle entries go when it runs full: ``_pressure.py`` says when."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from warmcache._core.drivers.teardown import tear_down
from warmcache._core.plans.steps import CacheView
from warmcache._core.state.entry import Entry, seconds_between
from warmcache._core.state.records import RemovalCause
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
        self._new_pressure = partial(Watermarks, high, low, poll, confirm)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what was seen; in a forked child another thread may have held the lock."""
        self._pressure = self._new_pressure()
        self._looking = threading.Lock()

    def next_look(self) -> float:
        """Return the seconds until the next look."""
        return self._pressure.next_look()

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
        now, used, known = time.monotonic(), sample.total - sample.free, self._pressure.foreign
        act = self._pressure.look(now, sample.total, used, sample.reserved)
        if self._pressure.foreign and not known:
            log.warning(
                "%s is %.0f %% full, but not by what is cached here: evicting gave nothing back",
                *(self._probe.name, 100 * used / sample.total),
            )
        if act is Act.FLUSH:
            cache.store.flush()
        elif act is Act.EVICT:
            victim = self._condemn_idle(cache)
            if victim is None:
                self._pressure.nothing_idle(now)
            else:
                tear_down(cache.store, [victim])
                self._pressure.evicted(time.monotonic(), victim.weight, used)

    def _condemn_idle(self, cache: CacheView) -> Entry | None:
        """Remove the idle entry of lowest rank that has been resident long enough."""
        store = cache.store
        with store.lock:
            now = store.timer()
            idle = [
                entry
                for entry in store.live.values()
                if not entry.leases and seconds_between(entry.loaded_at, now) >= self._min_residency
            ]
            for victim in store.order.listing(idle, cache.rank)[:1]:
                store.condemn(victim, RemovalCause.PRESSURE)
                return victim
        return None
