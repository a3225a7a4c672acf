"""What a copy of a loader has in place of what the loader has, which it asks for when used.

All of these are given the loader that arrived, and know of it that it has a counterpart.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Iterator
from typing import Any

from warmcache._loaders.async_calls import AsyncCaller
from warmcache._loaders.calls import Caller

_CALLING = """\
def outer():
    {free}None

    {define} hit(*args, **kwargs):
        if 0: {names}  # as many free variables as the code has that it replaces
        try:
            return {wait}_warm_loader.hit(*args, **kwargs)
        except BaseException as error:
            _warm_loader.shorten(error)
            raise
"""


@functools.cache
def calling(free: tuple[str, ...], is_async: bool) -> types.CodeType:
    """Return code that has so many free variables, and calls the loader."""
    source = _CALLING.format(
        free="".join(f"{name} = " for name in free),
        names=", ".join(free) or "pass",
        define="async def" if is_async else "def",
        wait="await " if is_async else "",
    )
    outer = next(c for c in compile(source, "<warm>", "exec").co_consts if hasattr(c, "co_code"))
    return next(c for c in outer.co_consts if hasattr(c, "co_code"))  # type: ignore[no-any-return]


class LaterCaller(Caller):
    """What a copy offers besides being called: that of its loader, once it is wanted."""

    def __init__(self, arrived: Any, function: types.FunctionType) -> None:
        self._arrived = arrived
        self.function = weakref.ref(function)

    def __getattr__(self, name: str) -> Any:
        if name in ("_loader", "_site"):
            return getattr(self._arrived.counterpart().lease.__self__, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class LaterAsyncCaller(LaterCaller, AsyncCaller):
    """The same of an asynchronous loader."""


class LaterCache:
    """The cache of a loader that was not looked up yet: ``owner.cache``, whenever it is used."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_owner":
            raise AttributeError(name)
        return getattr(self._owner.cache, name)

    def __repr__(self) -> str:
        return f"<cache of {self._owner!r}>"

    def __len__(self) -> int:
        return len(self._owner.cache)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._owner.cache)

    def __contains__(self, key: object) -> bool:
        return key in self._owner.cache

    def __getitem__(self, key: Any) -> Any:
        return self._owner.cache[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._owner.cache[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._owner.cache[key]


class ArrivedMethod:
    """A warm method in a class that came by value: it stands for that of this process."""

    _arrived: Any

    def __setstate__(self, arrived: Any) -> None:
        self._arrived = arrived

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self._arrived.counterpart().__get__(instance, owner)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._arrived.counterpart()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_arrived":
            raise AttributeError(name)
        return getattr(self._arrived.counterpart(), name)

    def __warm_digest__(self) -> Any:
        return self._arrived.token()

    def __reduce__(self) -> Any:
        return ArrivedMethod, (), self._arrived
