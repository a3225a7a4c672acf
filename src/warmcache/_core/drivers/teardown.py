"""Tearing down what a plan has condemned, in this thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import go_inside, keep_chain, restore_chain
from warmcache._log import debugging, log
from warmcache._signatures import isawaitable
from warmcache._texts import short_text_of

from .handing_over import handed_over
from .let_go import (
    Teardown,
    dump,
    free_room,
    interrupt_among,
    is_dumped,
    let_go,
    no_second_yield,
    teardown_of,
)


def begin_teardown(
    cache: CacheView, entry: Entry, logs: bool
) -> tuple[Awaitable[object] | None, BaseException | None]:
    """Run the user's teardown; return what is still to be awaited, and what it raised.

    What interrupts this before that has begun is raised: it is still to be done. ``logs`` says
    whether anybody reads the log.
    """
    provenance, meter = entry.provenance, cache.meter
    finish, teardown = provenance.finish, provenance.source.teardown
    if entry.called:  # by who was interrupted
        return None, None
    if teardown is None and finish is None and meter is None:
        return None, None
    if meter is not None or logs:
        _prepare(cache, entry, logs)
    if entry.value is None:
        teardown = teardown_of(provenance.source, None)
    entry.parks = False
    return _call(entry, teardown, finish)


def _prepare(cache: CacheView, entry: Entry, logs: bool) -> None:
    """Have a meter see what is there before the teardown, and say that it begins."""
    meter, kept = cache.meter, keep_chain()
    try:
        go_inside(entry, kept)
        if meter is not None and (entry.parked is None or entry.parked.handle is None):
            entry.remains = meter.remains(entry)  # else it is done
        if logs:
            log().debug("tearing down %s (%s)", short_text_of(entry.key), entry.cause.value)
    finally:
        restore_chain(kept)


def _call(
    entry: Entry, teardown: Teardown | None, finish: Callable[[], object] | None = None
) -> tuple[Awaitable[object] | None, BaseException | None]:
    """Call what destroys the value; return what is to be awaited, and what that raised."""
    kept = keep_chain()
    try:
        go_inside(entry, kept)
        entry.called = True  # from here on it is the teardown's own affair
        if finish is not None:
            pending = no_second_yield(finish())
        else:
            pending = None if teardown is None else teardown(entry.value)
        return pending if pending is not None and isawaitable(pending) else None, None
    except BaseException as error:
        if not entry.called:
            raise
        return None, error
    finally:
        restore_chain(kept)


def _dump(entry: Entry) -> BaseException | None:
    """Have a tier keep what is to be torn down, if it is; return what has interrupted that."""
    if entry.called or not is_dumped(entry):
        return None
    kept = keep_chain()
    try:
        go_inside(entry, kept)
        return dump(entry)
    finally:
        restore_chain(kept)


def tear_down(cache: CacheView, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries, or park them; return what went wrong.

    A failing teardown never stops the next. A KeyboardInterrupt or the like is
    raised once all of them have run.
    """
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    logs = debugging()
    for entry in entries:
        if cache.store.inherited:
            break
        if entry.parks:
            try:
                if parked_instead(cache, entry, failures):
                    continue
            except BaseException as raised:  # where it is now, who mends this finds out
                interrupt = raised
                continue
        provenance = entry.provenance
        if provenance.thread is not None and handed_over(cache, entry, provenance.thread):
            continue
        if provenance.dump is not None:
            interrupt = _dump(entry) or interrupt
        pending, error = begin_teardown(cache, entry, logs)
        interrupt = _end(cache, entry, pending, error, failures, logs) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures


def _end(
    cache: CacheView,
    entry: Entry,
    pending: Awaitable[object] | None,
    error: BaseException | None,
    failures: list[Exception],
    logs: bool,
) -> BaseException | None:
    """Do what follows a teardown that is called; return what must reach the caller."""
    if pending is None:
        return let_go(cache, entry, error, failures, logs)
    from .async_teardown import hand_over

    try:
        return hand_over(cache, entry, pending, failures)
    except BaseException as raised:  # a Ctrl-C while it is waited for; it goes on
        return raised


def tear_down_at_once(cache: CacheView, entries: list[Entry], logs: bool) -> Entry | None:
    """Tear down what was condemned at once; return the entry of which only the room is left.

    The caller frees that, with the lock by which he takes it. There is such an entry where it is
    the only one, its teardown was all there was to do, and nobody is to be told.
    """
    store, entry = cache.store, entries[0]
    provenance = entry.provenance
    teardown = provenance.source.teardown
    if (
        logs
        or len(entries) > 1  # and the room of the first is not to wait for the last
        or provenance.thread is not None
        or provenance.dump is not None
        or provenance.finish is not None
        or store.reclaim is not None
        or store.inherited
        or entry.value is None
    ):
        tear_down(cache, entries)
        return None
    if teardown is not None:
        pending, error = _call(entry, teardown)
        if pending is not None or error is not None or store.inherited:
            interrupt = _end(cache, entry, pending, error, [], logs)
            if interrupt is not None:
                raise interrupt
            return None
    try:
        del entry.value
    except AttributeError:
        pass  # who was interrupted inside of this has done it
    if store.listener is None and not store.observers.all:
        return entry
    raised: list[BaseException] = []
    free_room(store, entry, raised, logs)
    if raised and (interrupt := interrupt_among(raised)) is not None:
        raise interrupt
    return None


def parked_instead(cache: CacheView, entry: Entry, failures: list[Exception]) -> bool:
    """Park ``entry`` if that pays; whether that was done, or it is to be torn down after all.

    What must reach the caller, a KeyboardInterrupt or the like, is raised once all else is done.
    """
    from .parking import make_host_room, park

    raised: list[BaseException] = []
    gone = make_host_room(cache, entry)
    if gone is not None:
        failures += tear_down(cache, gone)
        gone = park(cache, entry, raised)
    failures += [each for each in raised if isinstance(each, Exception)]
    failures += tear_down(cache, gone or ())
    for each in raised:
        if not isinstance(each, Exception):
            raise each
    return gone is not None
