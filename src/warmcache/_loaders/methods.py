"""What ``@warm`` makes of a method: a descriptor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import MethodType
from typing import TYPE_CHECKING, Any

from warmcache import _public
from warmcache._tracebacks import drop_frames
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache

from .async_calls import AsyncCaller
from .batch import MissedByMethod
from .batch_callers import AsyncBatchCaller, BatchCaller
from .call_site import CallSite, Sites
from .calls import API, Caller
from .functions import caller_class, signature_of_loader, warm_function
from .hit_path import Switch, build
from .hit_path_text import OwnerIs
from .loader import Loader
from .loader_options import LoaderOptions

# What others of this package call, and nobody else.
_INTERNAL = {
    *("as_called", "bound_to", "call_anew", "function", "have_name", "lose_name"),
    *("replaced_in_place", "site", "slow_call", "take_over_sites"),
}

_new: Any = object.__new__


class _From:
    """An attribute that is found elsewhere.

    Not by ``__getattr__``, for that makes each attribute of a class slower, as a hit would see.
    """

    def __init__(self, find: Callable[[Any], Any], of_class: Any = None) -> None:
        self._find = find
        self._of_class = of_class

    def __get__(self, thing: Any, owner: type) -> Any:
        return self._of_class if thing is None else self._find(thing)


# Since 3.14 update_wrapper() leaves them where they are.
_of_wrapped: Any = _From(attrgetter("__wrapped__.__annotations__"), {})


class WarmMethod:
    """The warm counterpart of a method: a descriptor.

    Each instance is a site of its own, referenced weakly. Where another decorator
    (``@property``) wraps it, nobody tells it its class: it learns that from the first
    instance it is called with. Under ``@staticmethod`` it is a function.
    """

    __annotations__ = _of_wrapped
    if TYPE_CHECKING:  # from the method
        __qualname__: str
        __wrapped__: Any

    def __init__(
        self,
        target: Any,
        options: LoaderOptions,
        cache: Cache[Any, Any] | SharedCache,
        *,
        of_class: bool = False,
    ) -> None:
        signature = signature_of_loader(target)
        parameters = list(signature.parameters.values())
        first = parameters[0] if parameters else None
        self._options = options
        self._cache = cache
        self._loader: Any = None  # there is none of what that can only be a static method
        self._function: Any = None
        self._class: type | None = None
        self._name = target.__name__
        self._of_class = of_class
        self._sites: Any = None
        self._site_of_class: CallSite | None = None  # a predecessor's
        functools.update_wrapper(self, target)
        if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
            return  # can only be a static method
        if first.kind is first.VAR_POSITIONAL:
            raise TypeError(
                f"{target.__qualname__}() must name its first argument to be warm: write self, "
                f"and in a decorator below @warm use functools.wraps"
            )
        if options.batch == first.name:
            return  # too
        if options.per not in (None, first.name):
            raise TypeError(
                f"{target.__qualname__}() is a method: what it loads belongs to {first.name}, and "
                f"not to what per= says; over a static method, put @warm on top of @staticmethod"
            )
        signature_of_call = signature.replace(parameters=parameters[1:])
        self._loader = Loader(target, signature_of_call, options, cache, bound=True)
        self._sites = Sites(self._loader)
        self._bound: Any = _BOUND[caller_class(self._loader)]
        self._loader.tell_hits_by(self._built(signature, OwnerIs(first.name, bound=True)))
        if inspect.iscoroutinefunction(target) and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)  # pyright: ignore[reportAttributeAccessIssue]

    def _built(self, signature: inspect.Signature, owner: OwnerIs) -> Switch:
        """Build the hit path, with ``batch=`` that of each element; return its switch."""
        loader: Loader = self._loader
        free = dict(sites=self._sites.hot, id=id, slow=self.bound_to, fresh=loader.fresh)
        kind: Any = dict(owner=owner, is_async=loader.is_async)
        if loader.batch is None:
            self._hit, loader.bind, switch = build(
                loader, signature, loader.shape, free=free, **kind
            )
            return switch
        none_hot: dict[str, Any] = dict(free, sites={}, fresh=None)
        shape = loader.shape.without_keys()
        self._hit, loader.batch.bind, _ = build(loader, signature, shape, free=none_hot, **kind)
        loader.batch.find, loader.bind, switch = build(
            loader, signature, loader.shape, owner=owner, free=free | dict(slow=MissedByMethod)
        )
        return switch

    def __set_name__(self, owner: type, name: str) -> None:
        if self._loader is None and self._options.batch is not None:
            raise ValueError(
                f"batch must be an argument of {name}() that takes several, got "
                f"{self._options.batch!r}, which it is bound to"
            )
        self._class, self._name = owner, name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._of_class:
            instance = owner if owner is not None else type(instance)
        if instance is None:
            return self
        bound = _new(self._bound)  # what its __init__ does, without a frame for that
        bound._method = self
        bound.__call__ = MethodType(self._hit, instance)
        return bound

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._class is None and not (args and self._is_method_of(args[0])):
                return self._plain()(*args, **kwargs)
            return self._hit(*args, **kwargs)
        except BaseException as error:
            drop_frames(error)  # the hit path's is the one that is seen
            raise

    def _is_method_of(self, instance: Any) -> bool:
        """Learn from ``instance``, if it is of the class this was defined in, its class."""
        scope = self.__qualname__.rpartition(".")[0]
        own = inspect.getmro(instance) if isinstance(instance, type) else ()
        for cls in (*inspect.getmro(type(instance)), *own):
            if (cls.__module__, cls.__qualname__) == (self.__module__, scope):
                hidden = f"_{cls.__name__.lstrip('_')}{self._name}"
                found = vars(cls).get(self._name, vars(cls).get(hidden))
                self._class = None if isinstance(found, staticmethod) else cls
        return self._class is not None

    @property
    def cache(self) -> Any:
        return self._cache if isinstance(self._cache, Cache) else self._cache.find()

    def _of_plain(self, name: str) -> Any:
        if self._class is None:
            return getattr(self._plain(), name)
        raise AttributeError(
            f"{name}() of a warm method is reached through an instance, and of a warm class "
            f"method with @warm above @classmethod"
        )

    def _plain(self) -> Any:
        if self._function is None:
            self._function, _ = self._as_function()
        return self._function

    def _as_function(self) -> tuple[Any, Caller]:
        """Make the function that it is under ``@staticmethod``."""
        return warm_function(self.__wrapped__, self._options, self._cache)

    def bound_to(self, instance: Any, /) -> Any:
        """Return the caller that has the slow path for ``instance``."""
        return self.__get__(instance, instance)

    def site(self, instance: Any) -> CallSite:
        """Return the site of ``instance``. ClosedError if that is a context that is closed."""
        found: CallSite | None = self._sites.find(instance)
        return found or self._new_site(instance)

    def _new_site(self, instance: Any) -> CallSite:
        site = None
        if self._is_own_class(instance):
            self._class = instance  # under @classmethod, nobody else tells
            site, self._site_of_class = self._site_of_class, None
        try:
            new: CallSite = self._sites.add(instance, site)
        except TypeError:
            raise TypeError(
                f"{type(instance).__name__} objects cannot be referenced weakly, as a warm "
                f"method must; add '__weakref__' to the __slots__ of the class"
            ) from None
        return new

    def _is_own_class(self, instance: Any) -> bool:
        """Whether ``instance`` is, by its name, the class that this was defined in."""
        scope = self.__qualname__.rpartition(".")[0]
        return isinstance(instance, type) and (
            (instance.__module__, instance.__qualname__) == (self.__module__, scope)
        )

    def take_over_sites(self, other: WarmMethod) -> None:
        """Have the sites of ``other``, a predecessor that means the same.

        That of its class, if it is a class method's, becomes that of the class that has this.
        """
        for instance, site in other._sites.take() if other._sites is not None else ():
            if self._is_own_class(instance):
                site.wait()
                self._site_of_class = site
            else:
                self._sites.add(instance, site)
        if other._site_of_class is not None:
            self._site_of_class, other._site_of_class = other._site_of_class, None

    def __dir__(self) -> list[str]:
        return _public.without_internals(super().__dir__(), {*_INTERNAL, *API, "cache"})

    def __copy__(self) -> WarmMethod:
        return self

    def __deepcopy__(self, memo: object) -> WarmMethod:
        return self

    def __repr__(self) -> str:
        return f"<warm {self.__wrapped__!r}>"


for _name in API:
    setattr(WarmMethod, _name, _From(partial(WarmMethod._of_plain, name=_name)))


class _BoundMixin:
    """A warm method of one instance, made anew at each access, as Python's own are.

    What it is called by, ``__call__``, is a slot with Python's own bound method of the hit path, so
    that all of a hit but to make this is C. It must be no ``functools.partial``, which would be as
    fast: a partial call of one is made of what is inside instead, and so is not one of the method
    any more, for who pickles it or asks for its ``func``.
    """

    if TYPE_CHECKING:  # in the slots of those below
        _method: Any  # a WarmMethod
        __call__: MethodType

    def __init__(self, method: WarmMethod, instance: Any) -> None:
        """Bind ``method``, as Python's own are bound by who has both, such as a ``WeakMethod``."""
        self._method = method
        self.__call__ = MethodType(method._hit, instance)

    @property
    def _instance(self) -> Any:
        return self.__call__.__self__

    @property
    def _loader(self) -> Loader:
        loader: Loader = self._method._loader
        return loader

    @property
    def _site(self) -> CallSite:
        site: CallSite = self._method.site(self._instance)
        return site

    def _where(self) -> CallSite:
        # One that is not there yet is not made to be shown.
        return self._method._sites.known(self._instance) or CallSite(self._method._sites.levels)

    def as_called(self) -> Any:
        return self

    @property
    def __self__(self) -> Any:
        return self._instance

    @property
    def __func__(self) -> WarmMethod:
        method: WarmMethod = self._method
        return method

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

    def __dir__(self) -> list[str]:
        return _public.without_internals(object.__dir__(self), _INTERNAL)


# Set in the bodies: what is set on a class later, its instances may not see (3.14).
_annotations: Any = _From(attrgetter("_method.__annotations__"), {})


class Bound(_BoundMixin, Caller):  # type: ignore[override]
    """A warm method of one instance."""

    __slots__ = ("__call__", "_method")
    __annotations__ = _annotations


class AsyncBound(_BoundMixin, AsyncCaller):  # type: ignore[override]
    """An asynchronous warm method of one instance."""

    __slots__ = ("__call__", "_method")
    __annotations__ = _annotations


class BatchBound(_BoundMixin, BatchCaller):  # type: ignore[override]
    """A warm method of one instance that takes several elements."""

    __slots__ = ("__call__", "_method")
    __annotations__ = _annotations


class AsyncBatchBound(_BoundMixin, AsyncBatchCaller):  # type: ignore[override]
    """An asynchronous one."""

    __slots__ = ("__call__", "_method")
    __annotations__ = _annotations


_BOUND: dict[type[Caller], type[_BoundMixin]] = {
    Caller: Bound,
    AsyncCaller: AsyncBound,
    BatchCaller: BatchBound,
    AsyncBatchCaller: AsyncBatchBound,
}
for _bound in _BOUND.values():
    for _name in ("__doc__", "__module__"):
        setattr(_bound, _name, _From(attrgetter(f"_method.{_name}"), getattr(_bound, _name)))
