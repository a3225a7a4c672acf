"""The kinds of loaders: what calling one gives, and what ends it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


Produced = tuple[Any, "Callable[[], object] | None", "asyncio.AbstractEventLoop | None"]


def code_of(target: Callable[..., Any]) -> Any:
    """Return what tells the kind of ``target``: itself, or an object's ``__call__``."""
    if inspect.isroutine(target) or isinstance(target, functools.partial):
        return target
    return type(target).__call__


def qualname(target: Callable[..., Any]) -> str:
    return getattr(target, "__qualname__", type(target).__qualname__)


def module_of(target: Callable[..., Any]) -> str:
    """Return the module that ``target`` is of; what is built in may not say so."""
    named = (getattr(each, "__module__", None) for each in (target, type(target)))
    return next(module for module in named if isinstance(module, str))


def producer(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls ``target`` and gives ``(value, finish, loop)``."""
    code = code_of(target)
    if inspect.isasyncgenfunction(code):
        return functools.partial(_from_async_generator, target)
    if inspect.iscoroutinefunction(code):
        return functools.partial(_from_coroutine, target)
    if inspect.isgeneratorfunction(code):
        return functools.partial(_from_generator, target)
    return functools.partial(_from_function, target)


def _from_function(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    return target(*args, **kwargs), None, None


async def _from_coroutine(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    import asyncio  # it is running, or nobody would await this

    return await target(*args, **kwargs), None, asyncio.get_running_loop()


def _from_generator(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Produced:
    generator = target(*args, **kwargs)
    for value in generator:
        return value, functools.partial(_finish_generator, generator), None
    raise RuntimeError(f"{qualname(target)}() yielded nothing to keep warm")


def _finish_generator(generator: Any) -> None:
    for _ in generator:
        generator.close()
        raise RuntimeError("a generator loader yielded a second time in its teardown")


async def _from_async_generator(
    target: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Produced:
    import asyncio

    generator = target(*args, **kwargs)
    # Its teardown is ours to run: without hooks the loop does not close it at its end.
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        first = anext(generator)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    try:
        value = await first
    except StopAsyncIteration:
        message = f"{qualname(target)}() yielded nothing to keep warm"
        raise RuntimeError(message) from None
    loop = asyncio.get_running_loop()
    return value, functools.partial(_finish_async_generator, generator), loop


async def _finish_async_generator(generator: Any) -> None:
    async for _ in generator:
        await generator.aclose()
        raise RuntimeError("a generator loader yielded a second time in its teardown")
