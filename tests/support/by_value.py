"""What tests of loaders that travel by value share: cells of a notebook, and a journal."""

from __future__ import annotations

import gc
import textwrap
from collections.abc import Callable
from typing import Any

import cloudpickle

import warmcache

journal: list[Any] = []


@warmcache.warm
def importable(name: str) -> list[str]:
    """Load what is found by its name wherever this is imported."""
    return [name]


def note(*what: Any) -> None:
    """Write ``what`` down. Importable, and so the same wherever a loader comes from."""
    journal.append(what if len(what) > 1 else what[0])


def gate() -> None:
    """Stand for what a test has to pass in its place."""


def pass_by() -> None:
    """Pass the gate of a test. Importable, so it is what is there that is passed."""
    gate()


def cell(source: str, /, **names: Any) -> dict[str, Any]:
    """Run the cell of a notebook and return what it defines."""
    namespace = {"__name__": "__main__", "note": note, **names}
    exec(compile(textwrap.dedent(source), "<cell>", "exec"), namespace)
    return namespace


def sent(
    source: str,
    /,
    what: str = "load",
    *,
    dumps: Callable[[Any], bytes] = cloudpickle.dumps,
    **names: Any,
) -> bytes:
    """Return ``what`` of a cell, pickled, with nothing left of the cell."""
    namespace = cell(source, **names)
    data = dumps(eval(what, namespace))
    namespace.clear()
    gc.collect()
    return data
