"""Where calls of a loader come from."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from warmcache._core.state.hot_paths import HotEntries
from warmcache.caches.cache import Cache

from .hit_path_text import Shape
from .name_holder import NameHolder
from .owners import NOBODY, Owner, owner_of


class Called(Protocol):
    """A loader, as far as its sites know it."""

    cache: Cache[Any, Any]
    defined_anew: bool
    shape: Shape
    name_holder: NameHolder | None


class CallSite:
    """Where calls come from: a function, or one owner that it loads for.

    The owner, as the instance that a method is bound to, is referenced weakly; with its end, what
    was loaded here is torn down.

    Attributes:
        hot: what the hit path finds.
        owner: None of a plain function.
    """

    __slots__ = ("__weakref__", "_sites", "hot", "owner")

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.hot = HotEntries(levels)
        self.owner: Owner | None = None
        self._sites: weakref.ref[Sites] | None = None

    def bind(self, owner: Owner, sites: Sites) -> None:
        """Be that of ``owner``, among others of one loader, and of no other owner any more."""
        if self.owner is not owner:
            if self.owner is not None:
                self.owner.remove(self)
            owner.add(self)
        self.owner, self._sites = owner, weakref.ref(sites)

    def wait(self) -> None:
        """Be that of no owner until it is bound to the next one."""
        if self.owner is not None:
            self.owner.remove(self)
        self.owner = NOBODY

    def cache(self) -> Cache[Any, Any] | None:
        """Return the cache of the loader that is called; None if the loader is gone."""
        sites = self._of()
        loader = None if sites is None else sites.loader()
        return None if loader is None else loader.cache

    def leave(self, number: int) -> None:
        """Have the loader forget it, whose owner is gone; its id was ``number``."""
        sites = self._of()
        if sites is not None:
            sites.drop(number)

    def _of(self) -> Sites | None:
        """Return those of the loader, unless that is gone."""
        return None if self._sites is None else self._sites()

    def __repr__(self) -> str:
        thing = None if self.owner is None else self.owner.thing()
        return "<dead instance>" if thing is None else f"<{type(thing).__name__}>"


class Sites:
    """The sites of one loader, one for each owner of what it loads.

    Attributes:
        hot: what the hit path finds, by the ids of the owners.
        levels: what is looked up of a call there, one after another.
        loader: gives the loader, or None once that is gone.
    """

    __slots__ = ("__weakref__", "_known", "hot", "levels", "loader")

    def __init__(self, loader: Called) -> None:
        self.loader: Callable[[], Called | None] = weakref.ref(loader)
        self.levels = loader.shape.levels
        self.hot: dict[int, HotEntries] = {}
        self._known: dict[int, CallSite] = {}

    def known(self, thing: Any) -> CallSite | None:
        """Return the site of ``thing``, if there is one yet."""
        return self._known.get(id(thing))

    def find(self, thing: Any) -> CallSite | None:
        """Return the site of ``thing``, be it a predecessor's; None: there is none yet.

        Raises ClosedError when that has ended.
        """
        site, loader = self.known(thing), self.loader()
        if site is None and loader is not None and loader.defined_anew:
            assert loader.name_holder is not None
            loader.name_holder.inherit()
            site = self.known(thing)
        if site is not None and site.owner is not None and site.owner.ended:
            site.owner.check_open()
        return site

    def add(self, thing: Any, site: CallSite | None = None) -> CallSite:
        """Return the site of ``thing``, which is ``site`` unless another thread was faster.

        Raises:
            ClosedError: ``thing`` has ended.
            TypeError: it cannot be referenced weakly.
        """
        owner = owner_of(thing)
        owner.check_open()
        new = site or CallSite(self.levels)
        new.bind(owner, self)  # before anybody finds it
        site = self._known.setdefault(id(thing), new)
        self.hot[id(thing)] = site.hot
        return site

    def drop(self, number: int) -> CallSite | None:
        """Forget the site of an owner by its id; return it."""
        self.hot.pop(number, None)
        return self._known.pop(number, None)

    def take_over(self, others: Sites) -> None:
        """Have the sites of ``others``, those of a predecessor that means the same."""
        for thing, site in others.take():
            self.add(thing, site)

    def take(self) -> list[tuple[Any, CallSite]]:
        """Return the sites with their owners that have not ended, and have them no more."""
        alive = [
            (number, thing, site)
            for number, site in self._known.copy().items()
            if site.owner is not None
            and not site.owner.ended
            and (thing := site.owner.thing()) is not None
        ]
        return [(thing, site) for number, thing, site in alive if self.drop(number) is site]
