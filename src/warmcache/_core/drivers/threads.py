"""The driver for threads: it carries a plan's steps out, each in the thread that asks.

Whatever runs user code runs here: loads, teardowns, reclaims, listeners. No lock is
ever held around them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Ask, Flush, Launch, Load, Plan, TearDown, Wait
from warmcache._core.state.entry import Entry, LeaseRecord

from .let_go import flush
from .teardown import tear_down

T = TypeVar("T")


def run(plan: Plan[T], cache: CacheView) -> T:
    """Carry out ``plan`` in this thread and return its result."""
    try:
        step = next(plan)
        while True:
            try:
                # In a box, so that no local keeps a value alive past its teardown. What may load
                # loads from here, for recursive loaders: each frame less is a level more.
                if isinstance(step, Load):
                    box = [step.request.load()]
                elif isinstance(step, Launch):
                    box = [run(step.plan, cache)]
                else:
                    box = [_perform(step, cache)]
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(box.pop())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _perform(step: Ask | TearDown | Flush | Wait, cache: CacheView) -> Any:
    if isinstance(step, TearDown):
        return tear_down(cache, step.entries)
    if isinstance(step, Ask):
        return step.function()
    if isinstance(step, Flush):
        return flush(cache)
    cache.store.check_anybody_there(step.signal)
    return step.signal.wait(step.timeout)


def release(cache: CacheView, entry: Entry, record: LeaseRecord) -> None:
    """End a lease: the plan of that name, spelt out, for every call ends one."""
    with cache.store.lock:
        doomed = cache.store.end_lease(entry, record)
    if doomed:
        tear_down(cache, [entry])
