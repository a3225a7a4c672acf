"""The driver for threads: it carries a plan's steps out; ``_aio.py`` does for asyncio.

Whatever runs user code runs here: loads, teardowns, reclaims, listeners. No lock is
ever held around them. Before an entry's room counts as free its teardown has
returned and every reference to its value that the library holds has been dropped.
"""

from __future__ import annotations

import gc
import inspect
import logging
import traceback
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from warmcache._core.plans.meter import Remains
from warmcache._core.plans.steps import Call, Launch, Load, Plan, Step, TearDown
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import inside
from warmcache._core.state.store import Store
from warmcache._sizes import format_weight

from .who_holds import referrers

T = TypeVar("T")

log = logging.getLogger("warmcache")


def run(plan: Plan[T], store: Store) -> T:
    """Carry out ``plan`` in this thread and return its result."""
    try:
        step = next(plan)
        while True:
            try:
                # In a box, so that no local keeps a value alive past its teardown.
                box = [_perform(step, store)]
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(box.pop())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _perform(step: Step, store: Store) -> Any:
    if isinstance(step, TearDown):
        return tear_down(store, step.entries)
    if isinstance(step, Load):
        return step.request.load()
    if isinstance(step, Call):
        return step.function()
    if isinstance(step, Launch):
        return run(step.plan, store)
    store.check_anybody_there(step.signal)
    return step.signal.wait(step.timeout)


# -- letting go --------------------------------------------------------------------


def tear_down(store: Store, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries in this thread; return what went wrong.

    A failing teardown never stops the next. A KeyboardInterrupt or the like is
    raised once all of them have run.
    """
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        if store.inherited:
            break
        error: BaseException | None = None
        pending: Awaitable[object] | None = None
        how = entry.how
        if store.meter is not None or how.finish is not None or how.origin.teardown is not None:
            try:
                with inside(entry):
                    pending = destroy(store, entry)
            except BaseException as raised:
                error = raised
        if pending is not None:
            from .event_loop import hand_over

            hand_over(store, entry, pending, failures)
        else:
            interrupt = bury(store, entry, error, failures) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures


def destroy(store: Store, entry: Entry) -> Awaitable[object] | None:
    """Run the user's teardown; return what is still to be awaited, if anything."""
    if store.meter is not None:
        entry.remains = store.meter.remains(entry)
    if entry.how.finish is not None:
        pending = entry.how.finish()
    elif entry.how.origin.teardown is not None:
        pending = entry.how.origin.teardown(entry.value)
    else:
        return None
    return pending if inspect.isawaitable(pending) else None


def bury(
    store: Store, entry: Entry, error: BaseException | None, failures: list[Exception]
) -> BaseException | None:
    """Drop the value, give its memory back, free its room, tell the listener.

    Where memory is metered and not back yet, the room stays taken; see settle().
    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    if store.inherited:  # its teardown has forked: whatever follows is the parent's
        return None if isinstance(error, Exception) else error
    raised = [] if error is None else [error]
    if error is not None:
        text = defused(error)
        log.error("teardown of %s (%s) failed:\n%s", repr(entry.key), entry.cause.value, text)
    watch = weakly(entry.value) if store.reclaim is not None else None
    remains, entry.remains = getattr(entry, "remains", None), None
    del entry.value
    if entry.how.finish is not None:
        entry.how.finish = None
    if store.reclaim is not None:
        alive = remains.living if remains is not None else watch
        raised += _reclaim(store.reclaim, alive)
    failures += [each for each in raised if isinstance(each, Exception)]
    if store.meter is None or remains is None or remains.confirmed():
        raised += _record(store, entry, failed=bool(raised))
    else:
        with store.lock:
            store.lingering[entry] = remains, bool(raised)
        store.meter.linger(store)
    return next((each for each in raised if not isinstance(each, Exception)), None)


def _record(store: Store, entry: Entry, *, failed: bool) -> list[BaseException]:
    """Free the room of ``entry`` and tell the listener; return what that raised."""
    with store.lock:
        removal = store.bury(entry, failed)
    if store.listener is not None:
        try:
            store.listener(removal)
        except BaseException as trouble:
            log.error("listener failed on %r:\n%s", removal, defused(trouble))
            return [trouble]
    return []


def settle(store: Store, *, at_once: bool = False) -> None:
    """Free the room of what has come back since its teardown; give up what does not.

    What somebody still holds then is a zombie: it stays charged until it dies. With
    ``at_once`` nobody needs the room any more: all that is left to do is to tell.
    """
    if store.inherited:
        return
    with store.lock:
        lingering, zombies = list(store.lingering.items()), list(store.zombies)
    for remains in zombies:
        left = remains.left()
        with store.lock:
            if remains in store.zombies:
                store.charge_zombie(remains, left)
    for entry, (remains, failed) in lingering:
        confirmed = at_once or remains.confirmed()
        if not confirmed and not remains.overdue():
            continue
        left = 0 if confirmed else remains.left()
        with store.lock:
            if store.lingering.pop(entry, None) is None:
                continue  # another thread was faster
            for other, _ in store.lingering.values():
                other.another_came_back(remains.weight if confirmed else 0)
            if left:
                store.charge_zombie(remains, left)
        if not confirmed:
            _complain(remains, left)
        _record(store, entry, failed=failed)


def _complain(remains: Remains, left: float) -> None:
    key, weight = repr(remains.key), format_weight(remains.weight)
    if left:
        log.warning(
            "%s was torn down, but %s of its %s are still held, by %s; they stay charged "
            "until that lets go",
            *(key, format_weight(left), weight, referrers(remains.held())),
        )
    else:
        log.warning("%s was torn down, but the device does not show its %s back", key, weight)


def _reclaim(
    reclaim: Callable[[], object], alive: Callable[[], object] | None
) -> list[BaseException]:
    """Give memory back; collect first if somebody still holds the value. What it raised."""
    try:
        if alive is not None and alive():
            gc.collect()
        reclaim()
    except BaseException as trouble:
        log.error("reclaim failed:\n%s", defused(trouble))
        return [trouble]
    return []


def weakly(value: Any) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def defused(error: BaseException) -> str:
    """Return the traceback as text, and take it off the exception.

    A traceback owns the frames it went through, and they own the value.
    """
    text = "".join(traceback.format_exception(error)).rstrip()
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return text
