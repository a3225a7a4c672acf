"""Those who are told what happens in one cache, and its hit paths, which may have to tell them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TypeAlias

from warmcache.errors import CapacityError

from .entry import Entry
from .flights import Flight
from .ledger import Claim
from .observer import Observer

Hit: TypeAlias = Callable[[Hashable], object]
Switch: TypeAlias = Callable[[Hit | None], None]  # gives a hit path what to call; None for nothing


class Observers:
    """The observers of one store. What changes who they are, wants the store's lock held.

    ``all`` is empty as a rule, and is looked at before a call where that would cost a hit or a
    load.
    """

    __slots__ = ("_hit_paths", "all")

    def __init__(self) -> None:
        self.all: tuple[Observer, ...] = ()
        self._hit_paths: weakref.WeakSet[Switch] = weakref.WeakSet()

    # -- who they are --------------------------------------------------------------

    def add(self, observer: Observer) -> None:
        """Tell ``observer`` from now on."""
        self.all = (*self.all, observer)
        self._switch_hit_paths()

    def remove(self, observer: Observer) -> None:
        """Tell ``observer`` no more."""
        self.all = tuple(each for each in self.all if each is not observer)
        self._switch_hit_paths()

    def add_hit_path(self, switch: Switch) -> None:
        """Have a generated hit path tell those that want to hear of each hit.

        ``switch`` is known weakly, and given what the hit path has to call; None for nothing.
        """
        self._hit_paths.add(switch)
        if (told := self._told_of_hits()) is not None:
            switch(told)

    def drop_hit_path(self, switch: Switch) -> None:
        """Have a generated hit path tell nobody here any more."""
        self._hit_paths.discard(switch)
        switch(None)

    def take_over_hit_paths(self, other: Observers) -> None:
        """Have the hit paths of ``other``, whose place these take after a fork. Needs no lock."""
        self._hit_paths = other._hit_paths
        self._switch_hit_paths()

    def _switch_hit_paths(self) -> None:
        told = self._told_of_hits()
        for switch in list(self._hit_paths):
            switch(told)

    def _told_of_hits(self) -> Hit | None:
        told = [hit for observer in self.all if (hit := observer.hit) is not None]
        if len(told) < 2:
            return told[0] if told else None
        return lambda key: [hit(key) for hit in told]

    # -- what they are told: of removals, in let_go --------------------------------

    def used(self, key: Hashable) -> None:
        for observer in self.all:
            observer.used(key)

    def stored(self, entry: Entry) -> None:
        for observer in self.all:
            observer.stored(entry)

    def waited(self, what: Claim | Flight) -> None:
        for observer in self.all:
            observer.waited(what)

    def refused(self, error: CapacityError) -> None:
        for observer in self.all:
            observer.refused(error)

    def closed(self) -> None:
        for observer in self.all:
            observer.closed()
