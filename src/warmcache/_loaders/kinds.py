"""The kinds of loaders: what calling one gives, and what ends it."""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable
from types import CoroutineType, FunctionType, MethodType
from typing import Any

from warmcache._core.drivers.let_go import FINISHED
from warmcache._core.plans.steps import Produced
from warmcache._signatures import code_of, not_coroutine

from .driver import drivers


def qualname(target: Callable[..., Any]) -> str:
    return getattr(target, "__qualname__", type(target).__qualname__)


def module_name(target: Callable[..., Any]) -> str:
    """Return the module that ``target`` is of; what is built in may not say so."""
    named = (getattr(each, "__module__", None) for each in (target, type(target)))
    return next(module for module in named if isinstance(module, str))


def producer(
    target: Callable[..., Any], ended_early: Callable[[], Callable[[Any], object] | None]
) -> Callable[..., Any]:
    """Return a function that calls ``target`` and gives ``(value, finish, loop)``.

    ``ended_early`` refers weakly to what is told of a ``finish`` that has nothing left to do.
    """
    code = code_of(target)
    if inspect.isasyncgenfunction(code):
        return functools.partial(_from_async_generator, target, ended_early)
    if inspect.iscoroutinefunction(code):
        return functools.partial(_from_coroutine, target)
    if inspect.isgeneratorfunction(code):
        return functools.partial(_from_generator, target)
    if isinstance(target, FunctionType | MethodType):
        return functools.partial(_from_function, target)
    return functools.partial(_from_builtin, target)


def _from_function(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    value = target(*args, **kwargs)
    if value.__class__ is CoroutineType:
        not_coroutine(f"{qualname(target)}()", value)
    return value, None, None


def _from_builtin(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    # As a call of C code returns, it may be interrupted, and what it gave be lost: so it gives it
    # to C code, which keeps it.
    box: defaultdict[int, Any] = defaultdict(functools.partial(target, *args, **kwargs))
    if box[0].__class__ is CoroutineType:
        not_coroutine(f"{qualname(target)}()", box[0])
    return box[0], None, None


async def _from_coroutine(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    _, event_loop = drivers()
    loop = event_loop.running_loop()  # before it has loaded anything
    return await target(*args, **kwargs), None, loop


def _from_generator(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    generator = target(*args, **kwargs)
    finish = functools.partial(next, generator, FINISHED)
    for value in generator:
        return value, finish, None
    raise RuntimeError(f"{qualname(target)}() yielded nothing to keep warm")


async def _from_async_generator(
    target: Callable[..., Any],
    ended_early: Callable[[], Callable[[Any], object] | None],
    /,
    *args: Any,
    **kwargs: Any,
) -> Produced:
    from .generator_task import GeneratorTask

    _, event_loop = drivers()
    loop = event_loop.running_loop()
    task = GeneratorTask(target(*args, **kwargs), f"{qualname(target)}()", ended_early)
    return await task.enter(), task, loop
