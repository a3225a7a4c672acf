"""Caches whose limit is real memory: a GPU's, the machine's own, or that of any probe."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

from warmcache import _checks as checks
from warmcache._core.drivers.lingering import flush, free_what_came_back
from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.state.entry import Entry
from warmcache._core.state.host_ledger import HostLedger
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache._node.refusal import Node
from warmcache._process.janitor import janitor
from warmcache._sizes import format_weight, parse_size
from warmcache._tracebacks import one_frame
from warmcache.caches.cache import MADE, Cache
from warmcache.caches.options import CacheOptions, Setup
from warmcache.policies.option_types import (
    MeasuredOptions,
    OrderName,
    OrderOptions,
)
from warmcache.probes import cuda_numbering
from warmcache.probes.cuda_numbering import DeviceName
from warmcache.probes.probe import Probe

from . import report
from .arbiter import arbiter_of
from .device import Device, circumstances, gpu, gpu_or_host, host, nothing, share, unseen
from .footprint import Footprint
from .host_parking import HostParking, budget_of
from .learned_sizes import Learned
from .meter import MemoryMeter
from .node_member import NodeMember
from .onlookers import Onlookers
from .ordered import of_the_policy, ordered, policy_of
from .out_of_memory import lacked
from .report import DeviceReport
from .setup import MemorySetup
from .watcher import Watcher

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LINGER = 0.02  # seconds between looks at what has not come back
_PUBLISH = 1.0  # seconds after which to say what is idle


class MemoryOptions(MeasuredOptions, total=False):
    """The options that every memory cache takes; see :class:`MemoryCache`."""

    order: type[Cache[Any, Any]] | OrderName


class _WithThoseOfTheOrder(MemoryOptions, OrderOptions, total=False):
    pass


class MemoryCache(Cache[K, V]):
    """A cache of values that share one device's memory; the base of the three below.

    What goes when there is need of room is decided in the ``order`` of another policy, a name or
    a cache class: by default :class:`CostCache`, what saves the fewest load seconds a byte. The
    cache is one of that class, too: it has its methods and takes its options, but for ``maxsize``.

    Nothing starts to load before there is room for it: by the ledger of what this cache
    has committed, which may not exceed ``budget``, and by what the device has available
    beside ``headroom``. What a load will take is known from ``size=``, from earlier
    loads of the same key, or from ``size_hint=``; else it is guessed to be the mean of
    what is resident, of the same loader if it has any, or the load goes alone. What it has
    taken is ``size=``, else what the value is seen to hold, else what the allocator or the
    device grew by, which goes first where it is much more than what is seen.

    The room of what was torn down is free once its memory is back. What somebody still
    holds after ``confirm`` seconds is a zombie: it stays charged until it dies, and a
    warning says who holds it.

    A watcher looks at the device every ``poll`` seconds. When more than ``high`` of it is
    in use twice running, it has the allocator return its reserve and then tears down idle
    entries, one by one, until ``low`` is in use. It stops when that does not help.

    Args:
        budget: the most memory to hold: bytes, ``"20GiB"``, or a fraction of the device
            (a float up to 1.0); by default ``high`` of it.
        getsizeof: returns the bytes of a value, asked once, when it is stored.
        headroom: memory to leave free for activations and the like: bytes, text or a
            fraction; by default 1 GiB, or a twentieth of a device smaller than 20 GiB.
        high: the fraction of the device in use above which idle entries go.
        low: the fraction at which that ends.
        poll: seconds between the watcher's looks; 0 for no watcher.
        min_residency: seconds for which the watcher leaves a loaded entry alone, 10 by
            default, and for which other caches do, if it is said.
        floor: of what is warm here, other caches on the device never ask for as much.
        node: whether ``budget`` is that of all on this node who say so, in whatever process;
            a folder where they meet, if that is not the usual one.
        host: how much of the machine's memory is for values that have to make room: bytes, text, a
            fraction, or a :class:`HostTier`. They are parked there instead of torn down.
        confirm: seconds to wait for the memory of what was torn down.
        learn: a file that keeps what loads have taken from one run to the next.
        probe: what reads the device.
        footprint: returns what a value holds there, see :class:`Footprint`, or None
            where that cannot be seen.
        give_back: has free memory go back to the device, after each teardown.
        order: the policy that says who goes first.
        timer: the clock of ages, load times and times to live: returns seconds, or datetimes.
        options: those of every :class:`Cache`, and those of the ``order``.

    Raises:
        ProbeUnavailable: the device cannot be read.
        TypeError: an argument is of the wrong kind, or an option is unknown.
        ValueError: an argument is out of its range.
    """

    _of_memory = True
    if TYPE_CHECKING:

        @property
        def __limited_by(self) -> Literal["memory"]: ...  # type: ignore[override]

    # What is its own is hidden from policies, whose classes have attributes of their own.

    @one_frame
    def __new__(cls, *args: Any, order: Any = None, **options: Any) -> Self:
        made: Self = super().__new__(ordered(cls, order))
        return made

    @one_frame
    def __init__(
        self,
        budget: float | str | None = None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        probe: Probe,
        footprint: Callable[[Any], Footprint | None] = unseen,
        give_back: Callable[[], object] = nothing,
        **options: Unpack[_WithThoseOfTheOrder],
    ) -> None:
        checks.hook("footprint", footprint)
        checks.hook("give_back", give_back)
        device = Device(_as_probe("probe", probe), footprint=footprint, give_back=give_back)
        self._occupy(lambda: device, budget, getsizeof, {**options})

    def _occupy(
        self,
        find_device: Callable[[], Device],
        budget: float | str | None,
        getsizeof: Callable[[V], float] | None,
        options: dict[str, Any],
    ) -> None:
        """Set the cache up on the device that is found once all options are known to be right."""
        own = {name: options.pop(name) for name in MemorySetup._fields if name in options}
        setup = MemorySetup.of(**own)
        learn = checks.optional(checks.path, "learn", options.pop("learn", None))
        checks.optional(checks.share, "budget", budget)
        checks.optional(checks.function, "getsizeof", getsizeof)
        shared = {name: options[name] for name in CacheOptions.__optional_keys__ & {*options}}
        Setup.of(options.get("timer", time.monotonic), **shared)
        if getsizeof is not None:
            options["getsizeof"] = getsizeof
        options = of_the_policy(type(self), options)
        device = find_device()
        total = device.probe.sample().total
        self.__memory = setup = setup.on(total)
        self.__device, self.__arbiter = device, arbiter_of(device.probe)
        self.__watcher = Watcher(device.probe, setup, self.__arbiter)
        self.__budget = share("budget", setup.high if budget is None else budget, total)
        if setup.floor > self.__budget:
            floor, budget = format_weight(setup.floor), format_weight(self.__budget)
            raise ValueError(f"floor= is {floor}, which is more than the budget, {budget}")
        self.__learned = Learned(learn, circumstances(device.probe))
        self.__member: NodeMember | None = None
        if setup.node:
            self.__member = self.__arbiter.node_member(setup.node, setup.confirm)
        if "maxsize" in options:
            options["maxsize"] = self.__budget
        super().__init__(**options)
        self.__join()
        self.__meter.look(self._store)
        self._watch()

    __warm_options__ = tuple(MemoryOptions.__optional_keys__)
    _set_up_by = (Setup.of, MemorySetup.of)

    @classmethod
    def _policy_class(cls) -> type[Cache[Any, Any]]:
        return policy_of(cls)

    @property
    def maxsize(self) -> float:
        """The most bytes to hold, whatever the policy says."""
        return self.__budget

    def _new_reclaim(self) -> Callable[[], object]:
        return partial(_reclaim, self._setup.reclaim, self.__device.give_back)

    def __join(self) -> None:
        self.__arbiter.join(self)
        if self.__member is not None:
            self.__member.join(self._view)

    def begin_anew(self) -> None:
        super().begin_anew()
        self.__watcher.begin_anew()
        self.__join()

    def _new_meter(self) -> MemoryMeter:
        # Nothing that outlives the cache may hold it, or its end would go unnoticed.
        linger = partial(_look_soon, weakref.ref(self))
        known = self.__device, self.__memory, self.__learned, linger
        tier = self.__memory.host
        parking: HostParking | None = None
        if tier is not None:
            onlookers, copying = Onlookers(self.__device.footprint), self.__arbiter.copying
            parking = HostParking(tier, self.__device.name(), copying, self._setup.timer, onlookers)
        return MemoryMeter(*known, self.__arbiter, self.__member, parking)

    def _new_host_ledger(self) -> HostLedger | None:
        tier = self.__memory.host
        return None if tier is None else HostLedger(budget_of(tier), tier.below)

    @property
    def __meter(self) -> MemoryMeter:
        return self._view.meter  # type: ignore[return-value]

    @property
    def device(self) -> str | None:
        """What torch calls the device, ``"cuda:0"`` or ``"cpu"``.

        None where that is not known: of another probe's device, and of a GPU that was
        given by its UUID until torch has initialised CUDA.
        """
        return self.__device.name()

    @property
    def probe(self) -> Probe:
        """What reads the device."""
        return self.__device.probe

    @property
    def budget(self) -> float:
        """The most bytes to hold; the same as ``maxsize``."""
        return self.__budget

    @property
    def node(self) -> Node | Any:  # who asks, knows that it said node=
        """How full the node is whose processes share the budget; None where none do."""
        return None if self.__member is None else self.__member.status()

    @property
    def headroom(self) -> float:
        """The bytes of the device that loads leave free."""
        return self.__memory.headroom  # type: ignore[no-any-return]

    def _weigh(self, value: V) -> float:
        return super()._weigh(value) if self._sized else 0  # it is weighed as it is put

    def _put(self, entry: Entry, *, replace: bool = True) -> Any:
        if not self._sized and entry.provenance.source.weigh is None:
            self.__meter.examine(self._store, entry)
        return super()._put(entry, replace=replace)

    def _device_report(self) -> DeviceReport:
        """Return what is warm here, for :func:`devices_table`."""
        with self._store.lock:
            entries, held = len(self._live), self._store.ledger.live
        return DeviceReport(type(self).__name__, self.probe.name, entries, held, self.budget)

    # -- making room ---------------------------------------------------------------

    @one_frame
    def relieve(self, nbytes: float | str) -> float:
        """Tear down idle entries until they make up ``nbytes``; return what they weighed.

        At least one goes, the one of lowest rank first. Leased entries stay. What the
        allocator has in reserve is given back, too.

        Raises:
            ValueError: ``nbytes`` is no size.
            Exception: what ``reclaim`` or ``give_back`` raised, once all else is done.
        """
        wanted = parse_size(nbytes)
        freed = run(remove.make_up(self._view, wanted, RemovalCause.PRESSURE), self._view)
        failure = flush(self._view)
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # or this frame, which its traceback has, would keep it
        return freed

    def _lacked(self, error: Exception, tries: int) -> float | None:
        """Return what to make up before the next of some ``tries``; None: there is no next."""
        wanted = lacked(error, self.probe)
        if wanted is None or (tries and wanted < math.inf):
            return wanted
        with self._store.lock:
            error.add_note(self._store.ledger.in_words())
        return None

    def expire_now(self) -> float | None:
        """Look at the device and at what has ended; return the seconds to the next look."""
        self._expire()
        store = self._store
        if store.lingering or store.zombies:
            self.__meter.look(store)
        watching = self.__watcher.poll and not store.closed
        if watching:
            self.__watcher.look(self._view)
        waits = [seconds for seconds in (self._seconds_left(),) if seconds is not None]
        if watching:
            waits.append(self.__watcher.next_look())
        if store.lingering:
            waits.append(_LINGER)
        if self.__member is not None and not store.closed:
            self.__member.look()
            waits.append(_PUBLISH)
        return min(waits, default=None)

    def _watch(self) -> None:
        if self.__watcher.poll and not self._store.closed:
            janitor.watch(self, self.__watcher.next_look())
        if self.__member is not None and not self._store.closed:
            janitor.watch(self, _PUBLISH)
        super()._watch()


class GPUMemoryCache(MemoryCache[K, V]):
    """A :class:`MemoryCache` of what lies in one GPU's memory.

    Args:
        budget: the most memory to hold, see :class:`MemoryCache`.
        getsizeof: returns the bytes of a value.
        device: the GPU: its index as torch counts it, or its UUID.
        probe: what reads it, instead of a :class:`~warmcache.probes.TorchProbe`.
        options: those of :class:`MemoryCache`.

    Raises:
        ProbeUnavailable: there is no such GPU, or no driver; it says what to do.
    """

    @one_frame
    def __init__(
        self,
        budget: float | str | None = None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        device: DeviceName = 0,
        probe: Probe | None = None,
        **options: Unpack[_WithThoseOfTheOrder],
    ) -> None:
        cuda_numbering.parse(device)
        checks.optional(_as_probe, "probe", probe)
        self._occupy(partial(gpu, device, probe), budget, getsizeof, {**options})


class HostMemoryCache(MemoryCache[K, V]):
    """A :class:`MemoryCache` of what lies in the machine's own memory.

    The limits of containers (cgroups) count as the machine's.

    Args:
        budget: the most memory to hold, see :class:`MemoryCache`.
        getsizeof: returns the bytes of a value.
        probe: what reads it, instead of a :class:`~warmcache.probes.HostProbe`.
        options: those of :class:`MemoryCache`.
    """

    @one_frame
    def __init__(
        self,
        budget: float | str | None = None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        probe: Probe | None = None,
        **options: Unpack[_WithThoseOfTheOrder],
    ) -> None:
        checks.optional(_as_probe, "probe", probe)
        self._occupy(partial(host, probe), budget, getsizeof, {**options})


class AutoMemoryCache(MemoryCache[K, V]):
    """A :class:`GPUMemoryCache` where there is a GPU, else a :class:`HostMemoryCache`.

    That there is no GPU, and why, is logged once a process.

    Args:
        budget: the most memory to hold, see :class:`MemoryCache`.
        getsizeof: returns the bytes of a value.
        device: the GPU, if there is one.
        options: those of :class:`MemoryCache`.
    """

    @one_frame
    def __init__(
        self,
        budget: float | str | None = None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        device: DeviceName = 0,
        **options: Unpack[_WithThoseOfTheOrder],
    ) -> None:
        cuda_numbering.parse(device)
        self._occupy(partial(gpu_or_host, device), budget, getsizeof, {**options})


def _memory_caches() -> list[MemoryCache[Any, Any]]:
    return [cache for cache in list(MADE.values()) if isinstance(cache, MemoryCache)]


def devices_table() -> str:
    """Return a table of this machine's GPUs and memory, as ``warmcache devices`` prints it.

    It has, too, what each memory cache of this process holds.
    """
    return report.devices_table([cache._device_report() for cache in _memory_caches()])


def _as_probe(option: str, probe: Any) -> Probe:
    if isinstance(probe, type) or not isinstance(probe, Probe):
        must_be = "a probe, with a name, sample() and allocated()"
        raise checks.type_error(option, must_be, probe, "warmcache.probes has some")
    return probe


def _reclaim(own: Callable[[], object] | None, give_back: Callable[[], object]) -> None:
    try:
        if own is not None:
            own()
    finally:
        give_back()


def _look_soon(reference: weakref.ref[MemoryCache[Any, Any]], store: Store) -> None:
    cache = reference()
    if cache is not None:
        janitor.watch(cache, _LINGER)
    else:
        free_what_came_back(store, at_once=True)
