"""What is loaded inside ``disabled()``, and belongs to no cache."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from warmcache._core.drivers.let_go import defused, no_second_yield
from warmcache._core.state.use_clock import tick
from warmcache._log import log
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import ExitJob, close_at_exit, register_exit
from warmcache._tracebacks import one_frame
from warmcache.caches.lease import EnteredOnce

from .loader import Loader

V = TypeVar("V")


class _Unfinished:
    """Teardowns of what generator loaders yielded inside ``disabled()``.

    The caller owns the value, but only the suspended generator knows how to end it.
    """

    def __init__(self) -> None:
        self._jobs: dict[Callable[[], object], ExitJob] = {}
        close_at_exit(self)
        begins_anew_in_child(self)

    def add(self, name: str, finish: Callable[[], object]) -> None:
        """Have ``finish`` run when the process ends."""
        self._jobs[finish] = ExitJob(tick(), False, name, partial(self._end, finish))
        register_exit()

    def _end(self, finish: Callable[[], object]) -> None:
        if self._jobs.pop(finish, None) is not None:
            _await_if_need_be(no_second_yield(finish()))

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        keep_forever(self._jobs)
        self._jobs = {}

    def warm_at_exit(self, patience: float) -> list[tuple[object, object, ExitJob]]:
        return [(None, finish, job) for finish, job in self._jobs.copy().items()]

    def close_at_exit(self, patience: float, by: str) -> list[ExitJob]:
        return list(self._jobs.values())

    def finish_at_exit(self) -> None:
        """Do nothing: there is nothing more."""


unfinished = _Unfinished()


def _await_if_need_be(pending: object) -> None:
    if inspect.isawaitable(pending):
        from warmcache._core.drivers.async_teardown import await_soon

        await_soon(pending)


def disowned(loader: Loader, value: Any, finish: Callable[[], object] | None, _: object) -> Any:
    """Return a value that was loaded for its caller alone."""
    if finish is not None:
        unfinished.add(loader.__qualname__, finish)
    return value


class DisabledLease(EnteredOnce, Generic[V]):
    """A lease inside ``disabled()``: a fresh value, torn down when the lease ends."""

    __slots__ = ("_finish", "_loader", "_process", "_value")

    def __init__(self, loader: Loader, load: Callable[[], Any]) -> None:
        super().__init__(load)
        self._loader = loader
        self._process = os.getpid()

    @one_frame
    def __enter__(self) -> V:
        self._value, self._finish, _ = self._begin()()
        return self._value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        self._end()

    @one_frame
    async def __aenter__(self) -> V:
        self._value, self._finish, _ = await self._begin()()
        return self._value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        pending = self._let_go()
        if pending is not None:
            await pending

    def __del__(self) -> None:
        if not hasattr(self, "_value"):
            return
        if self._process != os.getpid():
            self._let_go()  # which only keeps it
        else:
            self._was_lost("what disabled() loaded", self._end)

    def _end(self) -> None:
        _await_if_need_be(self._let_go())

    def _let_go(self) -> Coroutine[Any, Any, None] | None:
        """Tear the value down; return what is left of that. What fails is logged, as elsewhere."""
        value = self._value
        del self._value
        if self._process != os.getpid():  # it is the parent's, which has forked meanwhile
            keep_forever(value, self._finish)
            return None
        pending: object = None
        teardown = self._loader.source.teardown
        with self._failures_logged():
            if self._finish is not None:
                pending = no_second_yield(self._finish())
            elif teardown is not None:
                pending = teardown(value)
        return self._rest(pending) if inspect.isawaitable(pending) else None

    async def _rest(self, pending: Awaitable[object]) -> None:
        with self._failures_logged():
            await pending

    @contextmanager
    def _failures_logged(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            text = defused(error)
            log().error("teardown of what %s() gave failed:\n%s", self._loader.__qualname__, text)
