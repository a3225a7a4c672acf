"""What is loaded and belongs to no cache: inside ``disabled()``, or where a cache keeps nothing."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from warmcache._core.drivers.let_go import defused, may_block, no_second_yield, teardown_of
from warmcache._core.plans.steps import Produced
from warmcache._core.state.use_clock import tick
from warmcache._log import log
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import ExitJob, close_at_exit, register_exit
from warmcache._tracebacks import one_frame
from warmcache.caches.lease import ASYNC, NOT_ASYNC, EnteredOnce

from . import scopes
from .loader import Loader

V = TypeVar("V")


class _Unfinished:
    """Teardowns of what generator loaders yielded that no cache has.

    The caller owns the value, but only the suspended generator knows how to end it. Where a cache
    keeps nothing, the next call of the loader has it end: there is never a second one, as with one
    place. Inside ``disabled()``, as in a test, nothing ends before the process.
    """

    def __init__(self) -> None:
        self._jobs: dict[Callable[[], object], ExitJob] = {}
        close_at_exit(self)
        begins_anew_in_child(self)

    def add(self, name: str, finish: Callable[[], object]) -> None:
        """Have ``finish`` run when the process ends."""
        self._jobs[finish] = ExitJob(tick(), False, name, partial(self._end, finish))
        register_exit()

    def take(self, finish: Callable[[], object]) -> bool:
        """Leave ``finish`` to the caller; return whether it has not run yet."""
        return self._jobs.pop(finish, None) is not None

    def _end(self, finish: Callable[[], object]) -> None:
        if self._jobs.pop(finish, None) is not None:
            await_if_need_be(no_second_yield(finish()))

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


def await_if_need_be(pending: object) -> None:
    if inspect.isawaitable(pending):
        from warmcache._core.drivers.async_teardown import await_soon

        await_soon(pending)


def disowned(loader: Loader, value: Any, finish: Callable[[], object] | None, _: object) -> Any:
    """Return a value that was loaded for its caller alone."""
    if finish is not None:
        unfinished.add(loader.__qualname__, finish)
        if not scopes.disabled_here():
            loader.unfinished.append(finish)
    return value


def frozen_unowned(
    loader: Loader, produced: Produced, freeze: Callable[[Any], Any] | None
) -> Produced:
    """Return what was loaded, its value frozen if it is to be; what cannot be is torn down."""
    if freeze is None:
        return produced
    try:
        return freeze(produced[0]), None, None
    except BaseException:
        DisabledLease[Any](loader, lambda: None, aside=False).give_up(produced)
        raise


def finish_last(loader: Loader) -> Iterator[Awaitable[object]]:
    """End what the last calls of ``loader`` have yielded; yield what is to be awaited of that.

    What lives on another event loop that goes on, that one's next call ends.
    """
    left = []
    while loader.unfinished:
        try:
            finish = loader.unfinished.pop()
        except IndexError:  # another thread was faster
            break
        if loader.is_async and not finish.ends_here():  # type: ignore[attr-defined]
            left.append(finish)
        elif unfinished.take(finish):
            pending: object = None
            with failures_logged(loader):
                pending = no_second_yield(finish())
            if inspect.isawaitable(pending):
                yield pending
    loader.unfinished += left


@contextmanager
def failures_logged(loader: Loader) -> Iterator[None]:
    """Log what a teardown raises that no cache carries out."""
    try:
        yield
    except Exception as error:
        text = defused(error)
        log().error("teardown of what %s() gave failed:\n%s", loader.__qualname__, text)


class DisabledLease(EnteredOnce, Generic[V]):
    """A lease of what no cache has: a fresh value, torn down when the lease ends."""

    __slots__ = ("_aside", "_finish", "_loader", "_process", "_value")

    def __init__(self, loader: Loader, load: Callable[[], Any], *, aside: bool) -> None:
        super().__init__(load)
        self._loader = loader
        self._aside = aside  # whether it is that of a loader that is not async, in async code
        self._process = os.getpid()

    @one_frame
    def __enter__(self) -> V:
        if self._loader.is_async or self._aside:
            raise TypeError(ASYNC)
        self._own(self._begin()())
        return self._value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        self._end()

    @one_frame
    async def __aenter__(self) -> V:
        if not (self._loader.is_async or self._aside):
            raise TypeError(NOT_ASYNC)
        load = self._begin()
        if self._aside:
            from warmcache._core.drivers.aside import aside
            from warmcache._core.drivers.event_loop import running_loop

            running_loop()  # or it says that there is none
            self._own(await aside(load, "warmcache-load", unclaimed=self.give_up))
        else:
            self._own(await load())
        return self._value  # type: ignore[no-any-return]

    def _own(self, produced: Produced) -> None:
        self._value, self._finish = produced[:2]

    def give_up(self, produced: Produced) -> None:
        """Tear down what was loaded and nobody has."""
        self._own(produced)
        self._end()

    async def __aexit__(self, *exc: object) -> None:
        from warmcache._core.drivers.aside import NoThreadError, aside

        end = self._let_go
        try:
            if self._may_block():
                pending = await aside(end, "warmcache-teardown", unclaimed=await_if_need_be)
            else:
                pending = end()
        except NoThreadError:
            pending = end()
        if pending is not None:
            await pending

    def __del__(self) -> None:
        if not hasattr(self, "_value"):
            return
        if self._process != os.getpid():
            self._let_go()  # which only keeps it
        else:
            self._was_lost(f"what {self._loader.__qualname__}() loaded for no cache", self._end)

    def _may_block(self) -> bool:
        if self._finish is not None:
            return not self._loader.is_async
        teardown = teardown_of(self._loader.source, self._value)
        return teardown is not None and may_block(teardown, self._value)

    def _end(self) -> None:
        await_if_need_be(self._let_go())

    def _let_go(self) -> Coroutine[Any, Any, None] | None:
        """Tear the value down; return what is left of that. What fails is logged, as elsewhere."""
        value = self._value
        del self._value
        if self._process != os.getpid():  # it is the parent's, which has forked meanwhile
            keep_forever(value, self._finish)
            return None
        pending: object = None
        teardown = teardown_of(self._loader.source, value)
        with failures_logged(self._loader):
            if self._finish is not None:
                pending = no_second_yield(self._finish())
            elif teardown is not None:
                pending = teardown(value)
        return self._rest(pending) if inspect.isawaitable(pending) else None

    async def _rest(self, pending: Awaitable[object]) -> None:
        with failures_logged(self._loader):
            await pending
