"""``@warm``: from options and a loader to its warm counterpart, in a cache, and fit to travel."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_origin, overload

from . import _checks as checks
from . import policies
from ._by_value.makers import define, local_class_method, local_function, local_method
from ._by_value.recipe import LoaderCache, Recipe, recipe_of
from ._loaders.classes import warm_class
from ._loaders.loader_options import LoaderOptions
from ._suggestions import nearest_option
from ._texts import text_of
from ._tracebacks import one_frame
from .caches.cache import Cache
from .policies.shared_caches import defined
from .policies.three_questions import OF_MEMORY

if TYPE_CHECKING:
    from typing import Unpack

    from ._warm_types.decorators import (
        BatchDecorator,
        C,
        Decorator,
        F,
        MemoryDecorator,
        Unknown,
        Weighing,
    )
    from ._warm_types.loaders import AsyncWarm, P, R, Warm
    from ._warm_types.options import (
        Aging,
        BesideCache,
        ByChance,
        Counted,
        InBatches,
        Measured,
        Timed,
        WithOrder,
    )
    from .memory.caches import MemoryCache
    from .policies.option_types import Limit, OrderName, PlainName
    from .probes.cuda_numbering import DeviceName

_LOADER_OPTIONS = LoaderOptions._fields
_DEFAULT_POLICY = "lru"
_DEFAULT_MAXSIZE = 128  # as functools.lru_cache


@overload
def warm(target: C, /) -> C: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, Unknown], /) -> Warm[P, Any]: ...
@overload
def warm(target: Callable[P, AsyncIterator[R]], /) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, F], /) -> Warm[P, F]: ...  # a file is an iterator
@overload
def warm(target: Callable[P, Iterator[R]], /) -> Warm[P, R]: ...
@overload
def warm(target: Callable[P, R], /) -> Warm[P, R]: ...
@overload
def warm(*, batch: str, **options: Unpack[InBatches]) -> BatchDecorator: ...
@overload
def warm(*, cache: MemoryCache[Any, Any], **options: Unpack[BesideCache]) -> MemoryDecorator: ...
@overload
def warm(*, cache: Weighing | str, **options: Unpack[BesideCache]) -> Decorator: ...
@overload  # the default policy, and the default limit of it
def warm(*, policy: None = None, maxsize: Limit = ..., **options: Unpack[Counted]) -> Decorator: ...
@overload
def warm(*, policy: PlainName, maxsize: Limit, **options: Unpack[Counted]) -> Decorator: ...
@overload
def warm(*, policy: Literal["rr"], maxsize: Limit, **options: Unpack[ByChance]) -> Decorator: ...
@overload
def warm(
    *, policy: Literal["ttl"], maxsize: Limit, ttl: Any, **options: Unpack[Timed]
) -> Decorator: ...
@overload
def warm(
    *,
    policy: Literal["tlru"],
    maxsize: Limit,
    ttu: Callable[[Any, Any, Any], Any],
    **options: Unpack[Counted],
) -> Decorator: ...
@overload
def warm(*, policy: Literal["gdsf"], maxsize: Limit, **options: Unpack[Aging]) -> Decorator: ...
@overload
def warm(
    *, policy: Literal["gpu", "auto"], device: DeviceName = ..., **options: Unpack[WithOrder]
) -> MemoryDecorator: ...
@overload
def warm(*, policy: Literal["ram"], **options: Unpack[WithOrder]) -> MemoryDecorator: ...
@overload
def warm(
    *,
    policy: OrderName | None = None,
    budget: Limit,
    device: DeviceName = ...,
    **options: Unpack[Measured],
) -> MemoryDecorator: ...
@overload
def warm(
    *, policy: OrderName | None = None, device: DeviceName, **options: Unpack[Measured]
) -> MemoryDecorator: ...
@overload  # a class may have any options of its own
def warm(*, policy: type[MemoryCache[Any, Any]], **options: Any) -> MemoryDecorator: ...
@overload
def warm(*, policy: type[Cache[Any, Any]], budget: Limit, **options: Any) -> MemoryDecorator: ...
@overload
def warm(
    *, policy: type[Cache[Any, Any]], device: DeviceName, **options: Any
) -> MemoryDecorator: ...
@overload
def warm(*, policy: type[Cache[Any, Any]], **options: Any) -> Decorator: ...
@one_frame
def warm(
    target: Any = None,
    /,
    *,
    policy: str | type[Cache[Any, Any]] | None = None,
    cache: Any = None,
    **options: Any,
) -> Any:
    """Keep what a loader returns warm, and let it go properly.

    Over a function, ``async`` function, generator function (what follows the
    ``yield`` is the teardown), method, class method, static method or class. Put it
    on top of other decorators. Bare, it means ``policy="lru", maxsize=128``.

    Args:
        policy: who goes first: a name, see :mod:`warmcache.policies`, or a cache class; the
            options of the cache follow. How much it holds: ``maxsize``, or ``budget``, bytes
            of the memory of a ``device`` (``0``, ``"cuda:1"``, a UUID, ``"cpu"``; by default a
            GPU if there is one). How long: ``ttl``, ``idle_ttl``. And ``on_removal``,
            ``reclaim``, ``wait`` (how many seconds a load waits for room that leases hold:
            60), ...
        cache: a cache to share, instead of a policy; or the name of one. Policy and options
            beside a name define the cache of that name if nobody has, and have to say the same
            as who has; without them it is who else says so, be it later. Beside it, ``ttl`` and
            ``teardown`` are the loader's own: what it loads ends after that, or by the cache's,
            whichever is sooner.
        teardown: destroys a value: a callable taking it, or its method's name. The
            cache's own teardown is used when the loader has none.
        teardown_in: where the teardown of an async loader's value runs if it is not async
            itself: ``"thread"``, one of its own, so that it does not block the event loop;
            ``"loop"``, the one that loaded the value, for what is bound to that.
        key: what makes the key instead of all arguments: a callable taking the
            call's arguments, or a mapping of arguments to callables that say what
            stands for them (None: nothing does).
        typed: whether arguments of different types are different though equal.
        size: a value's weight in the units of ``maxsize``: a number or a text such as
            ``"3GiB"``, which is reserved before the load, or a callable asked with the
            value after it.
        size_hint: bytes to reserve for the first load of a key where only the value can
            tell its size: a number, a text, a path (what its file or folder takes), or a
            callable taking the loader's arguments and returning one of these.
        validate: asked with a warm value before each use; a false answer means that
            it is torn down and loaded again. It may be ``async`` where the loader is.
        validate_errors: what ``validate`` raises of a value that is not good: an exception's
            class or a tuple of them, by default every ``Exception``. That means the same as
            a false answer, and is logged; anything else reaches the caller, and the value stays.
        tags: texts that the entries carry.
        version: part of every key: raise it and nothing loaded before is found.
        loop_bound: whether what an ``async`` loader gives is of use only on the event loop that
            loaded it, as most clients are. Once that loop is closed, it is torn down at its next
            use, and loaded again. False for what depends on no loop, such as a model.
        per: to whom what is loaded belongs: the name of an argument, such as ``"ctx"``, or a
            callable taking nothing that says who, such as ``asyncio.get_running_loop`` or
            ``threading.current_thread``. Each owner, told by identity, has its own values; it is
            referenced weakly, and is no part of what ``key`` is about. With its end (a
            :class:`Context` is closed, an object collected, an event loop closed, a thread over)
            they are torn down. A method's belong to its instance.
        disk: where what is loaded lies besides, for other processes: a
            :class:`DiskTier`, its name or a path. ``codec``, ``name`` and ``code`` go with it: how
            values are written (``"auto"``, ``"pickle"``, a :class:`Codec`), what the loader is
            called there, and whether an edit of it counts.
        out_files: the name of the argument that says where the loader writes a file, or those of
            several. The files are kept on disk, and each call has them copied to where it wants
            them.
        persist: when a value comes to the disk: ``"load"``, as it is loaded; ``"evict"``, before
            its teardown, as it leaves memory for others, or because that ends.
        batch: the argument that takes several, each of which is an entry: the loader is given a
            list of those that are missing, and returns one of as many values, in the same order.

    Returns:
        The decorated callable, with ``lease``, ``evict``, ``evict_all``, ``forget``, ``peek``,
        ``contains``, ``many``, ``warm_up``, ``cache``, ``cache_key``, ``cache_info``,
        ``cache_clear`` and ``cache_parameters``.

    Raises:
        TypeError: an unknown option, or one that does not go with another.
        ValueError: an unknown policy, a bad value, or a cache by name that is defined otherwise.
    """
    if target is None:

        @one_frame
        def decorate(target: Any) -> Any:
            return _decorated(target, policy, cache, dict(options))

        return decorate
    if policy is not None or cache is not None or options:
        raise TypeError("warm() takes options by name, and then the loader: @warm(policy=...)")
    return _decorated(target, None, None, {})


def _signature() -> inspect.Signature:
    """Return that of :func:`warm` with the names of its options, which completion offers."""
    signature = inspect.signature(warm)
    first, policy, cache, rest = signature.parameters.values()
    names = {"maxsize", "timer", "getsizeof", *OF_MEMORY, *Cache.__warm_options__, *_LOADER_OPTIONS}
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(name, kind, default=...) for name in sorted(names)]
    return signature.replace(parameters=[first, policy, cache, *options, rest])


warm.__signature__ = _signature()  # type: ignore[attr-defined]


def _decorated(target: Any, policy: Any, cache: Any, options: dict[str, Any]) -> Any:
    """Return the warm counterpart of ``target``."""
    own = {name: options.pop(name) for name in _LOADER_OPTIONS if name in options}
    if "ttl" in own and (cache is None or _names_what_needs_a_ttl(cache, policy, options)):
        options["ttl"] = own.pop("ttl")  # the cache's: beside cache=, it is the loader's otherwise
    checked = LoaderOptions.of(**own)  # before there is a cache that watches or records
    if not (callable(target) or isinstance(target, classmethod)):
        raise TypeError(
            f"@warm goes over a function, method or class, not {text_of(target)}; options are "
            f"given by name: @warm({_option_for(target)})"
        )
    make = partial(define, options=checked, cache=_cache(policy, cache, options))
    if isinstance(target, staticmethod):
        return staticmethod(make(local_function, target.__func__))
    if isinstance(target, classmethod):
        return make(local_class_method, target.__func__)
    if isinstance(target, type):
        checked.refuse_for_class(target.__name__)
        if checked.batch is not None:
            raise TypeError(
                f"batch= is for what returns a list, and {target.__name__} is a class, of which a "
                f"call makes one instance: put it over a function that makes several"
            )
        return warm_class(target, partial(make, local_function, statement_of=target))
    return make(local_method if _defined_in_class(target) else local_function, target)


def _names_what_needs_a_ttl(cache: Any, policy: Any, options: dict[str, Any]) -> bool:
    """Whether what is said beside the name of a cache defines one that needs a ``ttl``."""
    says = isinstance(cache, str) and (policy is not None or bool(options))
    return says and policies.registry.needs("ttl", policy or _DEFAULT_POLICY, options)


def _cache(policy: Any, cache: Any, options: dict[str, Any]) -> LoaderCache:
    """Return the cache that the options of ``@warm`` mean, and how to come by it elsewhere."""
    if policy is not None:
        policies.registry.find(policy)
    if not (cache is None or isinstance(cache, Cache | str)):
        raise checks.type_error("cache", "a warmcache.Cache or a name", cache)
    says = policy is not None or bool(options)
    if isinstance(cache, Cache):
        if says:
            raise _both(policy, options)
        return LoaderCache(cache, recipe_of(cache))
    if cache is not None:
        checks.text("cache", cache, "a warmcache.Cache or a name")
    if says or cache is None:
        if policy is None and not options.keys() & {"maxsize", *OF_MEMORY}:
            options["maxsize"] = _DEFAULT_MAXSIZE
        policy = policy or _DEFAULT_POLICY
        policies.registry.making(policy, options, also={*_LOADER_OPTIONS, "policy", "cache"})
    if cache is None:
        return LoaderCache(None, Recipe("policy", policy, options))
    if says:
        defined(cache, policy, options)
    return LoaderCache(None, Recipe("named", cache, None))


def _both(policy: Any, options: dict[str, Any]) -> TypeError:
    """Return the error about a cache that is made already, and options to make one."""
    extra = ", ".join([*(["policy"] if policy is not None else []), *options])
    hint = nearest_option(next(iter(options), "policy"), {*_LOADER_OPTIONS, "cache"})
    return TypeError(
        f"cache= brings its own policy and options; {extra} cannot be given with it{hint}"
    )


def _option_for(thing: Any) -> str:
    """Return the option that ``thing`` was most likely meant for, as one writes it."""
    if isinstance(thing, Cache):
        return "cache=..."
    if isinstance(thing, str) and thing in policies.registry:
        return f"policy={thing!r}"
    return f"maxsize={thing!r}" if thing is None or checks.is_number(thing) else "policy=..."


_BUILT_IN = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)


def _defined_in_class(function: Any) -> bool:
    """Whether ``function`` is of a class body, and so what its instances are to be bound to."""
    # These only come from a class: what is built in, or bound already, and Model[int].
    if isinstance(function, _BUILT_IN) or hasattr(function, "__self__") or get_origin(function):
        return False
    scope, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    return bool(scope) and not scope.endswith("<locals>")
