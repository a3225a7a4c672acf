"""What is loaded inside ``disabled()``, and belongs to no cache."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from warmcache._core.state.use_clock import tick
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import ExitJob, close_at_exit, register_exit
from warmcache.caches.lease import _Once

from .loader import Loader

V = TypeVar("V")


class _Unowned:
    """Teardowns of what generator loaders yielded inside ``disabled()``.

    The caller owns the value, but only the suspended generator knows how to end it.
    """

    def __init__(self) -> None:
        self._finishers: list[ExitJob] = []
        close_at_exit(self)
        begins_anew_in_child(self)

    def add(self, name: str, finish: Callable[[], object]) -> None:
        """Have ``finish`` run when the process ends."""
        self._finishers.append(ExitJob(tick(), False, name, partial(self._finish, finish)))
        register_exit()

    def _finish(self, finish: Callable[[], object]) -> None:
        pending = finish()
        if inspect.isawaitable(pending):
            from warmcache._core.drivers.async_teardown import finish as await_it

            await_it(pending)

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        keep_forever(self._finishers)
        self._finishers = []

    def close_at_exit(self, patience: float) -> list[ExitJob]:
        finishers, self._finishers = self._finishers, []
        return finishers

    def settle_at_exit(self) -> None:
        """Do nothing: there is nothing more."""


_unowned = _Unowned()


def _disowned(loader: Loader, value: Any, finish: Callable[[], object] | None, _: object) -> Any:
    if finish is not None:
        _unowned.add(loader.__qualname__, finish)
    return value


class Unowned(_Once, Generic[V]):
    """A lease inside ``disabled()``: a fresh value, torn down when the lease ends."""

    __slots__ = ("_finish", "_load", "_process", "_teardown", "_value")

    def __init__(self, load: Callable[[], Any], teardown: Callable[[Any], object] | None) -> None:
        super().__init__()
        self._load = load
        self._teardown = teardown
        self._process = os.getpid()

    def __enter__(self) -> V:
        self._enter_once()
        self._value, self._finish, _ = self._load()
        return self._value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        pending = self._let_go()
        if inspect.isawaitable(pending):
            from warmcache._core.drivers.async_teardown import finish

            finish(pending)

    async def __aenter__(self) -> V:
        self._enter_once()
        self._value, self._finish, _ = await self._load()
        return self._value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        pending = self._let_go()
        if inspect.isawaitable(pending):
            await pending

    def _let_go(self) -> object:
        value = self._value
        del self._value
        if self._process != os.getpid():  # it is the parent's, which has forked meanwhile
            keep_forever(value, self._finish)
            return None
        if self._finish is not None:
            return self._finish()
        return self._teardown(value) if self._teardown is not None else None
