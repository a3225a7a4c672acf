"""The driver for threads: it carries a plan's steps out, each in the thread that asks.

Whatever runs user code runs here: loads, teardowns, reclaims, listeners. No lock is
ever held around them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import (
    Aside,
    Ask,
    Disguised,
    Elsewhere,
    Flush,
    Launch,
    Load,
    Plan,
    TearDown,
    Wait,
)
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN, keep_chain, restore_chain
from warmcache._core.state.loading_threads import HANDED_OVER, LOADING
from warmcache._signatures import not_coroutine

from .handed_over import tear_down_what_is_mine, wait
from .lingering import flush
from .mending import mend, mend_after
from .teardown import tear_down

T = TypeVar("T")


def run(plan: Plan[T], cache: CacheView) -> T:
    """Carry out ``plan`` in this thread and return its result."""
    if HANDED_OVER:
        tear_down_what_is_mine()
    error: BaseException | None = None
    try:
        box: list[Any] = [None]  # so that no local keeps a value alive past its teardown
        while True:
            try:
                if error is None:
                    step = plan.send(box.pop())
                else:
                    step = plan.throw(Disguised.where_needed(error))
                    error = None
                # What may load loads from here, for recursive loaders: each frame less is a level
                # more.
                if isinstance(step, Load):
                    step.box[0]  # which calls the loader
                    box.append(None)
                elif isinstance(step, Ask):
                    box.append(not_coroutine(step.option, step.function()))
                elif isinstance(step, Launch):
                    flight, kept = step.flight, keep_chain()
                    assert flight.plan is not None
                    try:
                        CHAIN.set((*CHAIN.get(), flight))
                        run(flight.plan, cache)
                    finally:
                        restore_chain(kept)
                        if not flight.ended:
                            mend(cache)
                    box.append(None)
                else:
                    box.append(_perform(step, cache))
            except BaseException as raised:
                error = None  # or it would keep itself alive, and all frames that it went through
                if plan.gi_frame is not None:  # type: ignore[attr-defined]  # it goes on, and is told
                    error = raised
                elif isinstance(raised, StopIteration):
                    return raised.value  # type: ignore[no-any-return]
                elif isinstance(raised, Disguised):
                    found = raised.error
                    break
                else:
                    raise
    except BaseException as raised:
        plan.close()  # it may have been left between two steps
        mend_after(cache, raised)
        raise
    try:
        raise found  # out here, or the disguise would be its context
    finally:
        del found


def _perform(step: TearDown | Elsewhere | Aside | Flush | Wait, cache: CacheView) -> Any:
    if isinstance(step, TearDown):
        return tear_down(cache, step.entries)
    if isinstance(step, Flush):
        return flush(cache)
    if isinstance(step, Aside):
        return step.function()
    if isinstance(step, Elsewhere):
        return run(step.plan, step.cache)
    cache.store.check_anybody_there(step.signal)
    return wait(step.signal, step.timeout) if LOADING else step.signal.wait(step.timeout)


def lease_warm(
    cache: CacheView, find: Callable[[Any], Entry | None], key: Any, record: LeaseRecord
) -> tuple[Entry, CacheView] | None:
    """Lease what ``find(key)`` gives with the lock held, a use of it; None if that is nothing."""
    store = cache.store
    if HANDED_OVER:
        tear_down_what_is_mine()
    try:
        with store.lock:
            entry = find(key)
            if entry is None:
                return None
            store.lease(entry, record)
            store.used(entry, entry.key)
    except BaseException as error:
        record.over = True
        mend_after(cache, error)
        raise
    return entry, cache


def release(cache: CacheView, entry: Entry, record: LeaseRecord) -> None:
    """End a lease: the plan of that name, spelt out, for every call ends one."""
    try:
        with cache.store.lock:
            doomed = cache.store.end_lease(entry, record)
        if doomed:
            tear_down(cache, [entry])
    except BaseException as error:
        record.over = True
        mend_after(cache, error)
        raise
