"""What ``warm(...)`` with options returns, as type checkers see it: declared, and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import IO, Any, Literal, ParamSpec, Protocol, TypeVar, final, overload

from .batches import AsyncBatchWarm, BatchWarm
from .loaders import AsyncMemoryWarm, AsyncWarm, MemoryWarm, Warm

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=IO[Any])
C = TypeVar("C", bound=type)


@final
class Unknown:
    """What no loader returns: so only those match it of which nobody knows what they return.

    To pyright they would match what comes first, else, and that is an ``async`` loader.
    """


class Weighing(Protocol):
    """A cache that no memory limits: whatever its keys and values are, it is one, or it is not."""

    @property
    def __limited_by(self) -> Literal["weights"]: ...


class Decorator(Protocol):
    """What decorates a loader whose cache has a limit of its own kind."""

    @overload
    def __call__(self, target: C) -> C: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Unknown]) -> Warm[P, Any]: ...
    @overload
    def __call__(self, target: Callable[P, AsyncIterator[R]]) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Coroutine[Any, Any, R]]) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, F]) -> Warm[P, F]: ...  # a file is an iterator
    @overload
    def __call__(self, target: Callable[P, Iterator[R]]) -> Warm[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, R]) -> Warm[P, R]: ...


class BatchDecorator(Protocol):
    """What decorates a loader that takes several elements, and returns a list of their values."""

    @overload
    def __call__(self, target: Callable[P, Unknown]) -> BatchWarm[P, Any]: ...
    @overload
    def __call__(
        self, target: Callable[P, Coroutine[Any, Any, Sequence[R]]]
    ) -> AsyncBatchWarm[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, Sequence[R]]) -> BatchWarm[P, R]: ...


class MemoryDecorator(Protocol):
    """What decorates a loader whose cache is limited by a device's memory."""

    @overload
    def __call__(self, target: C) -> C: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Unknown]) -> MemoryWarm[P, Any]: ...
    @overload
    def __call__(self, target: Callable[P, AsyncIterator[R]]) -> AsyncMemoryWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Coroutine[Any, Any, R]]) -> AsyncMemoryWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, F]) -> MemoryWarm[P, F]: ...
    @overload
    def __call__(self, target: Callable[P, Iterator[R]]) -> MemoryWarm[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, R]) -> MemoryWarm[P, R]: ...
