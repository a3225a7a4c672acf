"""A memory cache whose entries go in the order of a policy: one class made of two.

Who goes first is a cache class, with a ``rank`` and maybe a state, options and methods of its
own, and it is written for caches of counts. So a memory cache *is* one of that class, too: its
class inherits from that of the memory first, which says how much there may be, and then from the
policy's. Nothing of the policy is left out or has to be handed on, and ``self`` in its ``rank``
is what it was written for.

Tried and rejected: to give a memory cache an empty cache of the policy, and to ask that for
ranks. What the policy's own methods are told then reaches one of the two, and what it reads of
itself, such as ``len(self)``, is of the other.
"""

from __future__ import annotations

import types
from typing import Any

from warmcache import policies
from warmcache._registry import options_of
from warmcache._signatures import signature_of
from warmcache._suggestions import nearest_option
from warmcache.caches import CostCache
from warmcache.caches.cache import Cache
from warmcache.policies.three_questions import not_passed_on

_SAYS_WHO_GOES = ("rank", "_new_order", "drifts")


def ordered(kind: type[Any], order: Any) -> type[Any]:
    """Return the class of a memory cache of ``kind`` whose entries go in ``order``.

    By default that is ``cost``, unless ``kind`` inherits from a policy already.

    Raises:
        TypeError: ``kind`` says itself who goes first, or ``order`` is no policy.
        ValueError: there is no policy of that name, or it is a memory cache itself.
    """
    own = order_of(kind)
    if order is None:
        return kind if own is not None else _made_of(kind, CostCache)
    policy = policies.registry.order(order)
    if own is policy:
        return kind
    says = own or _says_itself(kind)
    if says is not None:
        raise TypeError(
            f"{kind.__name__} takes no order=, for {says.__name__} says who goes first in it"
        )
    return _made_of(kind, policy)


def order_of(kind: type[Any]) -> type[Any] | None:
    """Return the policy that a class of memory caches inherits from; None: from none."""
    for each in kind.__mro__:
        if issubclass(each, Cache) and not each._of_memory and each is not Cache:
            return each
    return None


def policy_of(kind: type[Any]) -> type[Any]:
    """Return the class that says who goes first in memory caches of ``kind``."""
    return _says_itself(kind) or order_of(kind) or CostCache


def _says_itself(kind: type[Any]) -> type[Any] | None:
    """Return which class of memory caches says who goes first, by a method of its own."""
    for each in kind.__mro__:
        if getattr(each, "_of_memory", False) and {*vars(each)} & {*_SAYS_WHO_GOES}:
            return each
    return None


def of_the_policy(kind: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return what the policy of a memory cache of ``kind`` is to be told of ``options``.

    If the policy has a ``maxsize``, that is in it: how much it is, only the device tells.

    Raises:
        TypeError: the policy has no such option, or lacks one.
    """
    name, policy, rest = kind.__name__, order_of(kind) or Cache, {**options}
    order = rest.pop("order", None)
    if order is not None and not issubclass(kind, policies.registry.order(order)):
        raise TypeError(
            f"order= goes to {name} as it is made: a class of one's own that has an order "
            f"inherits from it, as in class {name}(HostMemoryCache, LRUCache)"
        )
    known = options_of(policy)
    if "maxsize" in rest:
        raise TypeError(f"{name} has no option 'maxsize': its limit is budget=, in bytes")
    for option in rest:
        if known is not None and option not in known:
            if (passed_on := not_passed_on(policy, option)) is not None:
                raise TypeError(f"{policy.__name__} has no option {option!r}{passed_on}")
            every = known.union(options_of(kind) or ()) - {"maxsize"}
            raise TypeError(f"{name} has no option {option!r}" + nearest_option(option, every))
    if known is None or "maxsize" in known:
        rest["maxsize"] = 0
    try:
        signature_of(policy).bind(**rest)
    except TypeError as error:
        raise TypeError(f"{name} in the order of {policy.__name__}: {error}") from None
    return rest


def _made_of(kind: type[Any], policy: type[Any]) -> type[Any]:
    for made in policy.__subclasses__():  # which Python knows weakly
        if made.__bases__ == (kind, policy) and "_made_of_two" in vars(made):
            return made
    said = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return types.new_class(
        kind.__name__, (kind, policy), exec_body=lambda body: body.update(said, _made_of_two=True)
    )
