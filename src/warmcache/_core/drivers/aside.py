"""Work that would block an event loop, done in a thread of its own while a task waits for it.

Not in the loop's own pool of threads: what runs there may wait for room that this is about to
make, and with all of them waiting it would never begin.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class NoThreadError(RuntimeError):
    """A thread cannot be started, as when the interpreter ends."""


async def aside(
    work: Callable[[], T], name: str, *, unclaimed: Callable[[T], object] | None = None
) -> T:
    """Do ``work`` in a thread called ``name``, and return what it returns, or raise what it raises.

    It is part of this call: it runs in a copy of its context. To be cancelled ends the waiting
    only; what the work gives all the same goes to ``unclaimed``, in a thread.

    Raises:
        NoThreadError: nothing was done.
    """
    loop, guard = asyncio.get_running_loop(), threading.Lock()
    over: asyncio.Future[None] = loop.create_future()
    outcome: list[tuple[Any, BaseException | None]] = []
    waiting = True

    def tell() -> None:
        if not over.done():
            over.set_result(None)

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))
        with guard:
            told = waiting
        if not told:
            drop()
            return
        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:  # it has ended; who waited is closed, and then drops it
            pass

    def drop() -> None:
        with guard:
            left = outcome.pop() if outcome else None
        if left is not None and left[1] is None and unclaimed is not None:
            unclaimed(left[0])

    _start(run, name)
    try:
        await over
    except BaseException:
        with guard:
            waiting = False
        if outcome and unclaimed is not None:
            _start(drop, name)
        raise
    value, error = outcome.pop()
    if error is None:
        return value  # type: ignore[no-any-return]
    try:
        raise error
    finally:
        del error  # or this frame, which its traceback has, would keep it


async def aside_to_its_end(work: Callable[[], T], name: str) -> tuple[T, BaseException | None]:
    """Do ``work`` in a thread called ``name``, and wait for its end, whatever comes meanwhile.

    Returns what it returns and the cancellation that came, or raises what it raises. It is for
    what takes no longer than a copy, and must not be left half done.

    Raises:
        NoThreadError: nothing was done.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    outcome: list[tuple[Any, BaseException | None]] = []
    cancelled: BaseException | None = None

    def tell() -> None:
        if not over.done():
            over.set_result(None)

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))
        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:  # it has ended, and who waited with it
            pass

    _start(run, name)
    while not outcome:
        try:
            await asyncio.wait([over])
        except asyncio.CancelledError as error:
            cancelled = error
    value, raised = outcome.pop()
    if raised is None:
        return value, cancelled
    try:
        raise raised
    finally:
        del raised, cancelled  # or this frame, which their tracebacks have, would keep them


def _start(target: Callable[[], None], name: str) -> None:
    context = contextvars.copy_context()
    try:
        threading.Thread(target=context.run, args=(target,), name=name).start()
    except RuntimeError as error:
        raise NoThreadError(str(error)) from None
