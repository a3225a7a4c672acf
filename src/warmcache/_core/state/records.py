"""What users are told of entries, loads, removals and counts: small frozen records."""

# No annotation is put off here: each text would be compiled as its class is made.
import enum
from collections.abc import Hashable, Mapping

from warmcache._texts import text_of

from .record import OfKey, Record


class RemovalCause(enum.StrEnum):
    """Why an entry left. It equals its text: ``stats().removals["size"]``."""

    SIZE = "size"
    EXPIRED = "expired"
    PRESSURE = "pressure"
    NODE = "node"
    EXPLICIT = "explicit"
    REPLACED = "replaced"
    INVALID = "invalid"
    CLOSED = "closed"

    __hash__ = str.__hash__  # Enum's own is Python code, and counts are kept by cause

    @property
    def evicted(self) -> bool:
        """Whether the cache itself decided it."""
        return self in _EVICTIONS


_EVICTIONS = {
    *(RemovalCause.SIZE, RemovalCause.EXPIRED, RemovalCause.PRESSURE, RemovalCause.NODE),
}
# What is still good has left by one of these; the value may be wanted again.
DUMPED = {RemovalCause.SIZE, RemovalCause.PRESSURE, RemovalCause.NODE, RemovalCause.CLOSED}


class Newcomer(Record):
    """For which key others had to go, what it needed, and how much of that was free."""

    __slots__ = ()

    key: Hashable
    needed: float
    free: float


class Removal(OfKey):
    """What a listener is told once an entry is gone; it never holds the value.

    ``call`` is the key as text, ``load('ada')``, and ``loader`` the name of the loader, None for
    what was stored by the mapping. ``age`` is seconds since the load, ``load_seconds`` what that
    load took. ``wanted_by`` is the call, or the key, for which it had to go; None: it went for
    another reason. ``tier`` is where its bytes lay: ``"host"``, or None for the device.
    """

    __slots__ = ()
    _derived_last = ("wanted_by",)

    key: Hashable
    cause: RemovalCause
    weight: float
    age: float
    uses: int = 0
    load_seconds: float = 0.0
    tags: frozenset[str] = frozenset()
    _newcomer: Newcomer | None = None
    tier: str | None = None

    @property
    def wanted_by(self) -> str | None:
        """The text of the call, or of the key, for which it was evicted."""
        return None if self._newcomer is None else text_of(self._newcomer.key)


class Load(OfKey):
    """What ``on_load`` is told of a load; it never holds the value.

    ``call`` is the key as text, ``load('ada')``, and ``loader`` the name of the loader.
    ``seconds`` is what the load took, ``weight`` what its value weighs, and ``weighed_by`` what a
    memory cache took that from, as in :class:`EntryInfo`.
    """

    __slots__ = ()

    key: Hashable
    seconds: float
    weight: float
    weighed_by: str | None = None
    tags: frozenset[str] = frozenset()


class EntryInfo(OfKey):
    """A snapshot of one entry, as :meth:`Cache.entries` gives it.

    ``call`` is the key as text, ``load('ada')``, and ``loader`` the name of the loader, None for
    what was stored by the mapping. ``age``, ``idle`` and ``load_seconds`` are seconds, where the
    cache's ``timer`` counts seconds or gives datetimes, and else what that counts.
    ``age`` counts from the end of the load, and while that is under way (``state`` is
    ``"loading"``) from when it was first asked for; its ``weight`` then is what is
    reserved. ``idle`` never overstates: a use on the hit path leaves a stamp, not a time,
    so it is dated when the cache next looks (at a lease, a release or a snapshot). With
    ``idle_ttl`` it is exact.
    ``weighed_by`` is what a memory cache took the weight from: ``"size"``,
    ``"footprint"``, ``"mapped"``, the same of what lies in files that are mapped, which weigh
    nothing, ``"allocator"`` or ``"device"``; ``"guess"`` where all of these were unknown, as
    while other loads ran. None: nothing was seen to grow. ``ends_in`` is how many
    seconds it has left if nobody uses it, by ``ttl`` and ``idle_ttl``; None: it does not end.
    ``source`` is who gave it: ``"loader"``, or ``"disk"``; None: it was stored by the mapping, or
    is still loading. Of what lies on disk, ``load_seconds`` are what having it again costs now.
    """

    __slots__ = ()

    key: Hashable
    weight: float
    uses: int
    age: float
    idle: float
    load_seconds: float
    leases: int
    state: str
    tags: frozenset[str] = frozenset()
    weighed_by: str | None = None
    ends_in: float | None = None
    source: str | None = None


class HostStats(Record):
    """What the host tier of a cache has done, and what is parked there.

    ``parks`` and ``unparks`` count moves. What was torn down instead of parked: ``not_worth``, for
    getting it back takes about as long as a load; ``full``, for it takes more than there is, or
    what is there saves more; ``failures``, by kind: ``"park"`` counts what could not be parked,
    ``"short"`` what the machine had no memory for, ``"unpark"`` what stayed parked. ``bytes`` are
    taken of the ``budget``.
    """

    __slots__ = ()

    parks: int
    unparks: int
    not_worth: int
    full: int
    failures: Mapping[str, int]
    entries: int
    bytes: float
    budget: float


class Stats(Record):
    """Counts since the cache was made, and its ledger now.

    Each call of a loader is one of three: a hit, a miss, which loads, or ``joined``: it got what
    another call was loading just then. ``load_failures`` counts the loaders that raised, and what
    was loaded and could not be kept. ``load_seconds`` is what loads have cost, ``saved_seconds``
    what hits would have cost as loads. ``waits`` counts how often a caller waited: for another's
    load or for room. ``live + loading + retired + dying + zombies`` is the weight committed:
    entries to be had, room reserved by loads, removed entries that are still leased,
    entries whose teardown is running or whose memory is not back yet, and, in memory
    caches, what was torn down while somebody kept holding it. ``host`` is what there is to tell of
    the host tier; None where there is none. What comes back from there is a miss, and no load.
    """

    __slots__ = ()

    hits: int
    misses: int
    joined: int
    loads: int
    load_failures: int
    load_seconds: float
    saved_seconds: float
    removals: Mapping[RemovalCause, int]
    teardown_failures: int
    waits: int
    live: float
    loading: float
    retired: float
    dying: float
    zombies: float
    host: HostStats | None = None
