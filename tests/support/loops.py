"""Event loops in threads of their own, and values that die on one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

CAP = 5.0


class LoopThread:
    """An event loop that runs in a thread of its own until the ``with`` block ends."""

    def __enter__(self) -> LoopThread:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def __exit__(self, *exc: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CAP)

    def begin(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Begin ``work()`` in a task; return its future."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop)

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run ``work()`` in a task, and return what it returns."""
        return self.begin(work).result(CAP)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call ``function`` on the loop's thread, outside of any task's awaiting."""

        async def call() -> Any:
            return function()

        return self.run(call)
