"""What things are called in messages, whatever their own ``__repr__`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_LONG = 200  # characters
_FEW = 3


def text_of(thing: object) -> str:
    """Return ``repr(thing)``; where that raises, what Python would say without it.

    A message must not fail for what it is about: it tells of a failure most often, and stands
    where values are torn down.
    """
    try:
        return repr(thing)
    except Exception:
        return object.__repr__(thing)


class Late:
    """What has the text of a thing once that is asked for: where a lock is held, nobody may."""

    __slots__ = ("_thing",)

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __str__(self) -> str:
        return text_of(self._thing)


def short_text_of(thing: object) -> str:
    """Return the same, cut where nobody reads on."""
    text = text_of(thing)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def first_texts_of(things: Sequence[T], text: Callable[[T], str] = short_text_of) -> str:
    """Return the texts of the first few of ``things``, and how many more there are."""
    first = ", ".join(map(text, things[:_FEW]))
    more = len(things) - _FEW
    return f"{first} and {more:,} more" if more > 0 else first


def kind_of(value: object) -> str:
    """Return the name of a value's type, for people."""
    kind = type(value)
    builtin = kind.__module__ == "builtins"
    return kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}"
