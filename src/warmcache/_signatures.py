"""What a callable can be called with, whatever its parameters are annotated with.

Module ``inspect`` takes a sixth of our import, so it is imported where it is used: who has a cache
alone waits for it with the first one, who decorates with the first loader.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import inspect


def signature_of(target: Callable[..., Any], *, follow: bool = True) -> inspect.Signature:
    """Return the signature of ``target``, as :func:`inspect.signature` does.

    Unless it is to ``follow`` what decorators say that they wrap.

    Since 3.14 annotations are evaluated when they are asked for. They may name what is
    defined only later, or what only type checkers import, and are no business of ours:
    all are texts then, as they are where a file defers them with the ``__future__``
    import. They are no ``ForwardRef``, for it would keep, and be pickled with, the
    globals that it is to be found in.

    Raises:
        ValueError: nobody knows it, as of some built in.
        TypeError: ``target`` is not callable.
    """
    import inspect

    if sys.version_info >= (3, 14):
        try:
            return inspect.signature(target, follow_wrapped=follow)
        except Exception:  # whatever an expression may raise
            from annotationlib import Format

            return inspect.signature(target, follow_wrapped=follow, annotation_format=Format.STRING)
    return inspect.signature(target, follow_wrapped=follow)


def can_take(target: Callable[..., Any], count: int) -> bool:
    """Whether ``target`` can be called with ``count`` arguments; True where nobody knows.

    A decorator is asked itself: it may take, or drop, what the function below does not.
    """
    try:
        signature = signature_of(target, follow=False)
    except Exception:  # built in, or what says of itself what it likes
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def code_of(target: Callable[..., Any]) -> Any:
    """Return what tells the kind of ``target``: itself, or an object's ``__call__``."""
    import inspect

    if inspect.isroutine(target) or isinstance(target, functools.partial):
        return target
    return type(target).__call__


class UnawaitedError(TypeError):
    """A hook is asynchronous, and what it returns would be awaited by nobody."""


def is_async(function: Any) -> bool:
    """Whether ``function`` is an ``async`` function or the like, as far as it can be seen."""
    import inspect

    function = _below_partial(function)
    codes = (function, code_of(function)) if callable(function) else ()  # a mock says so itself
    return any(inspect.iscoroutinefunction(c) or inspect.isasyncgenfunction(c) for c in codes)


def yields(function: Any) -> bool:
    """Whether ``function`` is a generator function or the like, as far as it can be seen."""
    import inspect

    function = _below_partial(function)
    return callable(function) and inspect.isgeneratorfunction(code_of(function))


def _below_partial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def not_async(option: str, hook: Any, remedy: str = "have it do without await") -> None:
    """Refuse a ``hook``, if there is one, that is an ``async`` function or the like.

    Raises:
        UnawaitedError: it is.
    """
    if is_async(hook):
        hook = _below_partial(hook)
        name = getattr(hook, "__qualname__", type(hook).__qualname__)
        raise UnawaitedError(
            f"{option} must not be async, for nobody awaits what it returns; {remedy}, got {name}"
        )


def not_coroutine(what: str, answer: Any) -> Any:
    """Return ``answer``, if it is no coroutine: that would always be true, and never be run.

    Raises:
        UnawaitedError: it is one.
    """
    if isinstance(answer, CoroutineType):
        answer.close()
        raise UnawaitedError(f"{what} returned a coroutine, which nobody awaits")
    return answer


def isawaitable(answer: object) -> TypeGuard[Awaitable[Any]]:
    """Whether ``answer`` can be awaited, as :func:`inspect.isawaitable` has it."""
    from inspect import isawaitable

    return isawaitable(answer)
