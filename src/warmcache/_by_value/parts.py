"""What a loader is made of, by which any process can make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from warmcache._loaders.loader_options import LoaderOptions
from warmcache._named import module_of

from .recipe import Recipe


class Parts(NamedTuple):
    """What a loader is made of.

    ``make(parts, cache, arrived)``, a function of ``makers.py``, returns the LocalLoader, and
    what is called. Pickled, its name says what kind of loader it is.
    """

    make: Callable[..., Any]
    target: Any
    options: LoaderOptions
    recipe: Recipe

    @property
    def name(self) -> tuple[str, str]:
        """The module and the qualified name of the loader."""
        target = self.target
        return module_of(target), getattr(target, "__qualname__", type(target).__qualname__)
