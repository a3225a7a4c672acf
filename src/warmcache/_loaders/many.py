"""``load.many([...])``: the values of several calls, each distinct one made once.

Who asks is a :class:`Caller`, which has this as a method.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from warmcache._core.state.hot_paths import SCOPES
from warmcache._texts import short_text_of
from warmcache.errors import KeyingError
from warmcache.keys import ATOMS

from . import scopes
from .batch_calls import call_several, call_several_async

if TYPE_CHECKING:
    from .batch import Batch

Call = tuple[tuple[Any, ...], dict[str, Any]]


def many(caller: Any, calls: Iterable[Any]) -> list[Any]:
    """Return the values of ``calls``, in their order."""
    given = _checked(calls, caller._loader.__name__)
    values: dict[int, Any] = {}
    if caller._loader.batch is not None:
        for alike in _together(caller._loader.batch, given):
            loaded = call_several(caller, alike.elements, alike.args, alike.kwargs)
            values.update(zip(alike.places, loaded, strict=True))
    else:
        call = caller.as_called()
        for (args, kwargs), places in _distinct(caller, given):
            values |= dict.fromkeys(places, call(*args, **kwargs))
    return [values[i] for i in range(len(given))]


async def many_async(caller: Any, calls: Iterable[Any]) -> list[Any]:
    """Return the same of an ``async`` loader."""
    given = _checked(calls, caller._loader.__name__)
    values: dict[int, Any] = {}
    if caller._loader.batch is not None:
        for alike in _together(caller._loader.batch, given):
            loaded = await call_several_async(caller, alike.elements, alike.args, alike.kwargs)
            values.update(zip(alike.places, loaded, strict=True))
    else:
        call = caller.as_called()
        for (args, kwargs), places in _distinct(caller, given):
            values |= dict.fromkeys(places, await call(*args, **kwargs))
    return [values[i] for i in range(len(given))]


def _checked(calls: Iterable[Any], name: str) -> list[Call]:
    """Return the arguments of each call. Raises TypeError for what is none."""
    write = f"write {name}.many([('a',), ('b',)]), or {name}.many([{{'x': 'a'}}, ...])"
    if isinstance(calls, str | bytes | Mapping) or not isinstance(calls, Iterable):
        raise TypeError(f"many() takes several calls, got {short_text_of(calls)}; {write}")
    given = [*calls]
    for each in given:
        if not isinstance(each, tuple | Mapping):
            raise TypeError(
                f"many() takes of each call a tuple of its arguments or a mapping of keywords, got "
                f"{short_text_of(each)}; {write}"
            )
    return [((), {**each}) if isinstance(each, Mapping) else (each, {}) for each in given]


def _distinct(caller: Any, given: list[Call]) -> list[tuple[Call, list[int]]]:
    """Return the calls that differ, each with the places at which it was given."""
    loader = caller._loader
    # Where files are delivered, each call is one.
    if loader.options.out_files is not None or (SCOPES and scopes.disabled_here()):
        return [(call, [i]) for i, call in enumerate(given)]
    distinct: dict[Hashable, tuple[Call, list[int]]] = {}
    for i, (args, kwargs) in enumerate(given):
        key: Hashable
        try:
            key = caller.cache_key(*args, **kwargs)
        except KeyingError:
            if not loader.keeps_nothing:
                raise
            key = (loader.source, i)  # what is not kept needs none
        distinct.setdefault(key, ((args, kwargs), []))[1].append(i)
    return [*distinct.values()]


class _Alike(NamedTuple):
    """Calls of one element each that differ in nothing else, and the places they were given at."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    elements: list[Any]
    places: list[int]


def _together(batch: Batch, given: list[Call]) -> Iterable[_Alike]:
    """Return the calls, those together that can be one of several elements."""
    found: dict[tuple[Hashable, ...], _Alike] = {}
    for i, call in enumerate(given):
        _, args, kwargs = batch.bind(*call[0], **call[1])
        element, rest = batch.taken_apart(args, kwargs)
        alike = found.setdefault((*map(_told_by, rest),), _Alike(args, kwargs, [], []))
        alike.elements.append(element)
        alike.places.append(i)
    return found.values()


def _told_by(argument: Any) -> Hashable:
    """Return by what an argument is told from others: itself, which no array and the like can be.

    Those are told by identity: what is the same object lives as long as the calls do.
    """
    kind = type(argument)
    return (kind, argument) if kind in ATOMS else id(argument)
