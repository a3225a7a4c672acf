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

from ._entry import Entry
from ._flight import inside
from ._steps import Call, Launch, Load, Plan, Step, TearDown
from ._store import Store

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
        error: BaseException | None = None
        pending: Awaitable[object] | None = None
        if entry.how.finish is not None or entry.how.origin.teardown is not None:
            try:
                with inside(entry):
                    pending = destroy(entry)
            except BaseException as raised:
                error = raised
        if pending is not None:
            from ._aio import hand_over

            hand_over(store, entry, pending, failures)
        else:
            interrupt = bury(store, entry, error, failures) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures


def destroy(entry: Entry) -> Awaitable[object] | None:
    """Run the user's teardown; return what is still to be awaited, if anything."""
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

    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    raised = [] if error is None else [error]
    if error is not None:
        text = defused(error)
        log.error("teardown of %s (%s) failed:\n%s", repr(entry.key), entry.cause.value, text)
    watch = _weakly(entry.value) if store.reclaim is not None else None
    del entry.value
    if entry.how.finish is not None:
        entry.how.finish = None
    if store.reclaim is not None:
        raised += _reclaim(store.reclaim, watch)
    with store.lock:
        removal = store.bury(entry, failed=bool(raised))
    failures += [each for each in raised if isinstance(each, Exception)]
    if store.listener is not None:
        try:
            store.listener(removal)
        except BaseException as trouble:
            log.error("listener failed on %r:\n%s", removal, defused(trouble))
            raised.append(trouble)
    return next((each for each in raised if not isinstance(each, Exception)), None)


def _reclaim(reclaim: Callable[[], object], watch: weakref.ref[Any] | None) -> list[BaseException]:
    """Give memory back; collect first if somebody still holds the value. What it raised."""
    try:
        if watch is not None and watch() is not None:
            gc.collect()
        reclaim()
    except BaseException as trouble:
        log.error("reclaim failed:\n%s", defused(trouble))
        return [trouble]
    return []


def _weakly(value: Any) -> weakref.ref[Any] | None:
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
