"""Where a function or class is found, if it is found under its own name."""

from __future__ import annotations

import sys
from typing import Any


def module_of(thing: Any) -> str:
    """Return the name of the module of ``thing``; a main module is ``__main__`` in children too."""
    module = str(getattr(thing, "__module__", None) or type(thing).__module__)
    return "__main__" if module == "__mp_main__" else module


def qualified(thing: Any) -> str:
    """Return the name of the function or class ``thing`` with that of its module."""
    return f"{module_of(thing)}.{thing.__qualname__}"


def is_found(thing: Any) -> bool:
    """Whether ``thing``, a function or class, is what its name stands for in its module."""
    name = getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return False
    found: Any = sys.modules.get(module_of(thing))
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is thing
