"""The arbiter of a device: what the caches of this process that share it know of each other.

It holds no memory and no entry, only who the caches are and how many promises there were. Each
cache has a ledger of its own, and before it grants room it looks at the device, and at what the
others have promised, or are making, out of what that shows (``figures``). Between that look and the
grant another may promise the same bytes: grant them, or condemn victims for them. So promises are
numbered: one that was made meanwhile means that the look is too old, and is done again. The number
has a lock, which is the innermost of all.

Who has which bytes of the device is kept here, too (``shared_bytes``), for all its caches; that has
a lock of its own, likewise.

The figures of others are read without their locks. What is promised and what is dying is read
before the device is, and a promise ends after its load has taken its memory; so what is read amiss
makes the room look smaller, never larger. As that could evict what nobody needed gone, the look is
done again where the figures have changed meanwhile.

Tried and rejected: one ledger for a device (every miss of every cache would wait for one lock, and
limits, order and clocks are each cache's own); to hold all locks in some order (a finalizer may run
in any of them, and asks a cache); and to have the one that gives be told, by a note that it looks
at when a lease ends (a signal in its ledger does the same, and is there already).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Hashable, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any, NamedTuple

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.store import Store
from warmcache._node.folder import folder_for
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.caches.cache import Cache
from warmcache.probes.probe import Probe

from .node_member import NodeMember
from .shared_bytes import SharedBytes

_SHOWN = 0.25  # of what was evicted has to come back before another cache evicts


class Figures(NamedTuple):
    """What other caches have on a device: bytes."""

    committed: float
    promised: float  # to loads under way
    owed: tuple[float, ...]  # to claims that victims were condemned for
    dying: float
    idle: float


class Arbiter:
    """One device of this process, as its caches share it."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe  # while this lives, no other has its id()
        self._members: weakref.WeakValueDictionary[int, Cache[Any, Any]]
        self._members = weakref.WeakValueDictionary()
        self._promising = ForkSafeLock()
        self._evicted = (0.0, 0.0, 0.0)  # under pressure: what it weighed, used before, until when
        self._nodes: weakref.WeakValueDictionary[Path, NodeMember]
        self._nodes = weakref.WeakValueDictionary()
        self._joining = ForkSafeLock()
        self.copying = ForkSafeLock()  # held while bytes are copied to the host and back
        self.shared_bytes = SharedBytes()
        self.promises = 0

    def join(self, cache: Cache[Any, Any]) -> None:
        """Have ``cache`` share the device from now on, until it is closed or collected."""
        self._members[id(cache)] = cache

    def node_member(self, node: Any, confirm: float) -> NodeMember:
        """Return this process' member at the ledger of ``node``, as ``node=`` has it.

        Raises what :func:`folder_for` raises.
        """
        device = getattr(self._probe, "device_id", None) or self._probe.name
        folder = folder_for(node, str(device))
        with self._joining.lock:
            found = self._nodes.get(folder)
            if found is None:
                found = self._nodes[folder] = NodeMember(folder, self._probe, confirm)
            return found

    def views(self) -> list[CacheView]:
        """Return the caches that are open."""
        views = [cache._view for cache in list(self._members.values())]
        return [view for view in views if not view.store.closed]

    def beside(self, store: Store) -> list[CacheView]:
        """Return the caches that are open, but for that of ``store``."""
        return [view for view in self.views() if view.store is not store]

    def promise(self, seen: int | None = None) -> bool:
        """Make a promise, unless there were others than those ``seen``; whether it is made."""
        with self._promising.lock:
            if seen is not None and seen != self.promises:
                return False
            self.promises += 1
            return True

    # -- pressure --------------------------------------------------------------------

    def evicted(self, weight: float, used: float, patience: float) -> None:
        """Note that ``weight`` was torn down under pressure, as ``used`` bytes were in use."""
        self._evicted = weight, used, time.monotonic() + patience

    def is_waiting(self, used: float) -> bool:
        """Whether what went last under pressure may still show; ``used`` bytes are in use now."""
        weight, before, until = self._evicted
        return before - used < _SHOWN * weight and time.monotonic() < until


def figures(others: Sequence[CacheView]) -> Figures:
    """Return what ``others`` have on the device that they share with the caller's cache.

    What waits for the caller is not in its way: guesses of loads that this one is part of.
    """
    inside, me = CHAIN.get(), get_ident()
    committed = promised = dying = idle = 0.0
    owed: list[float] = []
    for each in others:
        store, ledger, meter = each.store, each.store.ledger, each.meter
        assert meter is not None
        committed += ledger.committed
        for flight in list(store.flights.values()):
            if not (flight.basis.elastic and flight in inside):
                promised += flight.weight
        dying += dying_in(store)
        idle += max(min(ledger.idle, ledger.live - meter.floor), 0)
        owed += [
            claim.owed
            for claim in list(ledger.claims)
            if not claim.present
            and (claim.flight not in inside if claim.flight is not None else claim.thread != me)
        ]
    return Figures(committed, promised, tuple(owed), dying, idle)


def dying_in(store: Store) -> float:
    """Return what is torn down there and does not wait for the caller."""
    own = [link for link in CHAIN.get() if link in store.dying.get(link.key, ())]
    return store.ledger.dying - sum([link.charged for link in own if isinstance(link, Entry)])


_arbiters: weakref.WeakValueDictionary[Hashable, Arbiter] = weakref.WeakValueDictionary()
_guard = ForkSafeLock()


def arbiter_of(probe: Probe) -> Arbiter:
    """Return the arbiter of the device that ``probe`` reads.

    Its ``device_id`` says which that is; a probe that has none has a device of its own.
    """
    device = getattr(probe, "device_id", None) or id(probe)
    with _guard.lock:
        found = _arbiters.get(device)
        if found is None:
            found = _arbiters[device] = Arbiter(probe)
        return found
