"""What ``@warm`` makes of a function, a method and a class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ._cache import Cache
from ._caller import AsyncCaller, Caller
from ._hotpath import build
from ._loader import Loader, LoaderOptions, Site

_API = (
    "cache_clear",
    "cache_info",
    "cache_key",
    "cache_parameters",
    "contains",
    "evict",
    "lease",
    "peek",
    "warm_up",
)


def _is_async(target: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)


def warm_function(target: Any, options: LoaderOptions, cache: Cache[Any, Any]) -> Any:
    """Return the warm counterpart of a function: a function with its signature."""
    signature = inspect.signature(target)
    loader = Loader(target, signature, options, cache)
    is_async = _is_async(target)
    caller = AsyncCaller(loader, Site()) if is_async else Caller(loader, Site())
    hit: Any
    hit, loader.bind = build(
        target,
        signature,
        loader.shape,
        is_async=is_async,
        free=dict(get=caller._site.hot.get, slow=caller.slow_call, fresh=loader.fresh),
    )
    functools.update_wrapper(hit, target)
    for name in (*_API, "cache"):
        setattr(hit, name, getattr(caller, name))
    return hit


class WarmMethod:
    """The warm counterpart of a method: a descriptor.

    Each instance is a site of its own, referenced weakly. Where it was put into its
    class through ``@staticmethod``, nobody tells it its name, and it is a function.
    """

    def __init__(
        self,
        target: Any,
        options: LoaderOptions,
        cache: Cache[Any, Any],
        of_class: bool = False,
    ) -> None:
        signature = inspect.signature(target)
        first, *rest = signature.parameters.values() or [None]
        self._as_function = functools.partial(warm_function, target, options, cache)
        self._function: Any = None
        self._owner: type | None = None
        self._of_class = of_class
        self._sites: dict[int, Site] = {}
        self._hot_by_id: dict[int, Any] = {}
        functools.update_wrapper(self, target)
        if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
            return  # can only be a static method
        if first.kind is first.VAR_POSITIONAL:
            raise TypeError(f"{target.__qualname__}() must name its first argument to be warm")
        self._loader = Loader(target, signature.replace(parameters=rest), options, cache)
        self._hit, self._loader.bind = build(
            target,
            signature,
            self._loader.shape,
            first=first.name,
            flavour="method",
            is_async=_is_async(target),
            free=dict(sites=self._hot_by_id, id=id, slow=self._slow_call, fresh=self._loader.fresh),
        )
        if _is_async(target) and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._of_class:
            instance = owner if owner is not None else type(instance)
        if instance is None:
            return self
        return (AsyncBound if _is_async(self.__wrapped__) else Bound)(self, instance)  # type: ignore[attr-defined]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self._owner is None:
            return self._plain()(*args, **kwargs)
        return self._hit(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in (*_API, "cache"):
            if name == "cache" and "_loader" in vars(self):
                return self._loader.cache
            if self._owner is None:
                return getattr(self._plain(), name)
            raise AttributeError(f"{name}() of a warm method is reached through an instance")
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
        if self._owner is None:
            return self.__qualname__  # type: ignore[attr-defined]
        return getattr, (self._owner, self.__name__)  # type: ignore[attr-defined]

    def __copy__(self) -> WarmMethod:
        return self

    def __deepcopy__(self, memo: object) -> WarmMethod:
        return self

    def __repr__(self) -> str:
        return f"<warm {self.__wrapped__!r}>"  # type: ignore[attr-defined]


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
        return self._method.__wrapped__.__get__(self._instance)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method.__wrapped__, name)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _BoundMixin):
            return NotImplemented
        return self._method is other._method and self._instance is other._instance

    def __hash__(self) -> int:
        return hash((id(self._method), id(self._instance)))

    def __reduce__(self) -> Any:
        return getattr, (self._instance, self._method.__name__)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<warm bound {self.__wrapped__!r}>"


class Bound(_BoundMixin, Caller):  # type: ignore[misc]
    """A warm method of one instance."""


class AsyncBound(_BoundMixin, AsyncCaller):  # type: ignore[misc]
    """An asynchronous warm method of one instance."""


class _OfClass:
    """An attribute of a warm class, but not of its subclasses or instances."""

    def __init__(self, value: Any) -> None:
        self.owner: type | None = None
        self._value = value

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is not self.owner:
            raise AttributeError(f"{instance!r} is not warm itself; decorate it too")
        return self._value


def warm_class(cls: type, options: LoaderOptions, cache: Cache[Any, Any]) -> type:
    """Return ``cls`` made anew with a metaclass that has the hit path as ``__call__``.

    Everything else about the class is as it was: it is rebuilt from its own
    namespace, as ``dataclass(slots=True)`` does, and ``super()`` is told.
    """
    meta = type(cls)
    signature = inspect.signature(cls)

    def construct(*args: Any, **kwargs: Any) -> Any:
        return meta.__call__(warm, *args, **kwargs)

    construct.__name__, construct.__qualname__ = cls.__name__, cls.__qualname__
    construct.__module__ = cls.__module__
    loader = Loader(construct, signature, options, cache)
    caller = Caller(loader, Site())
    namespace: dict[str, Any] = {name: _OfClass(getattr(caller, name)) for name in (*_API, "cache")}
    warm_meta: Any = type(meta)(meta.__name__, (meta,), namespace)
    warm = _rebuilt(cls, warm_meta)
    for attribute in namespace.values():
        attribute.owner = warm
    first = inspect.Parameter(_unused_name(signature), inspect.Parameter.POSITIONAL_ONLY)
    with_first = signature.replace(parameters=[first, *signature.parameters.values()])
    hit: Any
    hit, loader.bind = build(
        construct,
        with_first,
        loader.shape,
        first=first.name,
        flavour="class",
        free=dict(get=caller._site.hot.get, slow=caller.slow_call, fresh=loader.fresh),
    )
    hit.__signature__ = with_first
    warm_meta.__call__ = hit
    warm_meta.__init__ = _cooling(meta, warm_meta)
    return warm  # type: ignore[no-any-return]


def _cooling(meta: Any, warm_meta: Any) -> Callable[..., None]:
    """Return an ``__init__`` by which subclasses of a warm class are called as ever."""
    cold_meta = type(meta)(meta.__name__, (warm_meta,), {"__call__": meta.__call__})

    def initialize(cls: Any, *args: Any, **kwargs: Any) -> None:
        meta.__init__(cls, *args, **kwargs)
        if type(cls) is warm_meta:
            cls.__class__ = cold_meta

    return initialize


def _rebuilt(cls: type, meta: type) -> Any:
    """Return a class like ``cls`` in every respect but its metaclass."""
    slots = vars(cls).get("__slots__", ())
    dropped = {"__dict__", "__weakref__", *((slots,) if isinstance(slots, str) else slots)}
    namespace = {name: value for name, value in vars(cls).items() if name not in dropped}
    try:
        twin = meta(cls.__name__, cls.__bases__, namespace)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} cannot be rebuilt to be warm itself ({error}); "
            f"put @warm over a function that returns it"
        ) from None
    for value in namespace.values():
        _rebind_super(value, cls, twin, set())
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
    for cell in getattr(value, "__closure__", None) or ():
        try:
            contents = cell.cell_contents
        except ValueError:  # empty
            continue
        if contents is old:
            cell.cell_contents = new
        elif inspect.isfunction(contents):
            _rebind_super(contents, old, new, seen)


def _unused_name(signature: inspect.Signature) -> str:
    name = "cls"
    while name in signature.parameters:
        name = "_" + name
    return name
