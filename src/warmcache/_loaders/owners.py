"""Who entries belong to: an object, by identity, weakly, until it ends.

An owner ends when it is collected, when it is closed, as a context is, or when what it stands for
is over: an event loop is closed, a thread has ended. Whichever comes first, no call goes on for it
from then on, and what was loaded for it is torn down, the last loaded first, in whichever caches
it lies. Most of these ends come where nothing may wait, in a finalizer or inside of any lock: so
they only say so, and the janitor does it.

An owner knows its call sites weakly, and these are known by the keys of entries, too. So neither
keeps a loader alive, nor a loader its owners.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.steps import Elsewhere, Plan, Wait
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN, leads_to
from warmcache._core.state.hot_paths import HotEntries
from warmcache._core.state.one_shot import OneShot
from warmcache._process.after_fork import in_child
from warmcache._process.janitor import janitor
from warmcache.caches.all_caches import all_caches, last_loaded_first
from warmcache.caches.cache import Cache
from warmcache.errors import ClosedError
from warmcache.keys import CallKey
from warmcache.policies.shared_caches import nowhere

from .owner_ends import tell_end_of

_owners: dict[int, Owner] = {}  # of the objects that there are, by their ids


class OwnedSite(Protocol):
    """Where calls for an owner come from; it is a part of the keys of what they load."""

    hot: HotEntries

    def cache(self) -> Cache[Any, Any] | None:
        """Return the cache of the loader that is called; None if the loader is gone."""
        ...

    def leave(self, number: int) -> None:
        """Have the loader forget it, whose owner is gone; its id was ``number``."""
        ...


class _Reference(weakref.ref[Any]):
    """A weak reference that knows the id of its object when that is gone."""

    __slots__ = ("number",)

    number: int


class Owner:
    """One object that entries belong to.

    Attributes:
        reference: gives the object, or None once that is gone.
        ended: whether calls for it are refused, and what it had is going.
        is_loop: whether it is an event loop.
    """

    __slots__ = ("_begun", "_closings", "_sites", "_why", "ended", "is_loop", "reference")

    def __init__(self, thing: Any) -> None:
        self.reference = _Reference(thing, _collected)
        self.reference.number = id(thing)
        self.ended = False
        self.is_loop = False
        self._why = ""
        self._closings: list[OneShot] = []  # those that are over, or not; the first tears down
        self._begun: list[Entry] = []  # what that tears down just now
        self._sites: list[weakref.ref[OwnedSite]] = []

    def add(self, site: OwnedSite) -> None:
        """Have what is loaded at ``site`` belong to it."""
        self._sites.append(weakref.ref(site, self._sites.remove))

    def remove(self, site: OwnedSite) -> None:
        """Have that belong to it no more."""
        for reference in [each for each in self._sites if each() is site]:
            self._sites.remove(reference)

    @property
    def sites(self) -> list[OwnedSite]:
        """Where calls for it came from, as far as anybody still knows those."""
        return [site for each in self._sites.copy() if (site := each()) is not None]

    def check_open(self) -> None:
        """Raise ClosedError if it has ended, which says how."""
        if self.ended:
            raise ClosedError(self._why)

    def close(self, why: str) -> bool:
        """Refuse whatever comes after, and say ``why``; whether it was open. It waits for nothing.

        What it has is off the hit paths then, and left for who calls this to tear down.
        """
        if self.ended:
            return False
        self._why, self.ended = why, True
        for site in self.sites:
            site.hot.table.clear()
        return True

    def end(self, why: str) -> None:
        """Do the same, and have it torn down by the janitor. It may be called anywhere."""
        if self.close(why) and self._sites:
            self.let_rest_go()

    def forget(self, why: str) -> None:
        """Do the same for what is gone, and whose id may soon be another's.

        If it was closed before, what an interrupt may have left of that is torn down.
        """
        number = self.reference.number
        if _owners.get(number) is self:
            del _owners[number]
        self.close(why)
        for site in self.sites:
            site.leave(number)
            del site  # or it would be one that something refers to
        if self._sites:
            self.let_rest_go()

    def let_rest_go(self) -> None:
        """Have the janitor tear down what is left."""
        janitor.defer(lambda: run(self.let_all_go(), nowhere()._view))

    async def let_all_go_async(self) -> None:
        """Tear down what it has so far, on an event loop; it need not have ended."""
        from warmcache._core.drivers.event_loop import run_async

        await run_async(self.let_all_go(), nowhere()._view)

    def let_all_go(self) -> Plan[list[Exception]]:
        """Tear down what it has, the last loaded first; return what went wrong.

        A KeyboardInterrupt or the like is raised once all is torn down.
        """
        failures: list[Exception] = []
        interrupt: BaseException | None = None
        for view, entry in last_loaded_first(self.caches(), self.owns()):
            self._begun = [entry]
            try:
                failures += yield Elsewhere(view, remove.with_its_owner(view, entry))
            except BaseException as raised:
                interrupt = raised
            del entry
        self._begun = []
        if interrupt is not None:
            raise interrupt
        return failures

    def closed(self, why: str, *, waits: bool) -> Plan[list[Exception]]:
        """Close it, and tear down what it has; return what went wrong.

        If somebody is at that already, ``waits`` says whether to wait until it is over. Not who is
        inside of it, for that would be for ever.
        """
        over = OneShot()
        try:
            self._closings.append(over)
            first = self._closings[0]
            if first is over:
                self.close(why)
                return (yield from self.let_all_go())
            if waits and not any(leads_to(entry, CHAIN.get()) for entry in self._begun):
                yield Wait(first)
            return []
        except BaseException:
            if self._closings[:1] == [over]:
                self.let_rest_go()
            raise
        finally:
            over.happen()

    def caches(self) -> list[Cache[Any, Any]]:
        """Return where what belongs to it may lie."""
        found = {id(cache): cache for cache in [site.cache() for site in self.sites]}
        # A loader that is gone may have left something in a shared one.
        return all_caches() if id(None) in found else [*found.values()]  # type: ignore[list-item]

    def owns(self) -> Callable[[Entry], bool]:
        """Return what says whether an entry belongs to it."""
        sites = {id(site): site for site in self.sites}

        def owned(entry: Entry) -> bool:
            key = entry.key
            return isinstance(key, CallKey) and len(key) > 1 and id(key[1]) in sites

        return owned


def owner_of(thing: Any) -> Owner:
    """Return the owner that ``thing`` is.

    Raises TypeError when it cannot be referenced weakly.
    """
    owner = _owners.get(id(thing))
    if owner is None:
        new = Owner(thing)
        owner = _owners.setdefault(id(thing), new)
        if owner is new:
            owner.is_loop = tell_end_of(thing, owner)
    return owner


def _collected(reference: Any, at_the_end: Callable[[], bool] = sys.is_finalizing) -> None:
    """Note that an object is gone: its id may soon be another's."""
    if at_the_end():  # of the process: all is torn down, and this module is being emptied
        return
    owner = _owners.get(reference.number)
    if owner is not None and owner.reference is reference:
        owner.forget("what it belongs to was garbage-collected")


@in_child
def _leave_to_parent() -> None:
    """Wait for no closing of another thread's, which is not here."""
    for owner in _owners.copy().values():
        owner._closings = []
