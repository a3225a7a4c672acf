"""What is loaded inside ``disabled()``, and belongs to no cache."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from warmcache._core.state.use_clock import tick
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import ExitJob, close_at_exit, register_exit
from warmcache.caches.lease import EnteredOnce

from .loader import Loader

V = TypeVar("V")


class _Unfinished:
    """Teardowns of what generator loaders yielded inside ``disabled()``.

    The caller owns the value, but only the suspended generator knows how to end it.
    """

    def __init__(self) -> None:
        self._jobs: list[ExitJob] = []
        close_at_exit(self)
        begins_anew_in_child(self)

    def add(self, name: str, finish: Callable[[], object]) -> None:
        """Have ``finish`` run when the process ends."""
        self._jobs.append(ExitJob(tick(), False, name, lambda: _await_if_need_be(finish())))
        register_exit()

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        keep_forever(self._jobs)
        self._jobs = []

    def close_at_exit(self, patience: float) -> list[ExitJob]:
        jobs, self._jobs = self._jobs, []
        return jobs

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

    __slots__ = ("_finish", "_process", "_teardown", "_value")

    def __init__(self, load: Callable[[], Any], teardown: Callable[[Any], object] | None) -> None:
        super().__init__(load)
        self._teardown = teardown
        self._process = os.getpid()

    def __enter__(self) -> V:
        self._value, self._finish, _ = self._begin()()
        return self._value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        self._end()

    async def __aenter__(self) -> V:
        self._value, self._finish, _ = await self._begin()()
        return self._value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        pending = self._let_go()
        if inspect.isawaitable(pending):
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

    def _let_go(self) -> object:
        value = self._value
        del self._value
        if self._process != os.getpid():  # it is the parent's, which has forked meanwhile
            keep_forever(value, self._finish)
            return None
        if self._finish is not None:
            return self._finish()
        return self._teardown(value) if self._teardown is not None else None
