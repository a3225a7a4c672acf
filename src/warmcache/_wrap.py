"""What ``@warm`` makes of a function, a method and a class."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ._caller import AsyncCaller, Caller, Slow
from ._digest import importable, module_of
from ._home import Home
from ._hotpath import build
from ._loader import Loader, LoaderOptions, Site
from ._ship import API as _API
from ._ship import ArrivedMethod, Face, Parts, Ticket


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of ``target``; of some built in, nobody knows it."""
    try:
        return inspect.signature(target)
    except ValueError:
        return inspect.signature(lambda *args, **kwargs: None)


def _ticket(
    make: Callable[[Any, LoaderOptions, Home], Any],
    target: Any,
    options: LoaderOptions,
    home: Home,
) -> Ticket:
    name = getattr(target, "__qualname__", type(target).__qualname__)
    return Ticket((module_of(target), name), parts=Parts(make, target, options, home.recipe))


def warm_function(target: Any, options: LoaderOptions, home: Home) -> Any:
    """Return the warm counterpart of a function: a function with its signature."""
    signature = _signature(target)
    loader = Loader(target, signature, options, home.cache)
    caller = AsyncCaller(loader, Site()) if loader.is_async else Caller(loader, Site())
    hit: Any
    hit, loader.bind, switch = build(
        loader,
        signature,
        loader.shape,
        is_async=loader.is_async,
        free=dict(get=caller._site.hot.get, slow=Slow(caller).call, fresh=loader.fresh),
    )
    loader.record_by(switch)
    functools.update_wrapper(hit, target)
    ticket = _ticket(warm_function, target, options, home).of(hit)
    Face(hit, ticket).show(caller, home.cache)
    caller.function = weakref.ref(hit)
    shown_by = home.cache._shown_by
    if shown_by is None or shown_by() is None:
        home.cache._shown_by = caller.function
    return hit


class WarmMethod:
    """The warm counterpart of a method: a descriptor.

    Each instance is a site of its own, referenced weakly. Where another decorator
    (``@property``) wraps it, nobody tells it its class: it learns that from the first
    instance it is called with. Under ``@staticmethod`` it is a function.
    """

    def __init__(
        self,
        target: Any,
        options: LoaderOptions,
        home: Home,
        of_class: bool = False,
    ) -> None:
        signature = _signature(target)
        parameters = list(signature.parameters.values())
        first = parameters[0] if parameters else None
        make = _warm_class_method if of_class else WarmMethod
        self.ticket = _ticket(make, target, options, home).of(self)
        self._as_function = functools.partial(warm_function, target, options, home)
        self._function: Any = None
        self._owner: type | None = None
        self._name = target.__name__
        self._of_class = of_class
        self._sites: dict[int, Site] = {}
        self._hot_by_id: dict[int, Any] = {}
        functools.update_wrapper(self, target)
        if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
            return  # can only be a static method
        if first.kind is first.VAR_POSITIONAL:
            raise TypeError(f"{target.__qualname__}() must name its first argument to be warm")
        signature_of_call = signature.replace(parameters=parameters[1:])
        self._loader = Loader(target, signature_of_call, options, home.cache)
        self._hit, self._loader.bind, switch = build(
            self._loader,
            signature,
            self._loader.shape,
            first=first.name,
            flavour="method",
            is_async=self._loader.is_async,
            free=dict(sites=self._hot_by_id, id=id, slow=self._slow_call, fresh=self._loader.fresh),
        )
        self._loader.record_by(switch)
        self._bound: Any = AsyncBound if self._loader.is_async else Bound
        if inspect.iscoroutinefunction(target) and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)  # pyright: ignore[reportAttributeAccessIssue]

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._of_class:
            instance = owner if owner is not None else type(instance)
        if instance is None:
            return self
        return self._bound(self, instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self._owner is None and not (args and self._is_method_of(args[0])):
            return self._plain()(*args, **kwargs)
        return self._hit(*args, **kwargs)

    def _is_method_of(self, instance: Any) -> bool:
        """Learn from ``instance``, if it is of the class this was defined in, its class."""
        scope = self.__qualname__.rpartition(".")[0]
        own = inspect.getmro(instance) if isinstance(instance, type) else ()
        for cls in (*inspect.getmro(type(instance)), *own):
            if (cls.__module__, cls.__qualname__) == (self.__module__, scope):
                hidden = f"_{cls.__name__.lstrip('_')}{self._name}"
                found = vars(cls).get(self._name, vars(cls).get(hidden))
                self._owner = None if isinstance(found, staticmethod) else cls
        return self._owner is not None

    def __getattr__(self, name: str) -> Any:
        if name in (*_API, "cache"):
            if name == "cache" and "_loader" in vars(self):
                return self._loader.cache
            if self._owner is None:
                return getattr(self._plain(), name)
            raise AttributeError(
                f"{name}() of a warm method is reached through an instance, and of a warm class "
                f"method with @warm above @classmethod"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _plain(self) -> Any:
        if self._function is None:
            self._function = self._as_function()
        return self._function

    def _slow_call(self, instance: Any, raw: Any, args: Any, kwargs: Any, /) -> Any:
        return self.__get__(instance, instance).slow_call(raw, args, kwargs)

    def site(self, instance: Any) -> Site:
        """Return the site of ``instance``."""
        number = id(instance)
        site = self._sites.get(number)
        if site is None:
            try:
                site = Site(instance, functools.partial(self._died, number))
            except TypeError:
                raise TypeError(
                    f"{type(instance).__name__} objects cannot be referenced weakly, as a warm "
                    f"method must; add '__weakref__' to the __slots__ of the class"
                ) from None
            site = self._sites.setdefault(number, site)
            self._hot_by_id[number] = site.hot
        return site

    def _died(self, number: int, site: Site) -> None:
        self._hot_by_id.pop(number, None)
        self._sites.pop(number, None)
        self._loader.instance_died(site)

    def __reduce__(self) -> Any:
        if self._owner is not None and importable(self._owner):
            return getattr, (self._owner, self._name)
        if self._owner is None and importable(self):
            return self.__qualname__
        return ArrivedMethod, (), self.ticket

    def __warm_digest__(self) -> Any:
        return self.ticket.token()

    def __copy__(self) -> WarmMethod:
        return self

    def __deepcopy__(self, memo: object) -> WarmMethod:
        return self

    def __repr__(self) -> str:
        return f"<warm {self.__wrapped__!r}>"


def _warm_class_method(target: Any, options: LoaderOptions, home: Home) -> WarmMethod:
    return WarmMethod(target, options, home, of_class=True)


class _OfFunction:
    """An attribute that a bound method has from its function."""

    def __init__(self, name: str, otherwise: Any) -> None:
        self._name = name
        self._otherwise = otherwise

    def __get__(self, bound: Any, owner: type) -> Any:
        return self._otherwise if bound is None else getattr(bound._method, self._name)


class _BoundMixin:
    """A warm method of one instance, made anew at each access, as Python's own are."""

    def __init__(self, method: WarmMethod, instance: Any) -> None:
        self._method = method
        self._instance = instance

    @property
    def _loader(self) -> Loader:
        return self._method._loader

    @property
    def _site(self) -> Site:
        return self._method.site(self._instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._method._hit(self._instance, *args, **kwargs)

    @property
    def __self__(self) -> Any:
        return self._instance

    @property
    def __func__(self) -> WarmMethod:
        return self._method

    @property
    def __wrapped__(self) -> Any:
        return self._method.__wrapped__.__get__(self._instance)

    def __getattr__(self, name: str) -> Any:
        own = vars(self._method)
        return own[name] if name in own else getattr(own["__wrapped__"], name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _BoundMixin):
            return NotImplemented
        return self._method is other._method and self._instance is other._instance

    def __hash__(self) -> int:
        return hash((id(self._method), id(self._instance)))

    def __reduce__(self) -> Any:
        return getattr, (self._instance, self._method._name)

    def __repr__(self) -> str:
        return f"<warm bound {self.__wrapped__!r}>"


class Bound(_BoundMixin, Caller):  # type: ignore[override]
    """A warm method of one instance."""


class AsyncBound(_BoundMixin, AsyncCaller):  # type: ignore[override]
    """An asynchronous warm method of one instance."""


for _bound in (Bound, AsyncBound):
    for _name in ("__doc__", "__module__", "__annotations__"):
        setattr(_bound, _name, _OfFunction(_name, getattr(_bound, _name)))


class _OfClass:
    """An attribute of a warm class, but not of its subclasses or instances.

    It lives in the metaclass and is no data descriptor, so that an attribute of the
    class's own with this name comes first.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, cls: Any, meta: type | None = None) -> Any:
        call = vars(cls).get("_warm_call") if isinstance(cls, _Warm) else None
        if call is None:
            raise AttributeError(f"{cls!r} is not warm itself; decorate it too")
        if self._name == "__signature__":
            return inspect.signature(call.__func__)
        return getattr(call.__func__, self._name)


class _Cold(type):
    """The metaclass of a subclass of a warm class, which is called as ever."""

    def __init__(cls, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(cls, _Warm) and "_warm_call" not in vars(cls):
            # It has this metaclass from its base, or is one of which more is to come.
            cold = next(meta for meta in inspect.getmro(type(cls)) if not issubclass(meta, _Warm))
            type.__setattr__(cls, "__class__", cold)

    def __setattr__(cls, name: str, value: Any) -> None:
        """Have a class that came by value, and only now gets its hit path, be warm."""
        super().__setattr__(name, value)
        if name == "_warm_call":
            meta: Any = type(cls)
            type.__setattr__(cls, "__class__", _metaclasses(meta)[1])


for _name in (*_API, "cache", "__signature__"):
    setattr(_Cold, _name, _OfClass(_name))


class _Warm(_Cold):
    """The metaclass of a warm class: calling it runs the generated hit path."""

    # All in C, so it costs little.
    __call__ = property(attrgetter("_warm_call"))  # pyright: ignore[reportAssignmentType]


@functools.cache
def _metaclasses(meta: type) -> tuple[type, type]:
    """Return the metaclasses of a cold and a warm class, for a class of ``meta``.

    All warm classes of one metaclass share theirs, and so can have common subclasses.
    """
    if issubclass(meta, _Cold):
        cold: Any = next(kind for kind in inspect.getmro(meta) if not issubclass(kind, _Warm))
    else:
        make: Any = type(meta)
        cold = _Cold if meta is type else make(meta.__name__, (_Cold, meta), {})
    return cold, _Warm if cold is _Cold else type(cold)(meta.__name__, (_Warm, cold), {})


def warm_class(cls: type, options: LoaderOptions, home: Home) -> type:
    """Return ``cls`` with a metaclass that has the hit path as ``__call__``.

    A class with a metaclass of its own is given the warm one; Python does not allow
    that where the metaclass is plain ``type``. Such a class is rebuilt from its own
    namespace, as ``dataclass(slots=True)`` does, and ``super()`` is told.
    """
    cold, warm = _metaclasses(type(cls))
    construct_cold: Any = cold.__call__

    def construct(*args: Any, **kwargs: Any) -> Any:
        return construct_cold(twin, *args, **kwargs)

    construct.__signature__ = _signature(cls)  # type: ignore[attr-defined]
    for name in ("__module__", "__name__", "__qualname__"):
        setattr(construct, name, getattr(cls, name))
    call = warm_function(construct, options, home)
    twin = _rebuilt(cls, cold) if type(cls) is type else cls
    type.__setattr__(twin, "_warm_call", staticmethod(call))
    type.__setattr__(twin, "__class__", warm)
    return twin


def _rebuilt(cls: type, meta: type) -> Any:
    """Return a class like ``cls`` in every respect but its metaclass."""
    made_by_type = (types.GetSetDescriptorType, types.MemberDescriptorType)
    namespace = {
        name: value
        for name, value in vars(cls).items()
        if not (isinstance(value, made_by_type) and value.__objclass__ is cls)
    }
    namespace["__qualname__"] = cls.__qualname__
    try:
        if not cls.__flags__ & 1 << 9:  # Py_TPFLAGS_HEAPTYPE: made by a class statement
            raise TypeError("it is built in")
        twin = meta(cls.__name__, cls.__bases__, namespace)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} cannot be rebuilt to be warm itself ({error}); "
            f"put @warm over a function that returns it"
        ) from None
    seen: set[int] = set()
    for value in namespace.values():
        _rebind_super(value, cls, twin, seen)
    return twin


def _rebind_super(value: Any, old: type, new: type, seen: set[int]) -> None:
    """Have ``super()`` and ``__class__`` in the methods of ``old`` mean ``new``."""
    if id(value) in seen:
        return
    seen.add(id(value))
    for name in ("__func__", "__wrapped__", "fget", "fset", "fdel", "func"):
        inner = inspect.getattr_static(value, name, None)
        if inner is not None:
            _rebind_super(getattr(value, name), old, new, seen)
    if not isinstance(value, type):  # a descriptor that keeps its function as it likes
        for inner in list(getattr(value, "__dict__", {}).values()):
            if inspect.isroutine(inner):
                _rebind_super(inner, old, new, seen)
    for cell in getattr(value, "__closure__", None) or ():
        try:
            contents = cell.cell_contents
        except ValueError:  # empty
            continue
        if contents is old:
            cell.cell_contents = new
        elif inspect.isfunction(contents):
            _rebind_super(contents, old, new, seen)
