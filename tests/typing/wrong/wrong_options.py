"""What type checkers must find wrong: read by ``test_type_checkers.py``, and never run.

A line with an error says which one it is to mypy, and is one to pyright too. No other line is.
"""

from __future__ import annotations

from typing import Any

import cachetools

import warmcache
from warmcache import Cache, HostMemoryCache, LRUCache, WarmClass, policies, retry_on_oom, warm


def load(name: str) -> list[str]:
    return [name]


# -- names and options -----------------------------------------------------------------

warm(policy="lru", max_size=1)  # error: call-overload
warm(policy="lru", maxsize=1, max_size=1)  # error: call-overload
warm(max_size=1)  # error: call-overload
warm(policy="lruu", maxsize=1)  # error: call-overload
warm(policy="LRU", maxsize=1)  # error: call-overload
warm(policy="heaviest", maxsize=1)  # error: call-overload
warm(policy="lru", maxsize=1, unload="close")  # error: call-overload
warm(policy="lru", maxsize=1, idle_tll=60)  # error: call-overload
warm(policy="gpu", max_memory=1)  # error: call-overload
warm(policy="gpu", order="lruu")  # error: call-overload
warm(policy="gpu", order="ram")  # error: call-overload
warm(policy="lru", budget="1GiB", dev=0)  # error: call-overload
warm(policy=dict, maxsize=1)  # error: arg-type
warm(policy=cachetools.LRUCache, maxsize=1)  # error: arg-type
warm(policy=LRUCache(1))  # error: call-overload
warm(policy="lru", maxsize=1, per=5)  # error: call-overload
warm(policy="lru", maxsize=1, per=lambda ctx: ctx)  # error: call-overload
warm("lru")  # error: call-overload
warm(LRUCache(1))  # error: call-overload

# -- what does not go together, or is missing ------------------------------------------

warm(policy="lru", maxsize=1, budget="1GiB")  # error: call-overload
warm(maxsize=1, device=0)  # error: call-overload
warm(policy="gpu", maxsize=1)  # error: call-overload
warm(policy="ram", device=0)  # error: call-overload
warm(policy="lru", maxsize=1, headroom="1GiB")  # error: call-overload
warm(policy="lru", maxsize=1, order="lfu")  # error: call-overload
warm(policy="lru", budget=1, order="lfu")  # error: call-overload
warm(policy="lru")  # error: call-overload
warm(policy="ttl", maxsize=1)  # error: call-overload
warm(policy="tlru", maxsize=1)  # error: call-overload
warm(policy="lru", maxsize=1, keep_uses=True)  # error: call-overload
warm(policy="gdsf", maxsize=1, choice=min)  # error: call-overload
warm(cache=LRUCache(1), maxsize=1)  # error: call-overload
warm(cache="models", policy="lru")  # error: call-overload
warm(cache="models", policy="lruu", maxsize=1)  # error: call-overload
warm(cache="models", policy="lru", maxsize=1, budget="1GiB")  # error: call-overload
warm(cache="models", policy="gpu", maxsize=1)  # error: call-overload
warm(cache="models", policy="lru", max_size=1)  # error: call-overload
warm(cache=LRUCache(1), policy="lru", maxsize=1)  # error: call-overload
warm(cache=3, policy="lru", maxsize=1)  # error: call-overload

# -- values ----------------------------------------------------------------------------

warm(maxsize=[])  # error: call-overload
warm(maxsize=1, teardown=1)  # error: call-overload
warm(maxsize=1, validate=3)  # error: call-overload
warm(maxsize=1, typed="yes")  # error: call-overload
warm(maxsize=1, tags=[1])  # error: list-item
warm(policy="gpu", device=1.5)  # error: call-overload
warm(budget=[])  # error: call-overload
warm(maxsize=1)(1)  # error: call-overload

# -- what is decorated -----------------------------------------------------------------


@warm(policy="lru", maxsize=1)
def counted(name: str) -> list[str]:
    return [name]


@warm(policy="auto", budget=0.8)
def measured(name: str) -> list[str]:
    return [name, measured.cache.devise]  # error: attr-defined


counted.cache.relieve(1)  # error: attr-defined
assert counted.cache.device  # error: attr-defined
counted.leas("a")  # error: attr-defined
retry_on_oom(counted.cache)  # error: arg-type
measured.cache.relieve([])  # error: arg-type
measured(1)  # error: arg-type
measured.lease(1)  # error: arg-type


@warm(maxsize=1)
class Session(WarmClass):
    def __init__(self, host: str) -> None: ...


Session(1)  # error: arg-type
Session.lease(1)  # error: arg-type
Session.lease("a", port=1)  # error: call-arg
Session.leas("a")  # error: attr-defined
Session("a").lease("a")  # error: attr-defined

# -- caches ----------------------------------------------------------------------------

warmcache.cache("models", policy="lruu", maxsize=1)  # error: call-overload
warmcache.cache("models", policy="lru", max_size=1)  # error: call-overload
warmcache.cache("models", policy="lru", maxsize=1, budget=1)  # error: call-overload
warmcache.cache("models", policy="gpu", maxsize=1)  # error: call-overload
warmcache.cache(policy="lru", maxsize=1)  # error: call-overload
policies.create("lruu", maxsize=1)  # error: call-overload
policies.create("lru", max_size=1)  # error: call-overload
policies.create("lru", maxsize=1, device=0)  # error: call-overload
policies.create("gpu", maxsize=1)  # error: call-overload
policies.registry["lru"](maxsize=1).relieve(1)  # error: attr-defined
memory: HostMemoryCache[str, Any] = HostMemoryCache(1, order="lruu")  # error: arg-type
a_cache: Cache[str, Any] = HostMemoryCache(1, maxsize=1)  # error: call-arg
