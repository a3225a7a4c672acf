"""The task that an async generator loader lives in.

It enters the generator, waits at its ``yield``, and ends it. So what is open across the yield (a
task group, a cancel scope, the token of a context variable) is left by the task, and in the
context, that entered it.

It may be cancelled:

- while it enters, with the load;
- at the yield, as its loop ends, where ``asyncio.run()`` cancels all tasks. What is warm outlives
  its loop, so the generator is left as it is, and its rest runs where it is removed: in another
  task, for there this one cannot be, and in the same context;
- at the yield, by what it has entered, as a task group does that has failed. That is thrown into
  the generator, which ends; and its value, which is good for nothing more, is removed;
- while it ends, with who removes it. If that comes before it has gone on, it is repeated, so that
  the rest begins in any case.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

from warmcache._core.drivers.async_teardown import cancelled_here
from warmcache._core.state.flights import CHAIN

from . import scopes

Told = Callable[["GeneratorTask"], object]


class GeneratorTask:
    """The life of what an async generator yields; called, it gives what ends it, to be awaited.

    Args:
        generator: what yields.
        name: that of the task.
        ended_early: refers weakly to what is told when it has ended by itself.
    """

    def __init__(
        self,
        generator: AsyncGenerator[Any, None],
        name: str,
        ended_early: Callable[[], Told | None],
    ) -> None:
        self._generator = generator
        self._name = name
        self._ended_early = ended_early
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._to_end = self._loop.create_future()
        self._chain: tuple[Any, ...] | None = None  # of who ends it, once somebody does
        self._left = False  # whether the rest is for another task to run

    async def enter(self) -> Any:
        """Begin the task, and return what is yielded."""
        arrived = self._loop.create_future()
        life = self._live(self._first_step(), arrived)
        self._task = self._loop.create_task(life, name=self._name, context=self._context)
        try:
            return await arrived
        except asyncio.CancelledError:
            self._chain = ()  # nobody has the value, should there be one already
            if self._left:
                await self()
            elif not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
            raise
        finally:
            del arrived  # or a cycle: it has the error, which has this frame

    def _first_step(self) -> Any:
        # Its teardown is ours to run: without hooks the loop does not close it at its end.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return anext(self._generator)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    async def _live(self, first: Any, arrived: asyncio.Future[Any]) -> None:
        entered = await self._entered(first, arrived)
        del first, arrived
        if entered:
            await self._stay()

    async def _entered(self, first: Any, arrived: asyncio.Future[Any]) -> bool:
        try:
            value = await first
            if not arrived.done():
                arrived.set_result(value)
            return True
        except BaseException as error:
            if arrived.done():  # the load was cancelled
                raise
            if isinstance(error, StopAsyncIteration):
                error = RuntimeError(f"{self._name} yielded nothing to keep warm")
            arrived.set_exception(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise
            return False
        finally:
            value = arrived = None  # type: ignore[assignment]

    async def _stay(self) -> None:
        CHAIN.set(())  # the load is over, and whatever scope it was asked for in
        scopes.leave_all()
        try:
            await self._to_end
        except asyncio.CancelledError as cancelled:
            if self._chain is not None:
                self._task.cancel()
            elif self._left or all(task.cancelling() for task in asyncio.all_tasks()):
                self._left = True
                return
            else:
                await self._end_early(cancelled)
                return
        await self._rest()

    async def _end_early(self, cancelled: asyncio.CancelledError) -> None:
        try:
            await self._generator.athrow(cancelled)
        except StopAsyncIteration:
            pass
        else:
            await self._yielded_again()
        finally:
            tell = self._ended_early()
            if tell is not None:
                tell(self)

    async def _rest(self) -> None:
        CHAIN.set(self._chain or ())
        async for _ in self._generator:
            await self._yielded_again()

    async def _yielded_again(self) -> None:
        await self._generator.aclose()
        raise RuntimeError("a generator loader yielded a second time in its teardown")

    def ends_here(self) -> bool:
        """Whether the running loop is its own, or that has ended."""
        return self._loop is asyncio.get_running_loop() or self._loop.is_closed()

    async def __call__(self) -> None:
        """End it, on the loop that it lives on, or, if that has ended, on this one."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._left = True
            self._task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._chain = CHAIN.get()
        if self._left:
            await loop.create_task(self._rest(), name=self._name, context=self._context)
            return
        if not self._to_end.done():
            self._to_end.set_result(None)
        try:
            await self._task
        except asyncio.CancelledError:
            if cancelled_here():
                raise  # else it was by what it has entered, and has ended
