"""What ``@warm`` makes of a function and of a method; of a class, see ``_classes.py``."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from warmcache._by_value.arrived_loader import Parts, PickledAttributes, Ticket
from warmcache._by_value.digest import module_of
from warmcache._by_value.recipe import LoaderCache

from .calls import AsyncCaller, Caller, Slow
from .hit_path import build
from .loader import CallSite, Loader, LoaderOptions


def signature_of(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of ``target``; of some built in, nobody knows it."""
    try:
        return inspect.signature(target)
    except ValueError:
        return inspect.signature(lambda *args, **kwargs: None)


def _ticket(
    make: Callable[[Any, LoaderOptions, LoaderCache, Ticket | None], Any],
    target: Any,
    options: LoaderOptions,
    home: LoaderCache,
) -> Ticket:
    name = getattr(target, "__qualname__", type(target).__qualname__)
    return Ticket((module_of(target), name), parts=Parts(make, target, options, home.recipe))


def warm_function(
    target: Any, options: LoaderOptions, home: LoaderCache, ticket: Ticket | None = None
) -> Any:
    """Return the warm counterpart of a function: a function with its signature.

    With a ``ticket``, it is made for one that arrived, see ``_ship.py``.
    """
    signature = signature_of(target)
    loader = Loader(target, signature, options, home.cache)
    caller = AsyncCaller(loader, CallSite()) if loader.is_async else Caller(loader, CallSite())
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
    if ticket is None:
        ticket = _ticket(warm_function, target, options, home)
        home.show(hit)
    PickledAttributes(hit, ticket.of(hit)).show(caller, home.cache)
    caller.function = weakref.ref(hit)
    return hit
