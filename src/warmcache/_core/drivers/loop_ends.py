"""That an event loop is closed, for which asyncio has no hook.

A loop refers to its timers until it is closed, and drops them then. So it is given one that will
not ring, and what that refers to dies as the loop is closed: by its finalizer the stores are told
that have loaded something there. So no hit has to ask whether its loop is still there.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref

from warmcache._core.state.store import Store

_NEVER = 10 * 365 * 86400.0  # seconds
_told: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakSet[Store]]
_told = weakref.WeakKeyDictionary()


class _Open:
    """What a loop refers to as long as it is open."""


def tell_when_closed(loop: asyncio.AbstractEventLoop, store: Store) -> None:
    """Have ``store`` told when ``loop``, which is running here, is closed."""
    if store.last_loop is loop:
        return
    store.last_loop = loop
    stores = _told.get(loop)
    if stores is None:
        stores = _told[loop] = weakref.WeakSet()
        sign = _Open()
        weakref.finalize(sign, _tell, stores).atexit = False
        # In a context of its own: this task's would live as long as the loop.
        loop.call_later(_NEVER, id, sign, context=contextvars.Context())
    stores.add(store)


def _tell(stores: weakref.WeakSet[Store]) -> None:
    for store in list(stores):
        store.loop_closed()
