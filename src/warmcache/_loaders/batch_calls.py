"""Calls of several elements: what is warm is taken, and the rest is loaded together.

Who asks is a :class:`Caller`, or stands for one that was not looked up yet.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from warmcache._core.drivers.at_once import load_at_once
from warmcache._core.plans.batch import BatchLoader, gather
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.remove import Successor
from warmcache._core.plans.steps import Ask, Plan, Produced, Request
from warmcache._core.state.entry import LeaseRecord
from warmcache._core.state.hot_paths import SCOPES
from warmcache.errors import KeyingError, WarmMissError

from . import scopes
from .batch import Batch, Missed
from .driver import driver
from .told_loads import told_loads

if TYPE_CHECKING:
    from warmcache.tiers.disk_tier import DiskCall


def call_several(
    caller: Any, elements: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any]:
    """Return the values of ``elements``, in their order; those that are missing are loaded at once.

    ``args`` and ``kwargs`` are those of a call, with anything in the place of the elements.
    """
    asked = _Asked(caller, args, kwargs)
    return asked.values if asked.has_all(elements) else asked.rest(elements)


async def call_several_async(
    caller: Any, elements: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any]:
    """Return the same of an ``async`` loader."""
    asked = _Asked(caller, args, kwargs)
    return asked.values if asked.has_all(elements) else await asked.rest(elements)


class _Call(NamedTuple):
    """The call of one element."""

    element: Any
    raw: Any
    whole: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Asked:
    """What one call of several has come to so far: the ``values`` of its elements, by place."""

    values: list[Any]

    def __init__(self, caller: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        batch = caller._loader.batch
        assert batch is not None
        self.batch: Batch = batch
        self.whole = caller._complete(args)
        self._caller, self._loader = caller, caller._loader
        self._args, self._kwargs = args, kwargs
        self._calls: dict[Hashable, _Call] = {}  # that nothing hot was found for, by key
        self._places: list[tuple[int, Hashable]] = []
        self._on_disk: dict[Hashable, DiskCall] = {}

    def has_all(self, elements: list[Any]) -> bool:
        """Whether all is on the hit path, and so there already."""
        first = self._caller._complete(())
        self.values = self.batch.found(first, elements, self._args, self._kwargs)
        missed = [i for i, each in enumerate(self.values) if type(each) is Missed]
        if not missed:
            return True
        self.disabled = bool(SCOPES) and scopes.disabled_here()
        if self._loader.waits and not self.disabled:
            self._loader.find_cache()
        self._site = self._caller._site  # of an owner that has not ended
        if self._loader.keeps_nothing or self.disabled:
            may_load = self._loader.disk is not None and not self.disabled
            if scopes.loading_forbidden_here() and not may_load:
                raise WarmMissError(f"loading {self._loader.__name__}() is forbidden here")
        if not self.disabled:
            self._distinguish(elements, missed)
        return False

    def _distinguish(self, elements: list[Any], missed: list[int]) -> None:
        """Find out which of what was ``missed`` are the same."""
        key_of, site = self._loader.key, self._site
        for i in missed:
            call: Missed = self.values[i]
            key: Hashable
            try:
                key = key_of(site, call.raw)[0]
            except KeyingError:
                if not self._loader.keeps_nothing or self._loader.disk is not None:
                    raise
                key = (self._loader.source, i)  # what is not kept needs none
            self._places.append((i, key))
            if key not in self._calls:
                whole = self._caller._complete(call.args)
                self._calls[key] = _Call(elements[i], call.raw, whole, call.kwargs)
        if (disk := self._loader.disk) is not None:
            for key, each in self._calls.items():
                call_there = disk.call(key, each.raw, site, each.whole, each.kwargs)
                self._on_disk[key] = call_there

    # -- what is missing -------------------------------------------------------------------------

    def rest(self, elements: list[Any]) -> Any:
        """Return all values, once what is missing is there; of an ``async`` loader, awaited."""
        view = self._loader.cache._view  # once: a fork changes it
        return driver(on_loop=self.batch.on_loop)(self._rest(view, elements), view)

    def _rest(self, view: CacheView, elements: list[Any]) -> Plan[list[Any]]:
        batch, loader, caller = self.batch, self._loader, self._caller
        if self.disabled:
            values = yield Ask(partial(batch.values, elements, self.whole, self._kwargs))
            return self._frozen_unowned(elements, values)
        keys, record = [*self._calls], batch.record()
        wanted = None if loader.keeps_nothing else self._requests()
        yield Ask(partial(caller.have_name, Successor(view, record, lambda: keys[0])))
        if wanted is None:
            loader.count_unowned(len(keys))
            with told_loads(loader, lambda: keys, len(keys)) as box:
                box += yield from self._loading(keys)
            return self._filled_in({key: each[0] for key, each in zip(keys, box, strict=True)})
        if batch.on_loop:
            load = BatchLoader(self._load, _hand_over_async)
        else:
            load = BatchLoader(self._load, _hand_over, _at_once)
        found = yield from gather(view, wanted, record, load)
        loader.cache._watch()
        yield Ask(caller.lose_name)
        return self._filled_in(found)

    def _requests(self) -> dict[Hashable, Request]:
        """Return what would load each of them by itself."""
        site, found = self._site, self._on_disk.get
        return {
            key: self._loader.request(site, each.raw, each.whole, each.kwargs, found(key))
            for key, each in self._calls.items()
        }

    def _filled_in(self, values: dict[Hashable, Any]) -> list[Any]:
        """Return all values, now that those are known that were missed."""
        for i, key in self._places:
            self.values[i] = values[key]
        return self.values

    # -- loading ---------------------------------------------------------------------------------

    def _load(self, keys: Sequence[Hashable]) -> Any:
        """Return what the elements of these keys come to; of an ``async`` loader, to be awaited."""
        view = self._loader.cache._view
        return driver(on_loop=self.batch.on_loop)(self._loading(keys), view)

    def _loading(self, keys: Sequence[Hashable]) -> Plan[list[Produced]]:
        def load(places: list[int]) -> Plan[list[Produced]]:
            elements, loop = [self._calls[keys[i]].element for i in places], self.batch.loop()
            values = yield Ask(partial(self.batch.values, elements, self.whole, self._kwargs))
            return [(value, None, loop) for value in values]

        if self._loader.disk is None:
            loaded = yield from load([*range(len(keys))])
        else:
            calls = [self._on_disk[key] for key in keys]
            loaded = yield from self._loader.disk.way(calls, load, self._loader.source)
        return (yield from self._frozen(keys, loaded))

    def _frozen(self, keys: Sequence[Hashable], loaded: list[Produced]) -> Plan[list[Produced]]:
        """Return what was loaded with values that nobody can change, where that is wanted.

        All are asked, and the first refusal is raised: none of what is refused stays on disk.
        """
        if self._loader.freeze is None:
            return loaded
        frozen, refusals = list[Produced](), list[Exception]()
        for key, produced in zip(keys, loaded, strict=True):
            freeze = self._loader.freezing(self._on_disk.get(key))
            try:
                element = self._calls[key].element
                frozen.append((yield from self.batch.frozen(produced, freeze, element)))
            except Exception as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return frozen

    def _frozen_unowned(self, elements: list[Any], values: list[Any]) -> list[Any]:
        """Return the values of ``elements`` that no cache keeps, frozen where that is wanted."""
        freeze, argument = self._loader.freeze, self.batch.argument
        if freeze is None:
            return values
        pairs = zip(elements, values, strict=True)
        return [freeze(value, argument, each) for each, value in pairs]


def _hand_over(produced: Produced) -> Any:
    return partial(_given, produced)


def _given(produced: Produced) -> Produced:
    return produced


def _at_once(view: CacheView, request: Request, record: LeaseRecord) -> bool:
    try:
        return load_at_once(view, request, record, record) is not None
    except BaseException:
        record.over = True
        raise


def _hand_over_async(produced: Produced) -> Any:
    return partial(_given_async, produced)


async def _given_async(produced: Produced) -> Produced:
    return produced
