"""Trying again what ran out of memory, once idle entries have made room."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from warmcache._signatures import is_async, yields

from .caches import MemoryCache

P = ParamSpec("P")
R = TypeVar("R")

_RETRIES = 2


def retry_on_oom(cache: MemoryCache[Any, Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate what may run out of the memory that ``cache`` keeps things warm in.

    What it lacked is made up by idle entries, and it is called again, twice at most; the
    last failure is raised, with a note of what the memory went to. The function must bear
    being called again.

    ::

        @warmcache.retry_on_oom(load.cache)
        def infer(batch): ...

    Raises:
        TypeError: ``cache`` is no memory cache; or the function is async or a generator, for what
            fails is not the call then, but what is done with its result.
    """
    if not isinstance(cache, MemoryCache):
        raise TypeError(f"retry_on_oom() takes a memory cache, got {cache!r}")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if is_async(function) or yields(function):
            raise TypeError(
                "retry_on_oom() goes over a plain function: it can neither await another nor take "
                "back what one has yielded; have it go over what runs out of memory inside"
            )

        @wraps(function)
        def retrying(*args: P.args, **kwargs: P.kwargs) -> R:
            tries = _RETRIES
            while True:
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    wanted = cache._lacked(error, tries)
                    if wanted is None:
                        raise
                # Out here the error and the frames it held are gone.
                cache.relieve(wanted)
                tries -= 1

        return retrying

    return decorate
