"""What a decorated ``async`` callable can do besides being called: the same, awaited.

The drivers for event loops are imported when they are first used, since they take asyncio along,
which nobody needs whose loaders are all synchronous.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NoReturn

from warmcache._core.drivers.mending import mend_after
from warmcache._core.plans import remove
from warmcache._core.plans.get import get
from warmcache._core.plans.load import refused
from warmcache._core.plans.remove import Successor
from warmcache._core.plans.steps import Request
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.hot_paths import SCOPES
from warmcache._core.state.records import Removal, RemovalCause
from warmcache._tracebacks import drop_frames, one_frame
from warmcache.caches.lease import AsyncLease, Leased

from . import many as several
from . import scopes
from .call_site import CallSite
from .calls import Caller, each_call
from .disabled import disowned, failures_logged, finish_last, frozen_unowned
from .driver import drivers
from .name_holder import Replaced
from .told_loads import told_loads


class AsyncCaller(Caller):
    """What a loader that is ``async`` can do at one site: what loads or tears down is awaited."""

    _lease_of = AsyncLease

    async def slow_call(
        self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /, *owner: Any
    ) -> Any:
        view, record = self._loader.cache._view, None
        try:
            if self._loader.outdated and (successor := self.replaced_in_place()) is not None:
                return await successor.call_anew(args, kwargs)
            if self._loader.waits:
                self._find_cache()
                view = self._loader.cache._view
            site = self._site_of(args, kwargs, *owner)
            if self._loader.keeps_nothing or (SCOPES and scopes.disabled_here()):
                return disowned(self._loader, *await self._load_unowned(site, args, kwargs))
            _, event_loop = drivers()
            record = event_loop.lease_record_of_this_task()
            entry, view = await self._acquire(record, self._request(site, raw, args, kwargs))
            value = entry.value
            await event_loop.release_async(view, entry, record)
        except BaseException as error:
            if record is not None:
                record.over = True
            mend_after(view, error)
            drop_frames(error)
            raise
        return value

    async def have_name(self, successor: Successor) -> None:
        if replaced := self._loader.take_over_name():
            await self._clear_async(replaced, successor)

    async def lose_name(self) -> None:
        if self._loader.lost_its_name:
            await _clear_replaced_async((self._loader,))

    async def _clear_async(self, replaced: tuple[Replaced, ...], successor: Successor) -> None:
        await _clear_replaced_async(replaced, successor)
        self._loader.torn_down(replaced)

    async def _load_unowned(
        self, site: CallSite, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        loader, complete = self._loader, self._complete(args)
        if scopes.disabled_here():
            produced = await loader.produce_unowned(complete, kwargs)
            return frozen_unowned(loader, produced, loader.freeze)
        successor = self._successor(args, kwargs, drivers()[1].lease_record_of_this_task())
        if replaced := loader.take_over_name():
            await self._clear_async(replaced, successor)
        for pending in finish_last(loader):
            with failures_logged(loader):
                await pending
        with told_loads(loader, lambda: [successor.key()]) as box:
            box.append(await self._produced_unowned(site, complete, args, kwargs))
        return box[0]

    async def _produced_unowned(
        self,
        site: CallSite,
        complete: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        loader = self._loader
        if loader.disk is None:
            produced = await loader.produce_unowned(complete, kwargs)
            return frozen_unowned(loader, produced, loader.freeze)
        loader.count_unowned()
        request = self._request(site, *loader.bind(*args, **kwargs))
        try:
            return frozen_unowned(loader, (await request.load())[:3], request.freeze)
        except Exception:
            _, event_loop = drivers()
            await event_loop.run_async(refused(request.freeze), loader.cache._view)
            raise

    async def _acquire(self, record: LeaseRecord, request: Request) -> Leased:
        at_once, event_loop = drivers()
        cache, loader, name = self._loader.cache, self._loader, self._loader.name_holder
        view = cache._view  # once: a fork changes it
        try:
            if (
                name is not None
                and not name.in_peace
                and request.may_load
                and (replaced := loader.take_over_name())
            ):
                await self._clear_async(replaced, Successor(view, record, lambda: request.key))
            entry = await at_once.load_at_once_async(view, request, record)
            if entry is None:
                entry = await event_loop.run_async(get(view, request, record), view)
                cache._watch()
            if name is not None and not name.in_peace and loader.lost_its_name:  # while it loaded
                await _clear_replaced_async((loader,))
        except BaseException as error:
            record.over = True
            mend_after(view, error)
            raise
        return entry, view

    def alease(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: that is :meth:`lease` here."""
        raise TypeError(
            f"{self._loader.__name__}() is async itself: write `async with "
            f"{self._loader.__name__}.lease(...)`"
        )

    @one_frame
    async def evict(self, /, *args: Any, **kwargs: Any) -> list[Removal]:  # type: ignore[override]
        """Tear down the value of this call, if it is warm; return what was removed."""
        return await self._evict_async(self._kept(args, kwargs))

    async def _evict_async(self, entries: Iterable[Entry]) -> list[Removal]:
        _, event_loop = drivers()
        cache, view = self._loader.cache, self._loader.cache._view
        note = view.store.removal
        for plan in cache._expiring():
            await event_loop.run_async(plan, view)
        plan = remove.chosen(view, lambda _: entries, RemovalCause.EXPLICIT, note)
        removals: list[Removal] = await event_loop.run_async(plan, view)
        return removals

    @one_frame
    async def evict_all(self, *, tag: str | None = None) -> list[Removal]:  # type: ignore[override]
        """Tear down all that this loader has warm, the last loaded first; return what was removed.

        Only if it has ``tag``, where one is given.
        """
        return await self._evict_async(self._with_tag(tag))

    @one_frame
    async def forget(self, /, *args: Any, **kwargs: Any) -> bool:  # type: ignore[override]
        """Remove what lies on disk of this call, and tear down what is warm of it.

        Returns whether anything lay there.
        """
        from warmcache._core.drivers.aside import aside

        forget = partial(self._forget_on_disk, args, kwargs)
        there = await aside(forget, "warmcache-disk")
        await self._evict_async(self._kept(args, kwargs))
        return there

    @one_frame
    async def cache_clear(self, *, disk: bool = False) -> None:  # type: ignore[override]
        """Tear down everything this loader has warm, and start its counts anew.

        With ``disk``, what lies there of it goes, too.
        """
        if disk:
            from warmcache._core.drivers.aside import aside

            await aside(self._disk().forget_all, "warmcache-disk")
        await self._evict_async(reversed(self._loader.kept_entries(self._site)))
        self._forget_counts()

    @one_frame
    async def many(self, calls: Iterable[Any]) -> list[Any]:  # type: ignore[override]
        """Return the values of several calls, in their order; of equal ones, only one is made."""
        return await several.many_async(self, calls)

    @one_frame
    async def warm_up(self, calls: Iterable[Any]) -> None:  # type: ignore[override]
        """Load several values, each once, in order, with a progress bar in a terminal."""
        for args, kwargs in each_call(calls, self._loader.__name__):
            async with self.lease(*args, **kwargs):
                pass


async def _clear_replaced_async(
    loaders: tuple[Replaced, ...], successor: Successor | None = None
) -> None:
    _, event_loop = drivers()
    for loader in loaders:
        for view, source in loader.warm():
            await event_loop.run_async(remove.replaced(view, source, successor), view)
