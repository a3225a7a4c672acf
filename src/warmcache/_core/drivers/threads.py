"""The driver for threads: it carries a plan's steps out; ``_aio.py`` does for asyncio.

Whatever runs user code runs here: loads, teardowns, reclaims, listeners. No lock is
ever held around them. Before an entry's room counts as free its teardown has
returned and every reference to its value that the library holds has been dropped.
"""

from __future__ import annotations

from typing import Any, TypeVar

from warmcache._core.plans.steps import Call, Launch, Load, Plan, Step, TearDown
from warmcache._core.state.store import Store

from .teardown import tear_down

T = TypeVar("T")


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
