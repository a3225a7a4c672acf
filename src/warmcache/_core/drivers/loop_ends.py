"""That an event loop is closed, for which asyncio has no hook.

A loop refers to its timers until it is closed, and drops them then. So it is given one that will
not ring, and what that refers to dies as the loop is closed: by its finalizer the stores are told
that have loaded something there, and the owner that it is. So no hit has to ask whether its loop
is still there.

What can only be done on the loop itself has to be done before. There is no hook for that either;
but who runs a loop in order ends the asynchronous generators that it has begun, and then closes it.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial

from warmcache._core.state.store import Store

_NEVER = 10 * 365 * 86400.0  # seconds
_told: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakSet[Store]]
_told = weakref.WeakKeyDictionary()


class _Open:
    """What a loop refers to as long as it is open, and what is kept as long."""

    def __init__(self, kept: object) -> None:
        self.kept = kept


def tell_when_closed(loop: asyncio.AbstractEventLoop, store: Store) -> None:
    """Have ``store`` told when ``loop``, which is running here, is closed."""
    if store.last_loop is loop:
        return
    store.last_loop = loop
    stores = _told.get(loop)
    if stores is None:
        stores = _told[loop] = weakref.WeakSet()
        call_when_closed(loop, partial(_tell, stores))
    stores.add(store)


def call_when_closed(
    loop: asyncio.AbstractEventLoop, tell: Callable[[], object], kept: object = None
) -> None:
    """Have ``tell`` called when ``loop`` is closed, where that is done; or now, if it is already.

    This may be called in any thread. ``tell`` must not keep the loop alive; what is to be ``kept``
    until then may.
    """
    sign = _Open(kept)
    weakref.finalize(sign, tell).atexit = False

    # In a context of its own: this task's would live as long as the loop.
    def later() -> None:
        loop.call_later(_NEVER, id, sign, context=contextvars.Context())

    if asyncio._get_running_loop() is loop:
        later()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(later, context=contextvars.Context())


def call_when_shut_down(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[object]]
) -> AsyncGenerator[None, None] | None:
    """Have ``work()`` awaited on ``loop`` before it is closed, where that is done in order.

    For ``asyncio.run()`` and its like end the asynchronous generators that a loop has begun; so
    this begins one. It is returned, to be kept as long as the loop is open. None: the loop does
    not run here, or is past that.
    """
    if asyncio._get_running_loop() is not loop or getattr(loop, "_asyncgens_shutdown_called", None):
        return None

    async def last() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await work()

    generator = last()
    with suppress(StopIteration):  # it has come to its yield
        generator.__anext__().send(None)
    return generator


def _tell(stores: weakref.WeakSet[Store]) -> None:
    for store in list(stores):
        store.loop_closed()
