"""Teardown in this thread."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import as_part_of
from warmcache._core.state.store import Store

from .let_go import bury, destroy


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
        provenance = entry.provenance
        if (
            store.meter is not None
            or provenance.finish is not None
            or provenance.source.teardown is not None
        ):
            try:
                with as_part_of(entry):
                    pending = destroy(store, entry)
            except BaseException as raised:
                error = raised
        if pending is not None:
            from .async_teardown import hand_over

            hand_over(store, entry, pending, failures)
        else:
            interrupt = bury(store, entry, error, failures) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures
