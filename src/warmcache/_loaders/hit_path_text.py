"""The text of a generated hit path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from warmcache._process.gil import FREE_THREADED

_Parameters = list[inspect.Parameter]
_MOST_LEVELS = 4  # of what is looked up part by part; above, a tuple is


class Shape(NamedTuple):
    """How a loader's arguments become a raw key.

    ``parts`` says per argument what stands for it (None: nothing does), ``key`` makes
    the whole key from the call. ``single`` is set when one argument is the raw key.
    """

    parameters: _Parameters
    parts: Mapping[str, Callable[[Any], Any] | None]
    key: Callable[..., Any] | None
    typed: bool

    def without_keys(self) -> Shape:
        """Return that of calls that have no key."""
        return Shape(self.parameters, {}, None, typed=False)

    @property
    def kept(self) -> _Parameters:
        return [p for p in self.parameters if self.parts.get(p.name, p) is not None]

    @property
    def spread(self) -> tuple[int | None, int | None]:
        """The places of ``*args`` and of ``**kwargs`` in a raw key, from its end."""
        places: dict[object, int] = {}
        if self.key is None:
            types = sum(map(self._has_type, self.kept)) if self.typed else 0
            for place, p in enumerate(reversed(self.kept), 1):
                if p.name not in self.parts:
                    places[p.kind] = -place - types
        return places.get(inspect.Parameter.VAR_POSITIONAL), places.get(
            inspect.Parameter.VAR_KEYWORD
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """The places in a raw key of what is looked up one after another; empty: all of it at once.

        What has a default comes first: it has the fewest values, so there are the fewest tables.
        """
        whole = self.key is not None or self.typed or any(self.parts.values())
        places = range(len(self.kept))
        if whole or not 2 <= len(places) <= _MOST_LEVELS:
            return ()
        return tuple(sorted(places, key=lambda place: _is_needed(self.kept[place])))

    def _has_type(self, p: inspect.Parameter) -> bool:
        return p.kind is not p.VAR_KEYWORD and p.name not in self.parts

    @property
    def single(self) -> bool:
        return self.key is not None or (len(self.kept) == 1 and not self.typed)


_SOURCE = """\
def outer():
    {free} = None

    {define} hit({signature}):
        nonlocal {_}clock
{asking}\
{preamble}\
{finding}\
        return {otherwise}

    def bind({bound}):
        return {key}, {args}, {kwargs}
"""


# The value last: an entry that is torn down meanwhile has none, and who stamps it does no harm.
_FINDING = """\
        try:
            {_}entry = {hot}.table{lookup}
            {stamp}
            {hit}
            return {_}entry.value
        except (AttributeError, TypeError, KeyError):
            pass
"""

# What is asked or told may raise errors of its own, which are not to be taken for a miss.
_TELLING = """\
        try:
            {_}entry = {hot}.table{lookup}
            {_}entry_key = {_}entry.key
            {_}value = {_}entry.value
        except (AttributeError, TypeError, KeyError):
            pass
        else:
            if {fresh}:
                try:
                    {stamp}
                    {hit}
                except AttributeError:
                    pass
                else:
                    {tell}
                    return {_}value
"""

_STAMP, _HIT = "{_}clock = {_}entry.used = {_}clock + 1.0", "{_}entry.hits = {_}entry.hits.next"
if FREE_THREADED:
    _STAMP, _HIT = "{_}entry.used = {_}clock()", "{_}entry.hit()"
_FRESH, _TELL = "{_}path.fresh({_}entry)", "{_}path.tell({_}entry_key)"


class OwnerIs(NamedTuple):
    """What says in a call to whom belongs what it loads.

    That is an ``argument``, which is no part of the key; or, where that is None, a callable
    that the hit path knows as ``per``. What is ``bound`` to it, a method, has the slow path of its
    own for each.
    """

    argument: str | None
    bound: bool = False


def source_of(
    signature: inspect.Signature,
    shape: Shape,
    prefix: str,
    owner: OwnerIs | None,
    *,
    is_async: bool,
    fresh: bool,
    tells: bool = False,
) -> str:
    key = _key_expression(shape, prefix)
    names = ["clock", "path", "items", "key", "types", "typed", "sites", "id", "per"]
    names += [*(f"part_{name}" for name in shape.parts)]
    parameters = called_with(signature, shape, owner)
    words = dict(_=prefix, key=key, args=_args(parameters), kwargs=_kwargs(parameters))
    asking, hot, slow, known = "", f"{prefix}path", f"{prefix}path.slow", ""
    if owner is not None:
        thing = owner.argument or f"{prefix}owner"
        hot = f"{prefix}sites[{prefix}id({thing})]"
        if owner.argument is None:
            asking, known = f"        {thing} = {prefix}per()\n", f", {thing}"
        elif owner.bound:
            slow += f"({thing}).slow_call"
    preamble = ""
    if not key.isidentifier() and (shape.key is not None or any(shape.parts.values())):
        # User code makes the key: once, and what it raises is the caller's to see.
        preamble = f"        {prefix}raw = {key}\n"
        words["key"] = f"{prefix}raw"
    finding = _TELLING if fresh or tells else _FINDING
    slow += f"({words['key']}, {words['args']}, {words['kwargs']}{known})"
    return _SOURCE.format(
        _=prefix,
        free=" = ".join(prefix + name for name in names),
        define="async def" if is_async else "def",
        signature=_rendered(list(signature.parameters.values())),
        bound=_rendered(parameters),
        asking=asking,
        preamble=preamble,
        finding=finding.format(
            _=prefix,
            hot=hot,
            lookup=_lookup(shape, prefix) or f"[{words['key']}]",
            stamp=_STAMP.format(_=prefix),
            hit=_HIT.format(_=prefix),
            fresh=_FRESH.format(_=prefix) if fresh else "True",
            tell=_TELL.format(_=prefix) if tells else "pass",
        ),
        otherwise=f"{'await ' if is_async else ''}{slow}",
        key=key,
        args=words["args"],
        kwargs=words["kwargs"],
    )


def called_with(signature: inspect.Signature, shape: Shape, owner: OwnerIs | None) -> _Parameters:
    """Return the parameters of what the slow path is called with: of what is bound, the others."""
    bound = owner is not None and owner.bound
    return shape.parameters if bound else list(signature.parameters.values())


def _rendered(parameters: _Parameters) -> str:
    """Return a parameter list; every default is None, for the function gets its own."""
    texts: list[str] = []
    last = None
    for p in parameters:
        if last is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            texts.append("/")
        if p.kind is p.KEYWORD_ONLY and last not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            texts.append("*")
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        texts.append(stars + p.name + ("=None" if p.default is not p.empty else ""))
        last = p.kind
    if last is inspect.Parameter.POSITIONAL_ONLY:
        texts.append("/")
    return ", ".join(texts)


def _args(parameters: _Parameters) -> str:
    positional = [
        f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
        for p in parameters
        if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)
    ]
    return _tuple(positional)


def _kwargs(parameters: _Parameters) -> str:
    named = [
        f"**{p.name}" if p.kind is p.VAR_KEYWORD else f"{p.name!r}: {p.name}"
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)
    ]
    return "{" + ", ".join(named) + "}"


def _key_expression(shape: Shape, prefix: str) -> str:
    if shape.key is not None:
        whole = f"{prefix}key(*{_args(shape.parameters)}, **{_kwargs(shape.parameters)})"
        return f"{prefix}typed({whole})" if shape.typed else whole
    parts = [_part(p, shape, prefix) for p in shape.kept]
    if shape.typed:
        parts += [
            f"{prefix}types({p.name})" if p.kind is p.VAR_POSITIONAL else f"{p.name}.__class__"
            for p in shape.kept
            if shape._has_type(p)
        ]
    return parts[0] if shape.single else _tuple(parts)


def _lookup(shape: Shape, prefix: str) -> str:
    kept = shape.kept
    return "".join(f"[{_part(kept[place], shape, prefix)}]" for place in shape.levels)


def _is_needed(p: inspect.Parameter) -> bool:
    return p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)


def _part(p: inspect.Parameter, shape: Shape, prefix: str) -> str:
    if p.name in shape.parts:
        part = f"{prefix}part_{p.name}({p.name})"
        return f"{prefix}typed({part})" if shape.typed else part
    return f"{prefix}items({p.name})" if p.kind is p.VAR_KEYWORD else p.name


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
