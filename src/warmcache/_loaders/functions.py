"""What ``@warm`` makes of a function."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from warmcache._signatures import signature_of
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache

from .async_calls import AsyncCaller
from .batch import Missed, nothing_hot
from .batch_callers import AsyncBatchCaller, BatchCaller
from .call_site import CallSite
from .calls import Caller, Slow
from .hit_path import build
from .loader import Loader
from .loader_options import LoaderOptions


def signature_of_loader(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of ``target``; of some built in, nobody knows it."""
    try:
        return signature_of(target)
    except (TypeError, ValueError):  # as of a built-in class method before it is bound
        return signature_of(lambda *args, **kwargs: None)


def caller_class(loader: Loader) -> type[Caller]:
    """Return the class of what ``loader`` can do."""
    if loader.batch is None:
        return AsyncCaller if loader.is_async else Caller
    return AsyncBatchCaller if loader.is_async else BatchCaller


def warm_function(
    target: Any, options: LoaderOptions, cache: Cache[Any, Any] | SharedCache
) -> tuple[Any, Caller]:
    """Return the warm counterpart of a function, one with its signature, and its caller."""
    signature = signature_of_loader(target)
    loader = Loader(target, signature, options, cache)
    caller = caller_class(loader)(loader, CallSite())
    free = dict(get=caller._site.hot.get, slow=Slow(caller), fresh=loader.fresh)
    hit: Any
    if loader.batch is None:
        hit, loader.bind, switch = build(
            loader, signature, loader.shape, is_async=loader.is_async, free=free
        )
    else:
        hit, loader.batch.bind, _ = build(
            loader,
            signature,
            loader.shape.without_keys(),
            is_async=loader.is_async,
            free=free | dict(get=nothing_hot, fresh=None),
        )
        loader.batch.find, loader.bind, switch = build(
            loader, signature, loader.shape, free=free | dict(slow=Missed)
        )
    loader.tell_hits_by(switch)
    functools.update_wrapper(hit, target)
    caller.function = weakref.ref(hit)
    return hit, caller
