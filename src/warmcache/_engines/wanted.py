"""What a task wants warm: one call of a loader, and a name for it in every process."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from warmcache._loaders.async_calls import AsyncCaller


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call of a loader. Where two processes mean the same, their names are equal.

    The name is that of the loader, and the text of the key. It is for guessing where to
    go: what is found there is decided by the key itself.
    """

    name: str
    loader: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, warm: Any) -> Wanted:
        """Return what ``functools.partial(load, ...)``, or ``load`` itself, would give.

        Raises:
            TypeError: it is neither, or the loader does not take these arguments.
            KeyingError: an argument cannot be part of a key.
        """
        loader: Any
        is_call = isinstance(warm, functools.partial)
        loader, args, kwargs = (warm.func, warm.args, warm.keywords) if is_call else (warm, (), {})
        if not (hasattr(loader, "lease") and hasattr(loader, "cache_key")):
            raise TypeError(
                f"warm= takes a call of a loader, as in functools.partial(load, 'a'), "
                f"or a loader that needs no arguments; not {warm!r}"
            )
        shown = repr(loader.cache_key(*args, **kwargs))
        name = f"{loader.__module__}.{loader.__qualname__}{shown[shown.index('(') :]}"
        return cls(name, loader, args, kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the loader has to be awaited."""
        return isinstance(self.loader.lease.__self__, AsyncCaller)

    def lease(self) -> Any:
        """Return a lease of it, not entered yet."""
        return self.loader.lease(*self.args, **self.kwargs)

    def is_warm(self) -> bool:
        """Tell if it is warm in this process."""
        found: bool = self.loader.contains(*self.args, **self.kwargs)
        return found

    def evict(self) -> Any:
        """Tear it down; of an ``async`` loader, return what has to be awaited for that."""
        return self.loader.evict(*self.args, **self.kwargs)


def one_each(warm: Any, count: int) -> list[Any]:
    """Return the ``warm=`` of each of ``count`` calls: one for all of them, or one for each."""
    each = [*warm] if isinstance(warm, Iterable) and not callable(warm) else [warm] * count
    if len(each) != count:
        raise ValueError(f"warm= has {len(each)} elements for {count} calls")
    return each
