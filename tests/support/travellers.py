"""What tests of loaders that reconnect share: a cell, one that is no cell, and who takes turns."""

from __future__ import annotations

from typing import Any

import by_value

import warmcache
from warmcache._by_value import loader_names

CELL = """
from warmcache import warm

FACTOR = 1

class Model:
    def __init__(self, name):
        note("load", name)
        self.name = name * FACTOR

    def close(self):
        note("close", self.name)

def size(model):
    return 1

@warm(policy="lru", maxsize=2, teardown="close")
def load(name, suffix=""):
    # How it loads.
    return Model(name + suffix)

def task(name):
    return load(name).name
"""


def in_turns() -> list[Any]:
    """Return the names that loaders of this process take turns in."""
    return [name for name in loader_names._names.values() if name.cache is not None]


def changed(old: str, new: str) -> str:
    assert 1 == CELL.count(old)
    return CELL.replace(old, new)


def in_another_function(part: object = None) -> Any:
    """Return a loader that even dill does not take for one of the main module."""

    @warmcache.warm(maxsize=2, teardown="close")
    def load(name: str) -> Any:
        by_value.note("load", name, *[part][1:])
        return Closing(name)

    return load


class Closing:
    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        by_value.note("close", self.name)
