"""How functions and loaders travel to workers whose picklers know them by their names alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import Any

from warmcache._by_value.digest import importable
from warmcache._by_value.task import Task, task
from warmcache._named import module_of

from .wanted import Wanted


def by_value(thing: Any) -> Any:
    """Return ``thing``, or a task in its place if nobody else can import it."""
    return thing if importable(thing) else task(thing)


def by_value_to_children(thing: Any) -> Any:
    """Do the same for processes of ``multiprocessing``, which run this one's script, too.

    Only functions need it, so that all else is plain pickle's and takes no cloudpickle.
    """
    if isinstance(thing, FunctionType) and not _in_script(thing):
        return by_value(thing)
    return thing


def shipped(wanted: Wanted, ship: Callable[[Any], Any]) -> Wanted:
    """Return what is wanted with its loader in a form that travels; :func:`arrived` undoes it."""
    return replace(wanted, loader=ship(wanted.loader))


def arrived(wanted: Wanted) -> Wanted:
    """Return what is wanted with the loader itself."""
    loader = wanted.loader
    return replace(wanted, loader=loader.__wrapped__) if isinstance(loader, Task) else wanted


def _in_script(thing: Any) -> bool:
    """Whether ``thing`` is found in a script, which multiprocessing runs in children too."""
    main = sys.modules["__main__"]
    if module_of(thing) != "__main__" or not hasattr(main, "__file__"):
        return False
    found: Any = main
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing
