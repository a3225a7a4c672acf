"""An entry: one warm object, where it came from, who leases it."""

# No annotation is put off here: each text would be compiled as the package is imported.
import enum
import threading
from collections.abc import Callable, Hashable
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any

from warmcache._process.gil import FREE_THREADED
from warmcache._texts import text_of

from .hit_counts import NO_HITS, HitCount
from .hot_paths import HotEntries
from .records import Newcomer, RemovalCause
from .use_clock import counted, tick

if TYPE_CHECKING:
    import asyncio

    from .loading_threads import LoadingThread
    from .parked_bytes import ParkedBytes
    from .remains import Remains


class State(enum.Enum):
    """Where an entry is in its life; before, while it loads, it is a flight."""

    LIVE = "live"
    RETIRED = "retired"  # removed while leased: torn down by the last release
    DYING = "dying"  # its teardown is running, or it is being parked
    PARKED = "parked"  # alive, and its bytes in the host tier
    GONE = "gone"


_LIVE = State.LIVE


class LeaseRecord:
    """One lease on one entry: who took it, and when (``time.monotonic``).

    It is ``over`` as soon as it is to end, or whoever wanted it was interrupted.
    """

    place: Any = None  # where it was entered; the lease of a plain call is not entered

    __slots__ = ("over", "since", "task", "thread")

    def __init__(self, since: float, task: Any = None) -> None:
        self.since = since
        self.task = task
        self.thread = get_ident()
        self.over = False

    @property
    def holder(self) -> str:
        """Who took it, in words: a thread, or a task, by its name as it is now."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        thread = f"thread {names.get(self.thread, f'{self.thread}, which has ended')!r}"
        return thread if self.task is None else f"task {self.task.get_name()!r} in {thread}"


class LoadLease(LeaseRecord):
    """That of a load, on what is retired of its key: none is torn down beside its loader."""

    __slots__ = ()


class Source:
    """What the entries from one source share: a loader, or the cache's own mapping.

    ``weigh`` says what a value handed in under a loader's key weighs, where the cache does not,
    and ``ttl`` how long what is of a loader lives, in whatever cache. What is ``loop_bound`` is of
    no use once the event loop that loaded it is closed. ``spread`` are the places in a key, from
    its end, of what a call spreads out: ``*args`` and ``**kwargs``, if it has them. ``park`` are
    the functions that park and unpark its values, if it said any. ``thread`` returns, in the
    thread that has loaded something, who alone can tear that down.
    ``past_hits`` counts the hits of entries that have left, or begun to count anew.
    """

    __slots__ = (
        *("__weakref__", "loop_bound", "misses", "name", "park", "past_hits", "spread", "tags"),
        *("teardown", "thread", "ttl", "weigh"),
    )

    def __init__(
        self,
        name: str,
        teardown: Callable[[Any], object] | None = None,
        tags: frozenset[str] = frozenset(),
        weigh: Callable[[Any], float] | None = None,
        ttl: Any = None,
        loop_bound: bool = True,
        park: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
    ) -> None:
        self.name = name
        self.park = park
        self.loop_bound = loop_bound
        self.teardown = teardown
        self.tags = tags
        self.weigh = weigh
        self.ttl = ttl
        self.thread: Callable[[], LoadingThread] | None = None
        self.spread: tuple[int | None, int | None] = (None, None)
        self.past_hits = 0
        self.misses = 0


class Provenance:
    """How a value came to be: from where, in which time, and what only loaded ones have."""

    __slots__ = (
        *("dump", "finish", "given_by", "hot", "hot_key", "loop", "seconds", "source", "thread"),
        "weighed_by",
    )

    def __init__(
        self,
        source: Source,
        seconds: float = 0.0,
        finish: Callable[[], object] | None = None,
        loop: "asyncio.AbstractEventLoop | None" = None,
        hot: HotEntries | None = None,
        hot_key: Any = None,
        given_by: str | None = None,
        dump: Callable[[Any], object] | None = None,
    ) -> None:
        self.source = source
        self.seconds = seconds
        self.finish = finish  # the rest of a generator loader
        self.given_by = given_by  # "loader" or "disk", of what was loaded
        self.dump = dump  # what a tier does before its teardown
        self.loop = loop  # that loaded it, and where an asynchronous teardown has to run
        self.hot = None if hot is None else hot.ref  # found_by(), without a call
        self.hot_key = hot_key
        self.thread: LoadingThread | None = None  # that alone can tear it down
        self.weighed_by: str | None = None  # what a meter took the weight from

    @property
    def is_orphan(self) -> bool:
        """Whether the value is bound to an event loop that is closed."""
        return self.loop is not None and self.source.loop_bound and self.loop.is_closed()

    def found_by(self, hot: HotEntries | None, hot_key: Any) -> None:
        """Have the hit path that looks up ``hot`` find the entry under ``hot_key``."""
        # Weakly, or an entry and its hit path would wait for the garbage collector.
        self.hot = None if hot is None else hot.ref
        self.hot_key = hot_key


if TYPE_CHECKING or not FREE_THREADED:

    class _Hits:
        __slots__ = ("hits",)

        hits: HitCount
        hit: Callable[[], object]

        def take_hits(self) -> float:
            """Return how many hits there were, and have it count from none again."""
            hits, self.hits = self.hits, NO_HITS
            return hits.number

else:

    class _Hits:
        """How often a hit path had the entry, so that without the GIL none is lost."""

        __slots__ = ("hit",)

        @property
        def hits(self):
            return HitCount(float(counted(self.hit.__self__)))

        @hits.setter
        def hits(self, hits):
            self.hit = count(int(hits.number)).__next__

        def take_hits(self):
            hit, self.hit = self.hit, count().__next__
            return float(counted(hit.__self__))


class Entry(_Hits):
    """One warm object with its key, weight, load time and use record.

    What a policy's ``rank`` reads: ``weight``, ``load_seconds``, ``uses`` (how often it
    was asked for, the first time included), ``used`` and ``loaded`` (ticks of the
    clock of uses: larger is later), ``key``, ``tags``. The rest is the cache's;
    ``cause`` and ``newcomer`` are set when it is removed and somebody is told, and ``placed`` says
    where it stands in the mapping, as in a dict: what replaces another takes its place.

    Invariants (the cache's lock guards them, but for ``hits`` and ``used``, which
    the hit path writes without it): ``leases`` is empty in every state but LIVE and
    RETIRED; ``value`` is deleted once it is no longer to be had, so that a hit path that
    comes too late sees an ``AttributeError`` and takes the slow path. Once it is GONE and
    whoever wants to know was told, the entry is :meth:`emptied <empty>`: it may lie in an order
    or a heap for long, and nothing that left may be reachable from there.
    """

    key: Hashable
    value: Any
    weight: float
    provenance: Provenance
    state: State
    loaded_at: Any
    seen_at: Any
    loaded: float
    used: float
    seen: float  # the use that ``seen_at`` is of; unset, or older than its load: that
    placed: float
    base_uses: float
    expires: Any
    leases: tuple[LeaseRecord, ...]
    parked: "ParkedBytes | None"  # where its bytes are, if not on its device
    queued: bool  # whether it has a place in the policy's order
    cause: RemovalCause
    newcomer: Newcomer | None  # for what it had to go, if that is why
    recorded: Any  # its rank as of its place in the policy's order
    blocked_on: list[Any]  # the loads that its teardown waits for
    parks: bool  # once it is DYING: whether it is to be parked, or is on its way to that
    doomed_by: int | None  # the thread that is to tear it down; None: a task does
    called: bool  # whether its teardown has begun
    loop: Any  # the event loop that its teardown is awaited on, or the thread that it is left to
    remains: "Remains | None"  # what a meter watches of it after its teardown
    share: Any  # a Share of bytes that others may have, too, if it was looked into

    __slots__ = (
        "base_uses",
        "blocked_on",
        "called",
        "cause",
        "doomed_by",
        "expires",
        "key",
        "leases",
        "loaded",
        "loaded_at",
        "loop",
        "newcomer",
        "parked",
        "parks",
        "placed",
        "provenance",
        "queued",
        "recorded",
        "remains",
        "seen",
        "seen_at",
        "share",
        "state",
        "used",
        "value",
        "weight",
    )

    def __lt__(self, other: "Entry") -> bool:
        """Of equal ranks, the entry loaded first goes first."""
        return self.loaded < other.loaded

    @property
    def uses(self) -> int:
        """How often it was asked for since it was loaded, the first time included."""
        return int(self.hits.number + self.base_uses)

    @property
    def load_seconds(self) -> float:
        """Seconds its load took; 0.0 for a value handed in through the mapping."""
        return self.provenance.seconds

    @property
    def charged(self) -> float:
        """What the ledger has of it: of what is parked, nothing."""
        return 0 if self.parked is not None and self.parked.moved else self.weight

    @property
    def kept(self) -> bool:
        """Whether it stays unless it is removed: it is live, or parked, or on its way to that."""
        state = self.state
        return state is _LIVE or state is State.PARKED or (state is State.DYING and self.parks)

    @property
    def tags(self) -> frozenset[str]:
        """The tags of its loader."""
        return self.provenance.source.tags

    def empty(self) -> None:
        """Drop all that it refers to. Without the lock, for it may be the last reference."""
        del self.value
        self.key = self.remains = self.newcomer = self.parked = None
        self.provenance = NOWHERE

    def empty_of_the_rest(self) -> None:
        """Drop what it refers to besides its value, which is gone."""
        self.key = self.remains = self.newcomer = self.parked = None
        self.provenance = NOWHERE

    def __repr__(self) -> str:
        return f"<Entry {text_of(self.key)} {self.state.value} weight={self.weight}>"


NOWHERE = Provenance(Source("nowhere"))  # where an emptied entry is from


def new_entry(key: Hashable, value: Any, weight: float, provenance: Provenance, now: Any) -> Entry:
    """Return a live entry that nobody leases; no ``__init__``, for to have one called is dear."""
    entry = Entry()
    entry.key = key
    entry.value = value
    entry.weight = weight
    entry.provenance = provenance
    entry.state = _LIVE
    entry.loaded_at = entry.seen_at = now
    entry.loaded = entry.used = entry.placed = tick()
    entry.hits = NO_HITS
    entry.base_uses = 1.0  # a float, as the numbers of hits are
    entry.expires = None
    entry.leases = ()
    entry.parked = None
    entry.queued = False
    return entry


def earlier(time: Any, seconds: float) -> Any:
    """Return what a clock said so many ``seconds`` before, one that counts floats or datetimes."""
    if not seconds or not hasattr(time, "tzinfo"):
        return time - seconds if seconds else time
    return time - type(time - time)(seconds=seconds)


def seconds_between(start: Any, end: Any) -> float:
    """Return ``end - start`` in seconds, for clocks that count floats or datetimes."""
    span = end - start
    return span if span.__class__ is float else in_seconds(span)


def in_seconds(span: Any) -> float:
    """Return a span of such a clock in seconds."""
    return float(span.total_seconds() if hasattr(span, "total_seconds") else span)
