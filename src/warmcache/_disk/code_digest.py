"""What a loader's code means, as a digest that another process and another Python find, too.

It covers the syntax of the loader and of the functions and classes that it reads, and theirs, as
far as people edit them (see ``own_code.py``), and the constants that these read: by the global
names and the variables closed over that are in their bytecode; by attributes of modules, and of
the class of a method, that have a name which is in it; by what they import themselves, which is
imported for that. What is of an installed distribution is its name. A constant that has no
encoding is refused: whatever stood for it would be the same for others.

What these functions store to is what becomes of them and not what they mean, see ``_rebound.py``.
What is found by ``getattr(module, name)``, or a method of an argument, nobody sees here.

Where a function or class is met stands its number. It is gone into once, after all that were met
before it, so that no chain of helpers is too long. What has no order is gone into as if each part
were the first, with what is met in it, so that no order counts.
"""

from __future__ import annotations

import ast
import copy
import enum
import functools
import hashlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from warmcache._array_contents import by_content
from warmcache._code_parts import (
    CACHED,
    INCIDENTAL,
    WRAPPERS,
    contents_of_cell,
    globals_read,
    imports_in,
    names_in,
    parts_of_code,
)
from warmcache._named import is_found, module_of, qualified
from warmcache._ours import is_ours
from warmcache._rebound import Rebound, rebound_by, stored_to, walked
from warmcache.errors import KeyingError
from warmcache.keys import is_array

from .encoder import Encoder, leaf, node
from .own_code import is_own
from .source import Sources, functions_of
from .syntax import Definition, Stripped, encoded, identifiers, outer_names

_BOUND_TO_NOTHING = (types.ModuleType, type, type(None))
_PARTS_OF_DATACLASSES = ("dataclasses.Field", "dataclasses._DataclassParams")
_OF_BUILT_IN = (types.MethodDescriptorType, types.WrapperDescriptorType)
_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
# Of which one is as good as another, whatever it is used for.
_WITHOUT_VALUE = {
    *("object", "_thread.lock", "_thread.RLock", "_thread._local", "_contextvars.ContextVar"),
    *("builtins.object", "contextvars.ContextVar", "typing.TypeVar", "typing.ParamSpec"),
    *(f"threading.{name}" for name in ("Condition", "Event", "Semaphore", "BoundedSemaphore")),
    *(f"asyncio.locks.{name}" for name in ("Lock", "Event", "Condition", "Semaphore")),
}


def code_digest(function: Any, *, code: bool = True) -> str:
    """Return the digest of what ``function`` means, 40 hex digits; without ``code``, none.

    Raises:
        KeyingError: it reads what has no encoding.
    """
    if not code:
        return ""
    sources = Sources()
    root = function
    while isinstance(root, functools.partial):
        root = root.func
    package = module_of(root).partition(".")[0]
    name = getattr(function, "__qualname__", type(function).__qualname__)

    def walk_of(left_out: set[Rebound]) -> _Code:
        return _Code(f"the code of {name}", package, sources, left_out)

    result, walk = walked(walk_of, function)
    if walk.refused is not None:
        raise walk.refused
    return _digest_of(result)


def _written_in(function: types.FunctionType) -> Any:
    """Return the name of the module that has the text of ``function``, whatever it passes for."""
    return function.__globals__.get("__name__")


def _digest_of(encoding: bytes) -> str:
    return hashlib.blake2b(encoding, digest_size=20, person=b"warmcache code 1").hexdigest()


class _Code(Encoder):
    """A walk that goes into functions and classes, and what they read.

    Attributes:
        rebound: what the functions that it has met store to.
        refused: what is wrong with the first thing they read that has no encoding; a function
            that is met only later may store to it.
    """

    def __init__(self, where: str, package: str, sources: Sources, left_out: set[Rebound]) -> None:
        super().__init__(where)
        self.rebound: set[Rebound] = set()
        self.refused: KeyingError | None = None
        self._left_out = left_out
        self._package = package
        self._sources = sources
        self._met: dict[int, int] = {}
        self._to_do: list[tuple[Any, list[str]]] = []  # and where it was met
        self._kept: list[Any] = []  # so that no two objects have one number
        self._begun = False

    def of(self, value: Any) -> bytes:
        if (number := self._met.get(id(value))) is not None:
            return leaf("met", str(number))
        if self._begun:
            return super().of(value)
        self._begun = True
        return node("walk", [self.of(value), *self._definitions()])

    def whole(self, kind: Any, value: Any) -> bytes:
        if kind is types.CodeType:
            return node("code", map(self.of, parts_of_code(value)))
        if kind is types.ModuleType:
            return leaf("module", value.__name__)
        if kind is CACHED or (kind is types.FunctionType and "__warm_digest__" in vars(value)):
            return self.of(value.__wrapped__)  # of ours, and the like
        if kind is types.MappingProxyType:
            return super().whole(dict, value)
        if kind is types.BuiltinMethodType and not isinstance(value.__self__, _BOUND_TO_NOTHING):
            return node("method", [leaf("str", value.__name__), self.of(value.__self__)])
        if kind in _OF_BUILT_IN:
            return leaf("method", f"{qualified(value.__objclass__)}.{value.__name__}")
        if kind in WRAPPERS:
            parts = (self.of(getattr(value, name)) for name in WRAPPERS[kind])
            return node(str(kind.__name__), parts)
        return super().whole(kind, value)

    def other(self, kind: Any, value: Any) -> bytes:
        if getattr(value, "__wrapped__", None) is not None:
            wrapped = self.within(".__wrapped__", value.__wrapped__)
            if is_ours(module_of(kind)):
                return wrapped
            return node("wraps", [self.named(kind), wrapped])
        if hasattr(kind, "__warm_digest__"):
            return node("said", [self.named(kind), self.of(value.__warm_digest__())])
        if (origin := typing.get_origin(value)) is not None:
            return node("generic", map(self.of, (origin, typing.get_args(value))))
        if qualified(kind) in _WITHOUT_VALUE:
            return leaf("any", qualified(kind))
        if (logging := sys.modules.get("logging")) and isinstance(value, logging.Logger):
            return leaf("logger", value.name)
        if qualified(kind) in _PARTS_OF_DATACLASSES:
            slots = [each for each in kind.__slots__ if hasattr(value, each)]
            return node("slots", (self.within(f".{each}", getattr(value, each)) for each in slots))
        if is_array(value):
            return self.of(by_content(value))
        if (name := self._installed_name(kind, value)) is not None:
            return leaf("installed", name)
        return self.refuse(
            value,
            "cannot be told from others in another process. Have the loader take it, or what it "
            "is made of, as an argument; give its class a __warm_key__ method; or say code=False, "
            "and another version= whenever it changes",
        )

    def named(self, thing: Any) -> bytes:
        if (number := self._met.get(id(thing))) is not None:
            return leaf("met", str(number))
        is_function = isinstance(thing, types.FunctionType)
        if not is_function and not (isinstance(thing, type) and self._is_own(module_of(thing))):
            return leaf("class" if isinstance(thing, type) else "function", qualified(thing))
        if is_function and self._is_installed(thing):
            return leaf("function", qualified(thing))
        self._met[id(thing)] = number = len(self._met)
        self._kept.append(thing)
        self._to_do.append((thing, [*self._where]))
        return leaf("met", str(number))

    def _is_own(self, module: object) -> bool:
        return is_own(module, self._package)

    def _is_installed(self, function: types.FunctionType) -> bool:
        written = _written_in(function)
        wraps = getattr(function, "__wrapped__", None) is not None
        found = module_of(function) == written and is_found(function)
        return found and not wraps and not self._is_own(written)

    def _definitions(self) -> Iterator[bytes]:
        """Yield the encodings of what was met and not gone into yet, in the order of numbers."""
        before = self._where
        try:
            for thing, where in self._to_do:  # which grows
                self._where = where
                if isinstance(thing, type):
                    parts = self._class(thing)
                elif self._is_own(_written_in(thing)):
                    parts = self._function(thing)
                else:
                    parts = self._wrapper(thing)
                yield leaf("definition", _digest_of(node("parts", parts)))
        finally:
            self._where = before

    def apart(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        met, to_do = self._met, self._to_do
        while True:
            self._met, self._to_do = met.copy(), []
            try:
                part = next(parts, None)
                met_in_it = [*self._definitions()]
            finally:
                self._met, self._to_do = met, to_do
            if part is None:
                return
            yield node("apart", [part, *met_in_it]) if met_in_it else part

    def _wrapper(self, function: types.FunctionType) -> Iterator[bytes]:
        """Yield what a function means that one of an installed distribution has made."""
        yield leaf("str", f"{_written_in(function)}.{function.__code__.co_qualname}")
        if (wrapped := getattr(function, "__wrapped__", None)) is None:
            yield from self._bound(function, None)
            return
        yield self.of(wrapped)
        yield self.within(".registry", getattr(function, "registry", None))  # of singledispatch

    def _bound(self, function: types.FunctionType, names: set[str] | None) -> Iterator[bytes]:
        """Yield what a function was made with: defaults, and what it closes over."""
        yield self.within(".__defaults__", function.__defaults__)
        yield self.within(".__kwdefaults__", function.__kwdefaults__)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in sorted(cells.items()):
            if names is None or name in names or name == "__class__":
                left_out = (id(cell), "") in self._left_out
                yield leaf("str", name)
                yield from self._each(name, () if left_out else contents_of_cell(cell))

    def _function(self, function: types.FunctionType) -> Iterator[bytes]:
        code, known = function.__code__, function.__globals__
        self.rebound.update(rebound_by(function))
        tree = self._sources.of_function(function)
        names, outer = None, set[str]()
        if tree is None:
            yield self.of(code)
        else:
            stripped = self._stripped(tree, known)
            names, outer = {*identifiers(stripped)}, outer_names(stripped)
            yield encoded(stripped)
        yield from self._bound(function, names)
        yield from self._read(code, known, names, outer)
        yield from self._of_owner(function)

    def _class(self, cls: type) -> Iterator[bytes]:
        yield leaf("str", cls.__name__)
        yield from map(self.of, (type(cls), *cls.__bases__))
        source = self._sources.of_class(cls, lambda name: stored_to(cls, name, self._left_out))
        if source is None:
            yield from self._contents(cls)
            return
        tree, body = source
        known = vars(sys.modules[module_of(cls)])
        for each in functions_of(cls):
            self.rebound.update(rebound_by(each))
        stripped = self._stripped(tree, known)
        yield encoded(stripped)
        yield from self._read(body, known, {*identifiers(stripped)}, outer_names(stripped))

    def _contents(self, cls: type) -> Iterator[bytes]:
        """Yield what is in a class of which nobody knows how it is written."""
        if issubclass(cls, tuple) and "_fields" in vars(cls):  # as namedtuple() makes them
            yield from map(self.of, (vars(cls)["_fields"], getattr(cls, "_field_defaults", None)))
            yield from map(self.of, functions_of(cls))
            return
        if issubclass(cls, enum.Enum):  # as Enum() makes them
            yield self.of({name: each.value for name, each in cls.__members__.items()})
            return
        for name, value in sorted(vars(cls).items()):
            if name in INCIDENTAL or isinstance(value, _SLOTS):
                continue
            if not stored_to(cls, name, self._left_out):
                yield leaf("str", name)
                yield self.within(f".{name}", value)

    def _stripped(self, tree: Definition, known: dict[str, Any]) -> Any:
        def is_of_ours(decorator: ast.expr) -> bool:
            while isinstance(decorator, ast.Call):
                decorator = decorator.func
            path: list[str] = []
            while isinstance(decorator, ast.Attribute):
                path.append(decorator.attr)
                decorator = decorator.value
            found = known.get(decorator.id) if isinstance(decorator, ast.Name) else None
            for name in reversed(path):
                found = getattr(found, name, None) if isinstance(found, types.ModuleType) else found
            found = getattr(found, "func", found)  # of a partial
            return is_ours(module_of(found)) or is_ours(module_of(type(found)))

        return Stripped(is_of_ours).visit(copy.deepcopy(tree))

    def _read(
        self, code: types.CodeType, known: dict[str, Any], names: set[str] | None, outer: set[str]
    ) -> Iterator[bytes]:
        """Yield what ``code`` reads of its module, of other modules, and what it imports."""
        left_out = {name for where, name in self._left_out if where == id(known)} | {"__name__"}
        attributes, read = names_in(code), {*globals_read(code)}
        if names is not None:
            attributes, read = attributes & names | outer, read & names | outer
        for name in sorted(read - left_out):
            if name in known:
                yield leaf("str", name)
                yield from self._of_module(name, known[name], attributes)
        for level, name, listed in sorted({*imports_in(code)}):
            yield from self._imported(level, name, listed, known, attributes)

    def _of_module(self, name: str, value: Any, attributes: set[str]) -> Iterator[bytes]:
        """Yield what has a ``name``; of a module of one's own, what is read of it."""
        own = isinstance(value, types.ModuleType) and self._is_own(value.__name__)
        if not own:
            yield from self._each(name, (value,))
        if not own or id(value) in self._under_way:
            return
        self._under_way.add(id(value))
        self._where.append(f", {name}")
        left_out = {each for where, each in self._left_out if where == id(vars(value))}
        for each in sorted(attributes - left_out):
            try:
                found = getattr(value, each)
            except Exception:  # as of a module that is made while it is used
                continue
            if each[:2] != "__":
                yield leaf("str", each)
                yield from self._of_module(each, found, attributes)
        self._where.pop()
        self._under_way.discard(id(value))

    def _imported(
        self,
        level: int,
        name: str,
        listed: Iterable[str],
        known: dict[str, Any],
        attributes: set[str],
    ) -> Iterator[bytes]:
        package = known.get("__package__") or ""
        try:
            full = importlib.util.resolve_name("." * level + name, package)
            if not self._is_own(full):
                return
            module = importlib.import_module(full)
            for each in listed:
                if not hasattr(module, each) and each != "*":
                    importlib.import_module(f"{full}.{each}")
        except ImportError:  # and so for the loader
            yield leaf("absent", name)
            return
        yield leaf("str", full)
        yield from self._of_module(full, module, {*listed} | attributes)

    def _of_owner(self, function: types.FunctionType) -> Iterator[bytes]:
        """Yield what a method may read of its class by names that are in it."""
        owner: Any = sys.modules.get(module_of(function))
        for part in function.__qualname__.split(".")[:-1]:
            owner = getattr(owner, part, None)
        if not isinstance(owner, type):
            return
        for name in sorted(names_in(function.__code__)):
            found = inspect.getattr_static(owner, name, None)
            own = next((cls for cls in owner.__mro__ if name in vars(cls)), object)
            if found is None or isinstance(found, _SLOTS) or name[:2] == name[-2:] == "__":
                continue
            if self._is_own(own.__module__) and not stored_to(own, name, self._left_out):
                yield leaf("str", name)
                yield from self._each(name, (found,))

    def _each(self, name: str, things: Iterable[Any]) -> Iterator[bytes]:
        for thing in things:
            try:
                yield self.within(f", {name}", thing)
            except KeyingError as error:
                self.refused = self.refused or error

    def _installed_name(self, kind: Any, value: Any) -> str | None:
        """Return the name of an object that is found in an installed module."""
        name = getattr(value, "__name__", None)
        for module in [*sys.modules.values()] if isinstance(name, str) else ():
            found_there = getattr(module, "__dict__", {}).get(name) is value
            if found_there and not self._is_own(module.__name__):
                return f"{qualified(kind)} {name}"
        known = vars(sys.modules.get(kind.__module__, types))
        if self._is_own(known["__name__"]):
            return None
        found = (name for name, each in [*known.items()] if each is value)
        first = min(found, default=None)
        return None if first is None else f"{kind.__module__}.{first}"
