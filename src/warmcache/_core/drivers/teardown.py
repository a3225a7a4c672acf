"""Tearing down what a plan has condemned, in this thread."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN

from .let_go import destroy, let_go, needs_teardown


def tear_down(cache: CacheView, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries; return what went wrong.

    A failing teardown never stops the next. A KeyboardInterrupt or the like is
    raised once all of them have run.
    """
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        if cache.store.inherited:
            break
        error: BaseException | None = None
        pending: Awaitable[object] | None = None
        if needs_teardown(cache, entry):
            outer = CHAIN.get()
            try:
                CHAIN.set((*outer, entry))
                pending = destroy(cache, entry)
            except BaseException as raised:
                if not entry.called:
                    raise  # it was interrupted before it began, and is still to be done
                error = raised
            finally:
                CHAIN.set(outer)
        if pending is not None:
            from .async_teardown import hand_over

            entry.doomed_by = None
            hand_over(cache, entry, pending, failures)
        else:
            interrupt = let_go(cache, entry, error, failures) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures
