"""``task``: a function that any pickler can ship, with all that it reads."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from warmcache._tracebacks import drop_frames

from .packing import packed

P = ParamSpec("P")
R = TypeVar("R")
_WRAPPED = functools.WRAPPER_ASSIGNMENTS


class Task(Generic[P, R]):
    """A function that is pickled by value; see :func:`task`."""

    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function, updated=())
        if inspect.iscoroutinefunction(function) and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result: R = self.__wrapped__(*args, **kwargs)
        except BaseException as error:
            drop_frames(error)
            raise
        return result

    def __getattr__(self, name: str) -> Any:
        """Unpack the function when it is first wanted, not where it only passes through."""
        if name == "__annotations__":  # since 3.14 update_wrapper() leaves them where they are
            return self.__wrapped__.__annotations__
        data = None if "__wrapped__" in vars(self) else vars(self).get("_data")
        if data is None or (name.startswith("__") and name not in ("__wrapped__", *_WRAPPED)):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        from pickle import loads

        self.__init__(loads(data))  # type: ignore[misc]
        return getattr(self, name)

    def __warm_digest__(self) -> Any:
        return self.__wrapped__

    def __reduce__(self) -> Any:
        data = vars(self).get("_data")
        return _unpacked, (packed(self.__wrapped__) if data is None else data,)

    def __repr__(self) -> str:
        return f"<task {self.__wrapped__!r}>"


def _unpacked(data: bytes) -> Task[..., Any]:
    task: Task[..., Any] = Task.__new__(Task)
    vars(task)["_data"] = data
    return task


def task(function: Callable[P, R]) -> Task[P, R]:
    """Return ``function`` in a form that every pickler ships, with the globals it reads.

    For engines that pickle functions by name, or without their globals: process pools,
    Parsl, Globus Compute. A lambda, a function of a notebook or of another function, and
    a loader too, work in the other process as here; loaders that it uses are those of
    that process::

        with ProcessPoolExecutor() as pool:
            pool.map(warmcache.task(lambda name: load(name).predict(x)), names)

    It takes cloudpickle, here and in the other process. What it reads is taken when it
    is pickled.

    Raises:
        TypeError: ``function`` is not callable.
        ImportError: when it is pickled: cloudpickle is not installed.
    """
    if not callable(function):
        raise TypeError(f"task() takes a function, not {function!r}")
    return Task(function)
