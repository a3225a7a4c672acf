"""Loaders with ``batch=`` that know what they were called with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from warmcache import warm


class Unkeyable:
    """What no key can be made of."""

    __hash__ = None  # type: ignore[assignment]


class Encoder:
    """A loader of several texts, called with a list each time; ``load`` is its warm counterpart."""

    def __init__(self, inside: Callable[[list[Any]], object] = list, **options: Any) -> None:
        self.calls: list[list[Any]] = []
        self._inside = inside  # called as part of each load
        self.load: Any = warm(**{"maxsize": 8, "batch": "texts", **options})(self._loader())

    def _loader(self) -> Any:
        def encode(texts: Any, model: str = "m") -> list[Any]:
            assert type(texts) is list
            self.calls.append([*texts])
            self._inside(texts)
            return values_of(texts, model)

        return encode

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load(*args, **kwargs)


class AsyncEncoder(Encoder):
    """The same, ``async``; who calls this one waits for it, on a loop of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"loop_bound": False, **options})

    def _loader(self) -> Any:
        encode = super()._loader()

        async def encode_async(texts: Any, model: str = "m") -> list[Any]:
            await asyncio.sleep(0)
            return encode(texts, model)  # type: ignore[no-any-return]

        return encode_async

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(self.load(*args, **kwargs))


def values_of(texts: Any, model: str = "m") -> list[Any]:
    """Return what an encoder gives for these."""
    return [[text, model] for text in texts]


@warm(batch="texts")
def encode(texts: list[str]) -> list[list[str]]:
    """Encode texts; found by its name wherever this is imported."""
    return [[text] for text in texts]
