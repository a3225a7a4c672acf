"""Has everything take its plan, also what would be done at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warmcache._core.drivers import at_once_async
from warmcache._loaders import calls
from warmcache.caches import cache


async def _nothing(*args: object) -> None:
    return None


@contextmanager
def by_plan() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "load_at_once", lambda *args, **options: None)
        patch.setattr(at_once_async, "load_at_once_async", _nothing)
        patch.setattr(cache, "store_at_once", lambda *args: False)
        patch.setattr(cache, "vanish_at_once", lambda *args: None)
        yield
