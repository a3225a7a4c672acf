"""What a loader with ``batch=`` can do: a call of it is one of several elements.

What interrupts such a call is mended by the drivers of its plans, in the cache that they are of,
which may be known only once all elements were looked for. Nothing else of it changes a store.
"""

from __future__ import annotations

from typing import Any

from warmcache._tracebacks import drop_frames

from .async_calls import AsyncCaller
from .batch_calls import call_several, call_several_async
from .calls import Caller


class BatchCaller(Caller):
    """What it can do at one site, which is of elements but for being called."""

    def slow_call(
        self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /, *owner: Any
    ) -> Any:
        batch = self._loader.batch
        try:
            if self._loader.outdated and (successor := self.replaced_in_place()) is not None:
                return successor.call_anew(args, kwargs)
            assert batch is not None
            return call_several(self, batch.elements(args, kwargs), args, kwargs)
        except BaseException as error:
            drop_frames(error)
            raise

    def call_anew(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        batch = self._loader.batch
        assert batch is not None
        return self.slow_call(*batch.bind(*args, **kwargs))


class AsyncBatchCaller(AsyncCaller):
    """The same of a loader that is ``async``."""

    async def slow_call(
        self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /, *owner: Any
    ) -> Any:
        batch = self._loader.batch
        try:
            if self._loader.outdated and (successor := self.replaced_in_place()) is not None:
                return await successor.call_anew(args, kwargs)
            assert batch is not None
            return await call_several_async(self, batch.elements(args, kwargs), args, kwargs)
        except BaseException as error:
            drop_frames(error)
            raise

    def call_anew(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        batch = self._loader.batch
        assert batch is not None
        return self.slow_call(*batch.bind(*args, **kwargs))
