"""Which worker gets a request: one that has its key warm, unless waiting there costs a load.

Two routers over the same books, for any engine:

- :class:`Backlog` keeps requests back until a slot is free for them. What is decided late is
  decided better; take it where the queue is yours.
- :class:`Router` places a request as soon as it comes, for whoever has to say at once where it
  goes: a proxy or a broker, with a queue at each worker.

Both are told what workers have warm, guess nothing but that a placed request leaves its key
warm, and learn from ``done(..., seconds=)`` how many uses a load costs. They read no clock and
start no thread. **They take no lock**: whoever calls from several threads holds one lock of
their own around every call. No call waits, or runs anything of the caller's but the ``__eq__``
and ``__hash__`` of keys and workers. None looks at all workers.
"""

from __future__ import annotations

from warmcache._public import found_here

from .backlog import Backlog
from .fleet import Placement
from .router import Router

__all__ = ["Backlog", "Placement", "Router"]

found_here(globals())
