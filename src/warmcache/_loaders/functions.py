"""What ``@warm`` makes of a function."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from warmcache import _checks as checks
from warmcache._core.state.hot_paths import HotEntries
from warmcache._signatures import signature_of
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache

from .async_calls import AsyncCaller
from .batch import Missed
from .batch_callers import AsyncBatchCaller, BatchCaller
from .call_site import CallSite
from .calls import Caller
from .hit_path import build
from .hit_path_text import OwnerIs
from .loader import FindOwner, Loader
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


def owned(
    signature: inspect.Signature, per: str | Callable[[], object], name: str
) -> tuple[inspect.Signature, FindOwner]:
    """Return what the keys are made of where an owner is not part of them, and what finds it.

    Raises ValueError when ``name``() has no such argument.
    """
    if not isinstance(per, str):
        return signature, lambda args, kwargs: per()
    found = signature.parameters.get(per)
    if found is None or found.kind in (found.VAR_POSITIONAL, found.VAR_KEYWORD):
        has = ", ".join(signature.parameters) or "none"
        must_be = f"the name of one argument of {name}()"
        raise checks.value_error("per", must_be, per, f"it has: {has}")
    others = [each for each in signature.parameters.values() if each is not found]
    of_call = signature.replace(parameters=others)
    if found.kind is found.KEYWORD_ONLY:
        return of_call, lambda args, kwargs: kwargs[per]
    place = list(signature.parameters).index(per)
    return of_call, lambda args, kwargs: args[place]


def warm_function(
    target: Any, options: LoaderOptions, cache: Cache[Any, Any] | SharedCache
) -> tuple[Any, Caller]:
    """Return the warm counterpart of a function, one with its signature, and its caller."""
    signature = signature_of_loader(target)
    per = options.per
    of_call, find_owner = signature, None
    if per is not None:
        name = getattr(target, "__name__", type(target).__name__)
        of_call, find_owner = owned(signature, per, name)
    loader = Loader(target, of_call, options, cache, find_owner=find_owner)
    caller = caller_class(loader)(loader, CallSite(loader.shape.levels))
    free: dict[str, Any] = dict(slow=caller.slow_call, fresh=loader.fresh)
    owner = None
    if loader.sites is None:
        free |= dict(hot=caller._site.hot)
    else:
        owner = OwnerIs(per if isinstance(per, str) else None)
        free |= dict(sites=loader.sites.hot, id=id, per=per)
    hit: Any
    if loader.batch is None:
        hit, loader.bind, switch = build(
            loader, signature, loader.shape, owner=owner, is_async=loader.is_async, free=free
        )
    else:
        hit, loader.batch.bind, _ = build(
            loader,
            signature,
            loader.shape.without_keys(),
            is_async=loader.is_async,
            free=free | dict(hot=HotEntries(), fresh=None),
        )
        loader.batch.find, loader.bind, switch = build(
            loader, signature, loader.shape, free=free | dict(slow=Missed)
        )
    loader.tell_hits_by(switch)
    functools.update_wrapper(hit, target)
    caller.function = weakref.ref(hit)
    return hit, caller
