"""Generates the code of a warm hit, with the loader's own signature.

The interpreter itself then brings positional, keyword and default arguments into
one form, and a hit costs a look-up for each and two stamps on the entry. For
``def load(name, dtype="fp16")`` the generated function is::

    def load(name, dtype=None):          # the defaults are the loader's own objects
        nonlocal _warm_clock
        try:
            _warm_entry = _warm_path.table[dtype][name]
            _warm_clock = _warm_entry.used = _warm_clock + 1.0
            _warm_entry.hits = _warm_entry.hits.next
            return _warm_entry.value
        except (AttributeError, TypeError, KeyError):  # not warm, or not hashable
            pass
        return _warm_path.slow((name, dtype), (name, dtype), {})

Without the interpreter's lock the two stamps are counters' that Python advances atomically::

            _warm_entry.used = _warm_clock()
            _warm_entry.hit()

While an observer wants each hit told, the function has another code, which also gives it
the key, and so it has where its cache is known only later and has entries that end; each is
generated when first wanted.

No lock is taken. A thread can be switched out only between two of these lines where
it does no harm: an entry torn down meanwhile has no ``value`` any more, and a stamp
on an entry that has left counts towards nothing.
"""

from __future__ import annotations

import builtins
import inspect
import types
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import count
from typing import Any

from warmcache._core.state.hot_paths import HotEntries
from warmcache._core.state.use_clock import USE_CLOCK
from warmcache.keys import frozen_items, typed_items, typed_part

from .hit_path_text import OwnerIs, Shape, called_with, source_of

_numbers = count(1)


def build(
    loader: Any,
    signature: inspect.Signature,
    shape: Shape,
    *,
    owner: OwnerIs | None = None,
    is_async: bool = False,
    free: Mapping[str, Any],
) -> tuple[types.FunctionType, types.FunctionType, Switch]:
    """Return ``(hit, bind, switch)`` for ``loader``.

    ``hit`` is called in its place. ``bind`` takes the same arguments (but for what a method is
    bound to) and returns ``(raw key, args, kwargs)``. ``switch`` gives ``hit`` other code.

    Args:
        loader: whose ``__name__``, ``__qualname__`` and ``__module__`` to take on.
        signature: what it is called with.
        owner: what says to whom belongs what is loaded.
        is_async: whether the loader is ``async``, and so its hit.
        free: what the code knows: ``hot``, ``slow`` and the flavour's own.
    """
    prefix = _prefix(signature)
    fresh = bool(free.get("fresh"))
    write = partial(source_of, signature, shape, prefix, owner, is_async=is_async)
    # Not in "<...>", for then linecache would not ask the namespace for the source.
    filename = f"warm:{loader.__module__}.{loader.__qualname__}#{next(_numbers)}"
    names = dict(co_name=loader.__name__, co_qualname=loader.__qualname__)
    source = write(fresh=fresh)
    codes = _compiled(source, filename, names)
    path = Path(free.get("hot"), free["slow"], free.get("fresh"))
    cells = _cells(shape, prefix, {**free, "path": path})
    hit = _function(codes["hit"], loader, signature, cells, source)
    bound = signature.replace(parameters=called_with(signature, shape, owner))
    bind = _function(codes["bind"], loader, bound, cells, source)

    def code(*, fresh: bool, tells: bool) -> types.CodeType:
        return _compiled(write(fresh=fresh, tells=tells), filename, names)["hit"]

    return hit, bind, Switch(hit, path, code)


def _prefix(signature: inspect.Signature) -> str:
    """Return what the names of the generated code begin with, and no argument's does."""
    prefix = "_warm_"
    while any(name.startswith(prefix) for name in signature.parameters):
        prefix = "_" + prefix
    return prefix


def _compiled(source: str, filename: str, names: Any) -> dict[str, types.CodeType]:
    """Return the code of ``hit`` and of ``bind``, both with the loader's ``names``."""
    return {
        code.co_name: code.replace(**names)
        for code in _nested(compile(source, filename, "exec"))
        if code.co_name in ("hit", "bind")
    }


def _cells(shape: Shape, prefix: str, free: Mapping[str, Any]) -> dict[str, types.CellType]:
    """Return what the free variables of the generated code may be bound to, by name."""
    helpers = dict(key=shape.key, types=_types, typed=typed_part)
    helpers |= dict(items=typed_items if shape.typed else frozen_items)
    helpers |= {f"part_{name}": part for name, part in shape.parts.items()}
    cells = {
        f"{prefix}{name}": types.CellType(value) for name, value in {**free, **helpers}.items()
    }
    cells[f"{prefix}clock"] = USE_CLOCK
    return cells


class Path:
    """What the code of a hit knows, but for the clock: each call copies each cell of its closure.

    Pickled with a hit path, it is empty.
    """

    __slots__ = ("__weakref__", "fresh", "hot", "slow", "table", "tell")

    def __init__(
        self,
        hot: HotEntries | None = None,
        slow: Any = None,
        fresh: Callable[[Any], bool] | None = None,
    ) -> None:
        self.hot = hot  # which lives as long as its table is looked up here
        self.table = None if hot is None else hot.table
        self.slow = slow
        self.fresh = fresh
        self.tell: Callable[[Any], object] | None = None

    def know(self, other: Path) -> None:
        """Know what ``other`` does, and fall through by its own."""
        self.hot, self.table = other.hot, other.table
        self.fresh, self.tell = other.fresh, other.tell

    def find_nothing(self) -> None:
        """Have all calls fall through."""
        self.hot = self.table = None

    def __reduce__(self) -> tuple[object, ...]:
        return Path, ()


class Switch:
    """Gives a ``hit`` its code: whether hits are told, and whether they ask something first.

    The loader owns the switch, and ``hit`` the loader: so that all of them die at once,
    neither this nor ``code``, which makes what is wanted for the first time, may hold them.
    """

    def __init__(
        self, hit: types.FunctionType, path: Path, code: Callable[..., types.CodeType]
    ) -> None:
        self._code = code
        self._now = path.fresh is not None, False
        self._known: dict[tuple[bool, bool], types.CodeType] = {self._now: hit.__code__}
        self._function, self._path = weakref.ref(hit), weakref.ref(path)

    def __call__(self, tell: Callable[[Any], object] | None) -> None:
        """Have each hit told to ``tell``; None: no longer."""
        path = self._path()
        if path is not None:
            path.tell = tell or path.tell  # which calls under way may need
        self._be(fresh=self._now[0], tells=tell is not None)

    def ask_first(self, fresh: Callable[[Any], bool] | None) -> None:
        """Have ``fresh`` asked whether a hit may have its entry; None: nobody is."""
        path = self._path()
        if path is not None:
            path.fresh = fresh or path.fresh
        self._be(fresh=fresh is not None, tells=self._now[1])

    def _be(self, *, fresh: bool, tells: bool) -> None:
        if (fresh, tells) not in self._known:
            self._known[fresh, tells] = self._code(fresh=fresh, tells=tells)
        hit, path = self._function(), self._path()
        if hit is not None and path is not None:
            if hit.__code__ is self._known[self._now]:
                hit.__code__ = self._known[fresh, tells]
            else:  # it was given another's, which may be given new code now, too
                path.find_nothing()
        self._now = fresh, tells


def share_closure(hit: types.FunctionType, other: types.FunctionType) -> None:
    """Have ``hit``, if it has the code of ``other``, close over what that closes over.

    By what it falls through, stays its own. With other code it would look its arguments up in
    another order than they were put there, and ask what is not there to be asked.
    """
    if hit.__code__ is not other.__code__:
        return
    theirs = dict(zip(other.__code__.co_freevars, other.__closure__ or (), strict=True))
    for name, cell in zip(hit.__code__.co_freevars, hit.__closure__ or (), strict=True):
        if cell is theirs.get(name, cell):  # the clock is one cell for all
            continue
        own, new = cell.cell_contents, theirs[name].cell_contents
        if isinstance(own, Path) and isinstance(new, Path):
            own.know(new)
        else:
            cell.cell_contents = new


class _SourceText:
    """What tracebacks and debuggers ask for the text of a generated function (PEP 302).

    So nothing has to be put into ``linecache`` and, worse, taken out again: that would
    be while the garbage collector runs, and somebody may just then be iterating over it.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, name: str) -> str:
        """Return the source of the function whose namespace this is in."""
        return self._text

    def __reduce__(self) -> Any:
        return _SourceText, ("",)


def _types(values: tuple[Any, ...]) -> tuple[type, ...]:
    return tuple(map(type, values))


def _nested(code: types.CodeType) -> list[types.CodeType]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return inner + [deeper for const in inner for deeper in _nested(const)]


def _function(
    code: types.CodeType,
    loader: Any,
    signature: inspect.Signature,
    cells: Mapping[str, types.CellType],
    source: str,
) -> types.FunctionType:
    text: Any = _SourceText(source)
    namespace = {
        "__builtins__": builtins,
        "__name__": loader.__module__,
        "__loader__": text,
        "__spec__": ModuleSpec(loader.__module__, text),  # who finds a loader alone, warns
    }
    closure = tuple(cells[name] for name in code.co_freevars)
    optional = [p for p in signature.parameters.values() if p.default is not p.empty]
    function = types.FunctionType(code, namespace, loader.__name__, None, closure)
    function.__defaults__ = tuple(p.default for p in optional if p.kind is not p.KEYWORD_ONLY)
    function.__kwdefaults__ = {p.name: p.default for p in optional if p.kind is p.KEYWORD_ONLY}
    return function
