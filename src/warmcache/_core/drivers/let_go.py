"""Letting one value go: its teardown, every reference to it, its memory, its room.

The order is the promise: what a tier has to dump; the user's teardown; drop what the library refers
to the value by; collect garbage if somebody still holds it and there is a ``reclaim``; ``reclaim``;
in a cache of memory see whether it is back; count the room as free; tell who wants to know. No lock
is held around anything of the user's.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable
from operator import methodcaller
from typing import Any, TypeAlias

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry, Source, State
from warmcache._core.state.parked_bytes import ParkedBytes
from warmcache._core.state.records import DUMPED, Removal
from warmcache._core.state.remains import weakly
from warmcache._core.state.store import Store
from warmcache._log import log
from warmcache._signatures import is_async, isawaitable, not_coroutine
from warmcache._sizes import format_weight
from warmcache._texts import short_text_of, text_of
from warmcache._tracebacks import drop_leading_frames

_GONE = State.GONE
Teardown: TypeAlias = Callable[[Any], object]
FINISHED = object()  # what the rest of a generator loader gives when it has run


def is_dumped(entry: Entry) -> bool:
    """Whether a tier is to keep the value of ``entry``, which has been removed."""
    return entry.provenance.dump is not None and entry.cause in DUMPED


def dump(entry: Entry) -> BaseException | None:
    """Have a tier keep the value before its teardown; return what has interrupted that, if any.

    Nothing of it is in the teardown's way: what fails there, the tier tells.
    """
    keep = entry.provenance.dump
    assert keep is not None
    try:
        keep(entry.value)
    except BaseException as interrupt:
        defused(interrupt)  # whose frames own the value
        return interrupt
    return None


def teardown_of(source: Source, value: object) -> Teardown | None:
    """Return what destroys ``value``; None has no method whose name is the teardown."""
    teardown = source.teardown
    return None if value is None and type(teardown) is methodcaller else teardown


def destroy_unpublished(source: Source, value: object) -> Awaitable[object] | None:
    """Run the teardown of what was loaded and never becomes an entry; return what is to be awaited.

    As where an interrupt comes between the loader and the plan.
    """
    teardown = teardown_of(source, value)
    pending = None if teardown is None else teardown(value)
    return pending if pending is not None and isawaitable(pending) else None


def may_block(teardown: Teardown, value: object) -> bool:
    """Whether the teardown of ``value`` does something before there is anything to be awaited."""
    if type(teardown) is methodcaller:
        name = teardown.__reduce__()[1][0]
        return not is_async(getattr(value, name, None))
    return not is_async(teardown)


async def on_its_loop(teardown: Teardown, value: object) -> None:
    """Run a teardown on the loop that it is bound to, for it is awaited there."""
    if value is None and type(teardown) is methodcaller:
        return
    pending: Any = teardown(value)
    if isawaitable(pending):
        await pending


def no_second_yield(result: Any) -> Any:
    """Return what the rest of a loader gave: FINISHED, or something to be awaited."""
    if result is not FINISHED and not isawaitable(result):
        raise RuntimeError("a generator loader yielded a second time in its teardown")
    return result


def let_go(
    cache: CacheView,
    entry: Entry,
    error: BaseException | None,
    failures: list[Exception],
    logs: bool,
) -> BaseException | None:
    """Drop the value after its teardown, which raised ``error``, and all that follows.

    Where memory is metered and not back yet, the room stays taken: the entry lingers.
    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    store = cache.store
    if store.inherited:  # its teardown has forked: whatever follows is the parent's
        return None if isinstance(error, Exception) else error
    if entry.state is _GONE:  # who was interrupted inside of this has done it
        return error
    raised = [] if error is None else [error]
    if error is not None:
        text = defused(error)
        log().error("teardown of %s (%s) failed:\n%s", text_of(entry.key), entry.cause.value, text)
    reclaim, meter = store.reclaim, cache.meter
    watch = None if reclaim is None else weakly(getattr(entry, "value", None))
    remains = None if meter is None else getattr(entry, "remains", None)
    try:
        del entry.value
    except AttributeError:
        pass  # this was interrupted, and goes on
    entry.provenance.finish = None
    if entry.parked is not None:
        raised += _dropped(entry.parked)
    if reclaim is not None:
        raised += reclaimed(reclaim, watch if remains is None else remains.living)
    if raised:
        failures += [each for each in raised if isinstance(each, Exception)]
        with store.lock:
            store.counts.teardown_failures += 1
    if meter is None or remains is None or remains.confirmed():
        free_room(store, entry, raised, logs)
    else:
        with store.lock:
            store.lingering[entry] = remains
        meter.linger(store)
    return interrupt_among(raised) if raised else None


def interrupt_among(raised: Iterable[BaseException]) -> BaseException | None:
    """Return what of it must reach the caller: a KeyboardInterrupt or the like."""
    return next((each for each in raised if not isinstance(each, Exception)), None)


def _dropped(parked: ParkedBytes) -> list[BaseException]:
    """Have the host's copy of a value go that is gone; return what that raised."""
    try:
        if parked.handle is not None:
            parked.handle.drop()
    except BaseException as trouble:
        log().error("the host's copy could not be dropped:\n%s", defused(trouble))
        return [trouble]
    finally:
        parked.handle = None
    return []


def free_room(store: Store, entry: Entry, raised: list[BaseException], logs: bool) -> None:
    """Free the room of ``entry``, and tell who wants to know; what that raises joins ``raised``."""
    with store.lock:
        if not store.gone(entry):
            return
    if logs:
        _log_removal(entry)
    if store.listener is not None or store.observers.all:
        tell(store, entry, raised)
    entry.empty_of_the_rest()


def tell(store: Store, entry: Entry, raised: list[BaseException]) -> None:
    """Tell the observers and the listener that ``entry`` is gone; what that raises joins them."""
    told: tuple[Callable[[Removal], object], ...] = ()
    if store.listener is not None:
        told = (store.listener,)
    if store.observers.all:
        told = (*[each.removed for each in store.observers.all], *told)
    removal = store.removal(entry)
    for hear in told:
        try:
            not_coroutine("on_removal", hear(removal))
        except BaseException as trouble:
            key, cause = text_of(entry.key), entry.cause.value
            log().error("listener failed on %s (%s):\n%s", key, cause, defused(trouble))
            raised.append(trouble)


def _log_removal(entry: Entry) -> None:
    """Log that ``entry`` is gone, and for whom."""
    did = "evicted" if entry.cause.evicted else "removed"
    text = f"{did} {short_text_of(entry.key)} ({entry.cause.value})"
    if entry.newcomer is not None:
        newcomer = entry.newcomer
        needed, free = format_weight(newcomer.needed), format_weight(max(newcomer.free, 0))
        text += f" for {short_text_of(newcomer.key)}: {needed} needed, {free} free"
    log().debug("%s", text)


def vanished(store: Store, entries: list[Entry], logs: bool, told: object) -> None:
    """Tell of entries that had no teardown and are gone, and drop their values.

    ``told`` is what :func:`~warmcache._core.state.at_once.vanish_at_once` was given: who observes
    since then is not told. A KeyboardInterrupt or the like, of who is told, is raised once that is
    done.
    """
    raised: list[BaseException] = []
    for entry in entries:
        if logs:
            _log_removal(entry)
        if told and store.observers.all:
            tell(store, entry, raised)
        entry.empty()
    if raised and (interrupt := interrupt_among(raised)) is not None:
        raise interrupt


def reclaimed(
    reclaim: Callable[[], object], alive: Callable[[], object] | None
) -> list[BaseException]:
    """Give memory back; collect first if a value is still alive. Log and return what it raised."""
    try:
        if alive is not None and alive():
            gc.collect()
        not_coroutine("reclaim", reclaim())
    except BaseException as trouble:
        log().error("reclaim failed:\n%s", defused(trouble))
        return [trouble]
    return []


def defused(error: BaseException) -> str:
    """Return the traceback as text, and take it off the exception.

    A traceback owns the frames it went through, and they own the value.
    """
    import traceback  # which takes long, and is rarely wanted

    drop_leading_frames(error)
    text = "".join(traceback.format_exception(error)).rstrip()
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return text
