"""What a plan is made of: the steps it yields, and what it is told to begin with.

Every way to get, store or remove a value is a *plan*: a generator that decides
under the lock and yields what has to be done outside it, one step at a time. A plan
does no I/O, waits for nothing and runs no user code; ``_drive.py`` carries the steps
out, once for threads and once for asyncio, so that the logic exists once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from warmcache._core.state.entry import Entry, Source
from warmcache._core.state.flights import Flight
from warmcache._core.state.hot_paths import HotEntries
from warmcache._core.state.one_shot import OneShot
from warmcache._core.state.store import Store
from warmcache._core.state.victim_order import Rank

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """Run ``function`` here and now; the plan gets what it returns or raises."""

    function: Callable[[], Any]


@dataclass(slots=True)
class Load:
    """Run a loader; the plan gets ``(value, finish, loop)``, see :class:`Provenance`."""

    request: Request


@dataclass(slots=True)
class Launch:
    """Carry out the plan of a load: at once, or in a task of its own."""

    flight: Flight
    plan: Plan[None]


@dataclass(slots=True)
class TearDown:
    """Tear these entries down; the plan gets the exceptions that it led to."""

    entries: list[Entry]


@dataclass(slots=True)
class Wait:
    """Wait for ``signal``, ``timeout`` seconds at most; the plan gets whether it came."""

    signal: OneShot
    timeout: float | None = None


Step: TypeAlias = Call | Load | Launch | TearDown | Wait
Plan: TypeAlias = Generator[Step, Any, T]


@dataclass(slots=True)
class Request:
    """What one call of a loader asks for.

    ``weight`` is None when only the value can tell; then ``weigh`` is asked, after the
    load, for which ``hint`` was reserved if there is one. ``sized`` says that somebody
    said how to weigh.
    """

    key: Hashable
    source: Source
    load: Callable[[], Any]
    weight: float | None
    hint: float | None
    weigh: Callable[[Any], Any]
    sized: bool
    expires: Callable[[Hashable, Any, Any], Any]
    validate: Callable[[Any], object] | None
    hot: HotEntries | None
    hot_key: Any
    may_load: bool


class CacheView:
    """What a plan needs of its cache beyond the store: the policy, and patience."""

    __slots__ = ("rank", "store", "wait")

    def __init__(self, store: Store, rank: Rank, wait: float) -> None:
        self.store = store
        self.rank = rank
        self.wait = wait
