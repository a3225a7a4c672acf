"""The cache: the mapping, and what one does with warm things besides."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.state.entry import Entry, LeaseRecord, Provenance, seconds_between
from warmcache._core.state.records import EntryInfo, Removal, Stats
from warmcache._core.state.use_clock import tick

from .lease import EntryLease
from .mapping import CacheMapping

if TYPE_CHECKING:
    from warmcache._observe.recording import Recording

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_MISSING: Any = object()


class Cache(CacheMapping[K, V]):
    """A thread-safe mapping of limited weight that tears down whatever leaves it.

    It evicts when an entry needs room: expired ones first, then the idle entry of
    lowest :meth:`rank`, which a policy overrides. This class itself gives up first
    what was stored first. Every method may be called from any thread.

    Args:
        maxsize: the most weight to hold: a number, ``"6GiB"``, or None for no limit.
        getsizeof: returns the weight of a value, asked once, when it is stored;
            every value weighs 1 without it.
        teardown: destroys a value that leaves: a callable taking it, or the name of
            its method, such as ``"close"``.
        reclaim: called after a value was torn down and the last reference to it here
            dropped; if the value is still alive then, the garbage collector runs
            first. It gives memory back, as ``torch.cuda.empty_cache`` does.
        on_removal: called with a :class:`Removal` once an entry is gone.
        idle_ttl: seconds after which an unused, unleased entry is torn down.
        wait: seconds (60) to wait for a lease to end where only that can give room.
        record: a file that everything asked for is written to, see :meth:`record`;
            nothing is written before there is something to write.
        timer: the clock of ages and times to live.

    Raises:
        ValueError: ``maxsize``, ``idle_ttl`` or ``wait`` is negative or no size.
    """

    # -- leases and removal --------------------------------------------------------

    def lease(self, key: K) -> AbstractContextManager[V]:
        """Return a context manager that holds the entry of ``key`` while inside.

        Entering raises KeyError when it is not there: a bare cache cannot load.
        """
        return EntryLease(self, key)

    def _lease_live(self, key: Hashable, record: LeaseRecord) -> Entry:
        self._expire()
        with self._store.lock:
            entry = self._live.get(key)
            if entry is None:
                raise KeyError(key)
            self._store.lease(entry, record)
            entry.hits += 1
            entry.used = tick()
            if self._store.recording is not None:
                self._store.recording.used(entry)
            return entry

    def detach(self, key: K) -> V:
        """Take a value out alive: it is not torn down and the caller owns it.

        Raises:
            KeyError: it is not there.
            TypeError: a generator loader yielded it, whose rest is its teardown.
        """
        self._expire()
        with self._store.lock:
            entry = self._live[key]
            if entry.provenance.finish is not None:
                raise TypeError(f"{key!r} cannot be detached: its generator is its teardown")
            value: V = entry.value
            self._store.release_alive(entry)
        return value

    def evict(
        self,
        count: int | None = None,
        *,
        key: K = _MISSING,
        where: Callable[[EntryInfo], object] | None = None,
    ) -> list[Removal]:
        """Remove entries and tear them down: ``count`` victims (1), a key, or a selection.

        Leased entries are no victims of ``count``; named by ``key`` or ``where`` they
        are torn down when their last lease ends. Returns what was removed.

        Raises:
            TypeError: more than one of the three was given.
            ValueError: ``count`` is negative.
        """
        if (count is not None) + (key is not _MISSING) + (where is not None) > 1:
            raise TypeError("evict() takes one of count, key and where")
        if count is not None and count < 0:
            raise ValueError(f"count must not be negative, got {count}")
        store = self._store
        self._expire()
        if where is not None:
            with store.lock:
                seen = [(entry, self._info(entry)) for entry in self._live.values()]
            return self._evict([entry for entry, info in seen if where(info)])
        if key is not _MISSING:
            with store.lock:
                chosen = [self._live[key]] if key in self._live else []
            return self._evict(chosen)
        plan = remove.evict_victims(self._context(), 1 if count is None else count)
        return run(plan, store)

    def close(self) -> None:
        """Tear everything down, last loaded first, and refuse whatever comes after.

        What is leased is torn down when its last lease ends. Closing twice is fine.

        Raises:
            ExceptionGroup: of what failing teardowns raised, once all have run.
        """
        failures = run(remove.close(self._store), self._store)
        if self._store.recording is not None:
            self._store.recording.stop()
        if failures:
            raise ExceptionGroup("teardown failed in close()", failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- recording -----------------------------------------------------------------

    def record(self, path: str | os.PathLike[str]) -> Recording:
        """Begin to write what is asked for to ``path``, for ``warmcache simulate``.

        A CSV file, gzipped where its name ends in ``.gz``, with a line for each use:
        when (seconds since now), the key as text, the weight, the seconds of its load.
        A ``{pid}`` in the name becomes the number of the process. It replaces what was
        there. Stop it with ``stop()``, or use it in a ``with`` statement; closing the
        cache and the end of the process stop it too. While recording, a hit takes up
        to twice as long.

        Raises:
            OSError: the file cannot be written.
            RuntimeError: the cache is being recorded already.
        """
        from warmcache._observe.recording import Recording

        return Recording(self._store, path)

    # -- looking -------------------------------------------------------------------

    def victims(self) -> list[K]:
        """Return all keys in the order in which they would go, changing nothing.

        A leased entry has its place in the order, but is passed over while leased.
        """
        store = self._store
        with store.lock:
            now = self._timer()
            ended = [entry for entry in self._live.values() if store.ended(entry, now)]
            rest = [entry for entry in self._live.values() if not store.ended(entry, now)]
            order = ended + store.order.listing(rest, self.rank)
            return [entry.key for entry in order]  # type: ignore[misc]

    def entries(self) -> list[EntryInfo]:
        """Return a snapshot of every entry: live, retired under a lease, dying, loading."""
        store = self._store
        with store.lock:
            infos = [self._info(entry) for entry in store.alive()]
            for flight in store.flights.values():
                waiting = len(flight.joined)
                infos.append(
                    EntryInfo(flight.key, flight.weight, 0, 0.0, 0.0, 0.0, waiting, "loading")
                )
        return infos

    def _info(self, entry: Entry) -> EntryInfo:
        now = self._timer()
        if entry.used != entry.seen and self._store.deadlines is None:
            entry.seen, entry.seen_at = entry.used, now
        return EntryInfo(
            key=entry.key,
            weight=entry.weight,
            uses=entry.uses,
            age=seconds_between(entry.loaded_at, now),
            idle=0.0 if entry.leases else seconds_between(entry.seen_at, now),
            load_seconds=entry.provenance.seconds,
            leases=len(entry.leases),
            state=entry.state.value,
            tags=entry.tags,
            weighed_by=entry.provenance.weighed_by,
        )

    def stats(self) -> Stats:
        """Return the cache's counts and its ledger."""
        store = self._store
        counts = store.counts
        with store.lock:
            alive = list(store.alive())
            return Stats(
                hits=counts.past_hits + sum(entry.hits for entry in alive),
                misses=counts.misses,
                loads=counts.loads,
                load_seconds=counts.load_seconds,
                saved_seconds=counts.past_saved
                + sum(entry.hits * entry.provenance.seconds for entry in alive),
                removals=dict(counts.removals),
                teardown_failures=counts.teardown_failures,
                waits=counts.waits,
                live=store.live_weight,
                loading=store.reserved,
                retired=store.retired_weight,
                dying=store.dying_weight,
                zombies=store.zombie_weight,
            )

    # -- copying and pickling ------------------------------------------------------

    def __copy__(self) -> Self:
        """Return a cache of its own with the same values, if nothing tears them down.

        Raises:
            TypeError: values here have a teardown: two caches would each run it.
        """
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        store = self._store
        with store.lock:
            if store.tears_down:
                raise TypeError(
                    "this cache tears its values down and so must be their only owner: "
                    "it can be neither copied nor pickled"
                )
            entries = [
                (
                    *(entry.key, entry.value, entry.weight, entry.uses, entry.expires),
                    *(entry.used, entry.load_seconds),
                )
                for entry in sorted(store.order.sequence(self._live), key=attrgetter("loaded"))
            ]
        state = self.__dict__.copy()
        for name in ("_store", "_live", "_source", "_handed_in", "_freshness"):
            del state[name]
        state.pop("_shown_by", None)
        state["_entries"] = entries
        return state

    def _setting(self) -> dict[str, Any]:
        """Return what it was set up with: all of it but what it holds."""
        made_by_open = (
            *("_store", "_live", "_source", "_handed_in", "_freshness"),
            *("_has_an_end", "_shown_by"),
        )
        return {name: value for name, value in vars(self).items() if name not in made_by_open}

    __warm_digest__ = _setting

    @classmethod
    def _empty_as(cls, setting: dict[str, Any]) -> Self:
        """Return an empty cache with the :meth:`_setting` of another."""
        twin = cls.__new__(cls)
        vars(twin).update(setting)
        twin._open()
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What a loader has warm stays here: its cache travels as that loader's.
        loader = self._shown_by() if self._shown_by is not None else None
        if loader is not None:
            return attrgetter("cache"), (loader,)
        return super().__reduce_ex__(protocol)

    def __setstate__(self, state: dict[str, Any]) -> None:
        entries = state.pop("_entries")
        self.__dict__.update(state)
        self._open()
        now, stamped = self._timer(), []
        for key, value, weight, uses, expires, used, seconds in entries:
            provenance = Provenance(self._source, seconds) if seconds else self._handed_in
            entry = Entry(key, value, weight, provenance, now, expires)
            entry.base_uses = uses
            self._store.committed += weight
            self._store.publish(entry)
            stamped.append((used, entry))
        for _, entry in sorted(stamped):
            entry.used = entry.seen = tick()
        self._watch()
