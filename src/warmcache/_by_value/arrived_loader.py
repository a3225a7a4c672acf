"""How a loader travels by value, and becomes in another process the one that is there.

What can be imported travels as its name. The rest, defined in ``__main__``, in a
notebook's cell or in another function, picklers such as cloudpickle and dill take apart:
they ship the generated function, and build a new one from it. That one is adopted: it
gets code that calls the loader of the process it came to, so it does not matter what it
is made of. What goes along is a *ticket*: the loader's name, the digest of what it means
(see ``_digest.py``), and its parts, from which it is made where no such loader is.

Unpickling makes nothing and changes nothing: the loader is looked up, or made, when its
copy is first used. One name has one cache in a process, a *seat*. Whoever of that name
misses first takes the seat over, and what its predecessor has warm is torn down. A loader
that is defined here, because this process runs the same script or was forked, joins them
once another process asks for it.

To unpack parts, take digests, and make caches and loaders is to import modules and to call
the user's code. None of that is done under the lock, which every ``@warm`` takes: a thread
that imports a module may stand at one, and the import is what another waits for. So what
several threads make at once counts once it is published, and whoever comes late drops his.
"""

from __future__ import annotations

import functools
import os
import threading
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warmcache._loaders.calls import API, Caller
from warmcache._loaders.loader import Loader, LoaderOptions
from warmcache._process.after_fork import in_child
from warmcache.caches.cache import Cache

from .digest import digest
from .recipe import LoaderCache, Recipe
from .stand_ins import COROUTINE, LaterAsyncCaller, LaterCache, LaterCaller, calling

_OURS = {*API, "cache", "__wrapped__", "__warm_digest__", "__dask_tokenize__"}

_guard = threading.RLock()  # of all below, and of the seats; nothing of the user's runs under it
_here: dict[tuple[str, str], weakref.WeakSet[Ticket]] = {}
_seats: dict[tuple[str, str], LoaderName] = {}
_process = os.urandom(16).hex()  # what tells this process from all others


@in_child
def _begin_anew() -> None:
    global _guard, _process
    _guard = threading.RLock()
    _process = os.urandom(16).hex()


@dataclass(frozen=True)
class Parts:
    """What a loader is made of: ``make(target, options, home, ticket)`` makes it."""

    make: Callable[[Any, LoaderOptions, LoaderCache, Ticket | None], Any]
    target: Any
    options: LoaderOptions
    recipe: Recipe


class Ticket:
    """What finds a loader in any process, or else makes it there.

    A ticket with a digest and an origin is one that arrived, or of a loader made for one;
    that of a loader defined here has its digest taken whenever it travels, since globals
    change, and this process for its origin.
    """

    __slots__ = (
        *("__weakref__", "_copies", "_digest", "_origin", "_packed", "_parts", "_thing"),
        *("hit", "name"),
    )

    def __init__(
        self,
        name: tuple[str, str],
        digest: str | None = None,
        parts: Parts | None = None,
        packed: bytes | None = None,
        origin: str | None = None,
    ) -> None:
        self.name = name
        self._digest = digest
        self._origin = origin
        self._parts = parts
        self._packed = packed
        self._thing: Callable[[], Any] = _nothing
        self._copies: list[weakref.ref[types.FunctionType]] = []
        self.hit: Callable[..., Any] = self._first  # what the copies call

    def of(self, thing: Any) -> Ticket:
        """Make this the ticket of ``thing``, which can be found if it is defined here."""
        self._thing = weakref.ref(thing)
        if self._origin is None:
            self.enlist()
        return self

    def enlist(self) -> None:
        """Have the loader found by those that arrive."""
        with _guard:
            _here.setdefault(self.name, weakref.WeakSet()).add(self)

    @property
    def parts(self) -> Parts:
        """What the loader is made of."""
        if self._parts is None:
            assert self._packed is not None
            from pickle import loads

            self._parts = loads(self._packed)
        assert self._parts is not None
        return self._parts

    def digest(self) -> str:
        """Return the digest of what the loader means."""
        return self._digest or digest(self._parts)

    def origin(self) -> str:
        """Return which process the loader was defined in."""
        return self._origin or _process

    def token(self) -> tuple[str, ...]:
        """Return what stands for the loader in Dask's keys."""
        return "warmcache", *self.name, self.digest()

    def live(self) -> Any:
        """Return the loader of this process, which is made if there is none."""
        thing = self._thing()
        if thing is None:
            thing = _found_or_made(self)
            self._thing = functools.partial(_same, thing)
            self.hit = thing
            for copy in self._copies:
                function = copy()
                if function is not None:
                    function.__dict__.update(thing.__dict__)
        return thing

    def _first(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.live()(*args, **kwargs)

    def adopt(self, copy: types.FunctionType) -> None:
        """Have ``copy``, which a pickler has built or is building, call the loader."""
        if isinstance(copy.__dict__, PickledAttributes):
            return  # it is no copy
        copy.__globals__["_warm_ticket"] = self
        is_async = bool(copy.__code__.co_flags & COROUTINE)
        code = calling(copy.__code__.co_freevars, is_async)
        copy.__code__ = code.replace(co_name=copy.__name__, co_qualname=copy.__qualname__)
        face = PickledAttributes(copy, self)
        caller = LaterAsyncCaller(self, copy) if is_async else LaterCaller(self, copy)
        face.show(caller, LaterCache(self))
        self._copies.append(weakref.ref(copy))

    def packed(self) -> bytes:
        """Return the parts as bytes that every pickler can carry."""
        if self._packed is None or self._digest is None:
            return packed(self._parts)
        return self._packed

    def __reduce__(self) -> Any:
        # With the parts as state, so that the pickler shares its memo with them, and a
        # loader may reach itself.
        if self._parts is None:
            return Ticket, (self.name, self._digest, None, self._packed, self._origin)
        return Ticket, (self.name, self.digest(), None, None, self.origin()), self._parts

    def __setstate__(self, parts: Parts) -> None:
        self._parts = parts


def packed(thing: Any) -> bytes:
    """Return ``thing`` as cloudpickle takes it: functions and their globals by value."""
    try:
        import cloudpickle  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "to ship a function by value takes cloudpickle: pip install cloudpickle; "
            "or define it in a module that the other process can import"
        ) from error
    data: bytes = cloudpickle.dumps(thing)
    return data


def _nothing() -> None:
    """Return None: so far, there is no loader."""


def _same(thing: Any) -> Any:
    return thing


# -- the loaders of this process -----------------------------------------------------


class LoaderName:
    """One name in this process, and whose it is: the loader that last had to load."""

    def __init__(self) -> None:
        self.cache: Cache[Any, Any] | None = None
        self.recipe = ""  # its digest
        self.holder: Loader | None = None

    def make(self, ticket: Ticket) -> Any:
        """Return the loader that ``ticket`` is for, made anew unless another was faster."""
        parts = ticket.parts
        own = Ticket(ticket.name, ticket.digest(), parts, origin=ticket.origin())
        home = LoaderCache(self._cache_of(parts.recipe), parts.recipe)
        thing = parts.make(parts.target, parts.options, home, own)
        loaders = loaders_of(thing)
        with _guard:
            for other in _here.get(own.name, ()):
                if other._digest == own._digest and (theirs := other._thing()) is not None:
                    return theirs
            self._take_in(loaders, thing)
            own.enlist()
            if isinstance(thing, types.FunctionType):
                home.show(thing)
        return thing

    def _cache_of(self, recipe: Recipe) -> Cache[Any, Any]:
        """Return the seat's cache, which is a new one if it was made otherwise, or closed."""
        means = digest(recipe)
        cache = self._cache_if(means)
        if cache is None:
            made = recipe.cache()
            with _guard:
                cache = self._cache_if(means)
                if cache is None:
                    self.cache, self.recipe, cache = made, means, made
        return cache

    def _cache_if(self, means: str) -> Cache[Any, Any] | None:
        with _guard:
            cache = self.cache
            return None if cache is None or self.recipe != means or cache._store.closed else cache

    def join(self, thing: Any) -> None:
        """Have a loader that is defined here take turns with those that come."""
        loaders, recipe = loaders_of(thing), digest(ticket_of(thing).parts.recipe)
        with _guard:
            if loaders[0].seat is None:
                if self.cache is None:
                    self.cache, self.recipe = loaders[0].cache, recipe
                self._take_in(loaders, thing)

    def _take_in(self, loaders: list[Loader], thing: Any) -> None:
        for loader in loaders:
            loader.seat, loader.face = self, thing
        if self.holder is None:
            self.hold(loaders[0])

    def hold(self, loader: Loader) -> Loader | None:
        """Give the seat to ``loader``; return whose it was, if it was another's."""
        with _guard:
            before, self.holder = self.holder, loader
        return before if before is not loader else None


def _found(ticket: Ticket) -> Any:
    """Return the loader of this process that means the same; None if there is none."""
    with _guard:
        known = [other for other in _here.get(ticket.name, ()) if other is not ticket]
    wanted = ticket.digest()
    known.sort(key=lambda other: other._digest is None)  # theirs costs nothing to tell
    for other in known:
        thing = other._thing()
        if thing is not None and other.digest() == wanted:
            return thing
    return None


def _found_or_made(ticket: Ticket) -> Any:
    thing = _found(ticket)
    if thing is not None and ticket.origin() == _process:
        return thing  # back where it was defined, it is left alone
    with _guard:
        seat = _seats.setdefault(ticket.name, LoaderName())
    if thing is None:
        return seat.make(ticket)
    seat.join(thing)
    return thing


# -- the face of a warm function -----------------------------------------------------


class PickledAttributes(dict[str, Any]):
    """The attributes of a warm function. Pickled, they are its ticket.

    They are a function's ``__dict__``, of which cloudpickle takes the items and which
    dill pickles as it is: the two places where a pickled function can have a say.
    """

    __slots__ = ("_function", "ticket")

    def __init__(self, function: types.FunctionType, ticket: Ticket) -> None:
        super().__init__(function.__dict__)
        self._function = weakref.ref(function)
        self.ticket = ticket
        function.__dict__ = self

    def show(self, caller: Caller, cache: Any) -> None:
        """Have all that a loader can do as attributes."""
        self.update((name, getattr(caller, name)) for name in API)
        self["cache"] = cache
        self["__warm_digest__"] = self.ticket.token
        self["__dask_tokenize__"] = self.ticket.token

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return dict(self)

    def items(self) -> Any:
        kept = {name: self[name] for name in self if name not in _OURS}
        if "__wrapped__" in self:
            kept["__wrapped__"] = self["__wrapped__"]
        kept["__warm__"] = Adoption(self._function(), self.ticket)
        return kept.items()

    def __reduce__(self) -> Any:
        ticket = self.ticket
        named = ticket.name, ticket.digest(), ticket.packed(), ticket.origin()
        return _face_of, (self._function(), *named)


class Adoption:
    """What a copy of a function is adopted by as it is unpickled."""

    __slots__ = ("_function", "_ticket")

    def __init__(self, function: Any, ticket: Ticket) -> None:
        self._function = function
        self._ticket = ticket

    def __reduce__(self) -> Any:
        return _adopted, (self._function, self._ticket)


def _adopted(copy: types.FunctionType, ticket: Ticket) -> None:
    ticket.adopt(copy)


def _face_of(
    copy: types.FunctionType, name: tuple[str, str], digest: str, data: bytes, origin: str
) -> Any:
    Ticket(name, digest, None, data, origin).adopt(copy)
    return copy.__dict__


class ArrivedMethod:
    """A warm method in a class that came by value: it stands for that of this process."""

    ticket: Ticket

    def __setstate__(self, ticket: Ticket) -> None:
        self.ticket = ticket

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.ticket.live().__get__(instance, owner)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.ticket.live()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "ticket":
            raise AttributeError(name)
        return getattr(self.ticket.live(), name)

    def __warm_digest__(self) -> Any:
        return self.ticket.token()

    def __reduce__(self) -> Any:
        return ArrivedMethod, (), self.ticket


def ticket_of(thing: Any) -> Ticket:
    """Return the ticket of a warm function or method."""
    ticket: Ticket = (
        thing.__dict__.ticket if isinstance(thing.__dict__, PickledAttributes) else thing.ticket
    )
    return ticket


def loaders_of(thing: Any) -> list[Loader]:
    """Return the loader of a warm function or method; two of what may be a static method."""
    of_method = vars(thing).get("_loader")
    found = [] if of_method is None else [of_method]
    return [*found, thing.lease.__self__._loader] if hasattr(thing, "lease") else found
