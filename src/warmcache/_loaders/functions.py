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


def warm_function(
    target: Any, options: LoaderOptions, cache: Cache[Any, Any] | SharedCache
) -> tuple[Any, Caller]:
    """Return the warm counterpart of a function, one with its signature, and its caller."""
    signature = signature_of_loader(target)
    loader = Loader(target, signature, options, cache)
    caller = AsyncCaller(loader, CallSite()) if loader.is_async else Caller(loader, CallSite())
    hit: Any
    hit, loader.bind, switch = build(
        loader,
        signature,
        loader.shape,
        is_async=loader.is_async,
        free=dict(get=caller._site.hot.get, slow=Slow(caller), fresh=loader.fresh),
    )
    loader.tell_hits_by(switch)
    functools.update_wrapper(hit, target)
    caller.function = weakref.ref(hit)
    return hit, caller
