"""What is public says where it is found, though it is written elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any


def found_here(namespace: dict[str, Any]) -> None:
    """Have the classes and functions in ``__all__`` say that they are of this module.

    What is of another public module already stays so. ``repr``, pickles and documentation
    go by that, and so does ``typing.get_type_hints``: it looks up the texts that a class is
    annotated with where the class says it is of. They are replaced by what they mean where
    they were written, but for names that only type checkers import.

    Args:
        namespace: the ``globals()`` of the module.
    """
    list_public(namespace)
    for name in namespace["__all__"]:
        thing = namespace.get(name)
        if not isinstance(thing, type | FunctionType) or _is_public(thing.__module__):
            continue
        written = vars(sys.modules[thing.__module__])
        hints = vars(thing).get("__annotations__", {}) if isinstance(thing, type) else {}
        for attribute, hint in hints.items():
            text = getattr(hint, "__forward_arg__", hint)  # as a named tuple has it
            if isinstance(text, str):
                try:
                    hints[attribute] = eval(text, written)
                except NameError:
                    pass
        thing.__module__, thing.__name__, thing.__qualname__ = namespace["__name__"], name, name


def import_when_asked(namespace: dict[str, Any], lazy: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module of which some names are imported when asked for.

    Args:
        namespace: the ``globals()`` of the module.
        lazy: these names, in its ``__all__``, to the modules that have them, relative to it.
    """

    def imported(name: str) -> Any:
        if name not in lazy:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        from importlib import import_module

        module = import_module(lazy[name], namespace["__name__"])
        namespace[name] = found = getattr(module, name)
        found_here(namespace)
        return found

    return imported


def _is_public(module: str) -> bool:
    return "._" not in module and module.count(".") <= 1


def list_public(namespace: dict[str, Any]) -> None:
    """Have ``dir()`` of a module give what is public there, and not what it imports."""
    namespace["__dir__"] = lambda: _listed(namespace)


def _listed(namespace: dict[str, Any]) -> list[str]:
    """Return what is public in a module: modules in it that are imported by now, too."""
    modules = {
        name
        for name, thing in namespace.copy().items()
        if isinstance(thing, ModuleType)
        and thing.__name__ == f"{namespace['__name__']}.{name}"
        and _is_public(thing.__name__)
    }
    dunders = {name for name in namespace if name[:2] == name[-2:] == "__"}
    return sorted({*namespace["__all__"], *modules, *dunders})


def without_internals(names: Iterable[str], internal: Collection[str] = ()) -> list[str]:
    """Return, for ``dir()``, the names that are public, and those that Python gives a meaning."""
    return [
        name
        for name in names
        if name not in internal and (name[:1] != "_" or name[:2] == name[-2:] == "__")
    ]
