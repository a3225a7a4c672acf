"""The meter of a memory cache: what loads take, and whether memory came back."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Request
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN, Basis, Flight
from warmcache._core.state.growth import Growth
from warmcache._core.state.ledger import Claim, Elsewhere
from warmcache._core.state.remains import Remains, weakly
from warmcache._core.state.sharing import charge_anew, share_of
from warmcache._core.state.store import Store
from warmcache._core.state.use_times import use_times
from warmcache._log import log
from warmcache._sizes import format_weight, parse_size
from warmcache._texts import text_of

from . import out_of_memory
from .address_ranges import Ref
from .arbiter import Arbiter, dying_in, figures
from .blocks import size_of
from .device import Device
from .footprint import Footprint, blocks_of
from .host_parking import HostParking
from .learned_sizes import Learned
from .node_member import PATIENCE, NodeMember
from .setup import MemorySetup
from .shared_bytes import Share

_DISAGREE = 0.20  # of a weight, between two ways to know it, is worth a warning
_NOISE = 16 * 2**20  # bytes below which no two ways agree
_IMPORT = 2**19  # bytes that a module takes at most, on average: torch has 0.2 MiB each
_LOOKS = 3  # at a device whose figures change meanwhile
_GROWN = ("allocator", "device")  # ways to weigh that see more than the value,
_SEEN = ("footprint", "mapped")  # and that see what is found in it


class MemoryMeter:
    """Weighs values on one device and watches their memory come back.

    ``learned`` is what earlier loads took; ``linger`` has the device looked at again soon;
    ``arbiter`` knows the other caches of this process on the same device, and ``member``, where
    processes share a budget, what all of these may have; ``host`` is where values are parked.
    """

    def __init__(
        self,
        device: Device,
        setup: MemorySetup,
        learned: Learned,
        linger: Callable[[Store], None],
        arbiter: Arbiter,
        member: NodeMember | None,
        host: HostParking | None,
    ) -> None:
        self.probe, self.footprint, self.exact = device.probe, device.footprint, device.exact
        self.headroom, self.low, self.patience = setup.headroom, setup.low, setup.confirm
        self.learned = learned
        self.give_back = device.give_back
        self.linger, self.arbiter, self.member = linger, arbiter, member
        self.host = host
        self.floor, self.residency = setup.floor, setup.residency
        self.min_residency = setup.min_residency
        self._there = figures(())  # what others had of the device at the last look
        self._binding = False  # whether the device is what limits, not the budget
        self._warned: set[str] = set()  # loaders, by name
        self._seen_in_part: set[str] = set()  # those whose values hold more than is seen

    # -- the device ----------------------------------------------------------------

    def look(self, store: Store) -> None:
        others = self.beside(store)
        for each in (store, *[view.store for view in others]):
            if each.lingering or each.zombies:
                free_what_came_back(each)
        use_times.note()
        promises = self.arbiter.promises
        there, sample = figures(others), self.probe.sample()
        for _ in range(_LOOKS - 1):
            if not others or there == (now := figures(others)):
                break
            there, sample = now, self.probe.sample()
        self._there = there
        available, total = sample.available, sample.total
        ledger, free = store.ledger, math.inf
        if available is not None:
            free = available - self.headroom - there.promised
        if self.member is not None and free < ledger.limit - ledger.committed:
            # What other processes of the node have there, is theirs to grant: they are asked next.
            free += self.member.others_have()
        with store.lock:
            ledger.attainable = math.inf if total is None else total - self.headroom
            ledger.available = free
            dying = dying_in(store)
            # What can be had by claims elsewhere, now or once the dying are gone; the rest wait.
            owed = sum(each for each in there.owed if each <= free + dying + there.dying)
            ledger.elsewhere = Elsewhere(
                spoken_for=max(owed - dying - there.dying, 0),
                coming=max(there.dying - owed, 0),
                idle=there.idle,
                committed=there.committed,
                promises=promises,
            )
            self._binding = ledger.free < ledger.limit - ledger.committed

    # -- the node ------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        return self.member is not None

    def agree(self, cache: CacheView, flight: Flight, wait: float) -> str | None:
        refused = None if self.member is None else self.member.agree(cache, flight, wait)
        return None if refused is None else str(refused)

    def true_up(self) -> float:
        return 0 if self.member is None else self.member.true_up(PATIENCE)

    def give_back_to_node(self) -> None:
        if self.member is not None:
            self.member.give_back()

    def landed(self, flight: Flight) -> None:
        if self.member is not None:
            self.member.landed(flight)

    # -- other caches --------------------------------------------------------------

    def is_outdated(self, store: Store) -> bool:
        return self._there != figures(self.beside(store))

    def beside(self, store: Store) -> list[CacheView]:
        return self.arbiter.beside(store)

    def may_grant(self, store: Store) -> bool:
        return self.arbiter.promise(store.ledger.elsewhere.promises)

    def promise(self) -> None:
        self.arbiter.promise()

    def _used(self) -> int | None:
        """Return the bytes that are gone; what our allocator has in reserve is not."""
        sample = self.probe.sample()
        if sample.total is None or sample.available is None:
            return None
        return sample.total - sample.available

    # -- before a load -------------------------------------------------------------

    def claim(self, store: Store, request: Request) -> Claim:
        if request.weight is not None:
            return Claim(request.key, request.weight)
        weight, basis = self._expected(store, request)
        claim = Claim(request.key, weight)
        claim.rest_on(basis)
        return claim

    def _expected(self, store: Store, request: Request) -> tuple[float, Basis]:
        """Return what a load is taken to need, and why. It is never more than can be had."""
        most = store.ledger.most
        weight = self.learned.weight(request.key, most)
        if weight is None and request.hint is not None:
            weight = min(request.hint, most)
        if weight is not None:
            return weight, Basis.EXPECTED
        with store.lock:
            residents = [entry for entry in store.live.values() if entry.weight]
        alike = [each for each in residents if each.provenance.source is request.source]
        weights = [entry.weight for entry in alike or residents]
        # What is guessed is in whole bytes: sums of fractions leave a rest.
        if weights:
            mean = math.ceil(sum(weights) / len(weights))
            return min(mean, most), Basis.ALIKE if alike else Basis.OTHERS
        return math.ceil((1 - self.low) * most), Basis.UNKNOWN

    def begin(self, store: Store, flight: Flight) -> Growth:
        allocated, used = self.probe.allocated(), self._used()
        outer = CHAIN.get()
        with store.lock:
            leaving = frozenset(entry for dying in store.dying.values() for entry in dying)
            flight.growth = growth = Growth(allocated, used, leaving)
            store.measures = True
        # It is told first, and looks second: of two that begin at once, one sees the other.
        for each in self.arbiter.views():
            for other in each.store.flights.copy().values():
                if other.growth is not None and other is not flight and other not in outer:
                    growth.disturbed = other.growth.disturbed = True
        return growth

    # -- after a load --------------------------------------------------------------

    def weigh(
        self, store: Store, request: Request, flight: Flight, entry: Entry, growth: Growth
    ) -> float:
        footprint = self.footprint(entry.value)
        said = request.weight is not None or request.sized
        seen = None if said else self._own(store, entry, footprint)
        ways = self._ways(request, entry, growth, footprint, seen, store.ledger.limit)
        name: str | None
        name, weight = next(iter(ways.items()), (None, 0.0))
        unseen = growth.disturbed or (growth.allocated is None and growth.used is None)
        if unseen and (name is None or self._in_part(request, name)):
            name, weight = "guess", max(weight, self._guess(store, request, flight, footprint))
        # What a device grew by may be another's: it must not bar the key for good.
        elif name is not None and (name != "device" or weight <= store.ledger.limit):
            self.learned.note(request.key, weight, entry.provenance.seconds)
        entry.provenance.weighed_by = name
        self._compare(request, ways)
        self._tell_outer(flight, weight)
        return weight

    def _tell_outer(self, flight: Flight, weight: float) -> None:
        """Have the loads that ``flight`` is part of know that ``weight`` of what grew is its."""
        beside = self.arbiter.views() if len(CHAIN.get()) > 1 else []
        for outer in CHAIN.get():
            here = any(each.store.flights.get(outer.key) is outer for each in beside)
            if here and isinstance(outer, Flight) and outer is not flight and outer.growth:
                outer.growth.inside += weight

    def came_back(self, store: Store, flight: Flight, entry: Entry) -> None:
        if entry.parked is not None and entry.parked.shared:
            self._own(store, entry, self.footprint(entry.value))
        self._tell_outer(flight, entry.weight)

    def _own(self, store: Store, entry: Entry, footprint: Footprint | None) -> float:
        """Return what is seen of a value and charged to nobody else; have that be its share."""
        if footprint is None:
            return 0
        shared, blocks = self.arbiter.shared_bytes, blocks_of(footprint)
        with store.lock:
            before = store.entry_with(entry.key, entry.value)  # the same object, handed in again
        besides: Any = None if before is None else share_of(before)
        own = footprint.nbytes - shared.held(blocks, besides)
        if blocks:
            entry.share = Share(store, blocks, own)
        return own

    def examine(self, store: Store, entry: Entry) -> None:
        """Weigh a value that is handed in by what is seen of it, and is nobody else's."""
        entry.weight = self._own(store, entry, self.footprint(entry.value))

    def charge(self, entry: Entry, weight: float) -> float:
        share: Any = share_of(entry)
        return weight if share is None else self.arbiter.shared_bytes.join(share, weight)

    def give_up(self, entry: Entry) -> list[Share]:
        share: Any = share_of(entry)
        blocks = () if share is None else share.blocks
        changed = self._leave(entry)
        self.arbiter.shared_bytes.give_back(blocks)
        return changed

    def _leave(self, entry: Entry) -> list[Share]:
        share: Any = share_of(entry)
        return [] if share is None else self.arbiter.shared_bytes.leave(share)

    def _in_part(self, request: Request, name: str) -> bool:
        """Whether a value was weighed by what is seen of it, of a loader whose values hold more."""
        return name in _SEEN and request.source.name in self._seen_in_part

    def _guess(
        self, store: Store, request: Request, flight: Flight, footprint: Footprint | None
    ) -> float:
        """Return what to charge for a value that nothing could weigh: unknown is not 0."""
        expected, basis = self._expected(store, request)
        if basis is Basis.EXPECTED:
            return expected
        if footprint is not None:
            # It was looked into, and what was not seen is as with its like, or nothing.
            in_part = basis is Basis.ALIKE and request.source.name in self._seen_in_part
            return expected if in_part else 0
        with store.lock:  # a guess leaves no debt that idle entries could not pay
            ledger = store.ledger
            most = flight.weight + max(ledger.limit - ledger.committed, 0) + ledger.idle
        return min(expected, most)

    def _ways(
        self,
        request: Request,
        entry: Entry,
        growth: Growth,
        footprint: Footprint | None,
        own: float | None,
        limit: float,
    ) -> dict[str, float]:
        """Return what each way to weigh a value says that says anything, the most trusted first.

        Its ``own`` is what is seen of it and nobody else's; None where its size is said. That goes
        before growth, which may be another's, unless it is seen in part: growth goes beyond it by
        more than the noise.
        """
        said = request.weight
        if said is None and request.sized:
            said = parse_size(request.weigh(entry.value))
        found, mapped = footprint.nbytes if footprint else 0, footprint.mapped if footprint else 0
        seen = found if own is None else own
        way = "mapped" if mapped else "footprint"
        ways: dict[str, float | None] = {"size": said, way: seen if found or mapped else None}
        growth.inside += mapped  # which is in physical memory as far as it was read
        grown = self._growth(growth)
        if said is None and (found or mapped or not self.exact) and _beyond(_first(grown), seen):
            # Garbage and free memory that the allocator keeps are not the value's.
            gc.collect()
            self.give_back()
            grown = self._growth(growth)
        if not self.exact and _first(grown) > limit:  # more is not the value's alone
            if said is None:
                self._leave_out(request, _first(grown))
            grown = {}
        if (found or mapped) and said is None and _beyond(_first(grown), seen):
            self._seen_in_part.add(request.source.name)
            ways = {**grown, **ways}
        else:
            ways = {**ways, **grown}
        return {name: size for name, size in ways.items() if size is not None}

    def _growth(self, growth: Growth) -> dict[str, float]:
        """Return what grew while a value was loaded, as far as that is known, and by how much.

        Of the machine only the memory of this process is asked for, and modules that were
        imported meanwhile are none of the value's: the first load often imports what it needs.
        """
        if growth.disturbed:
            return {}
        inside = growth.inside
        if not self.exact:
            inside += _IMPORT * max(0, len(sys.modules) - growth.modules)
        ways = {"allocator": _grown(growth.allocated, self.probe.allocated(), inside)}
        if self.exact:
            ways["device"] = _grown(growth.used, self._used(), inside)
        return {name: size for name, size in ways.items() if size is not None}

    def _compare(self, request: Request, ways: dict[str, float]) -> None:
        """Warn, once a loader, when the way that was used and the next one disagree."""
        names = list(ways)[:2]
        if len(names) < 2 or request.source.name in self._warned:
            return
        (used, weight), (other, figure) = ((name, ways[name]) for name in names)
        if other in _GROWN and not self.exact:  # it is more, or less, for many reasons
            return
        if _beyond(max(weight, figure), min(weight, figure)):
            self._warned.add(request.source.name)
            log().warning(
                "%s weighs %s by its %s, which is used, but %s by its %s",
                *(text_of(request.key), format_weight(weight), used, format_weight(figure), other),
            )

    def _leave_out(self, request: Request, grown: float) -> None:
        """Warn, once a loader, that growth is not believed."""
        if request.source.name not in self._warned:
            self._warned.add(request.source.name)
            log().warning(
                "while %r was loaded this process grew by %s, more than the whole budget: that "
                "is not counted. If it is the value's, say size= and raise the budget",
                *(request.key, format_weight(grown)),
            )

    def lacked(self, error: BaseException) -> float | None:
        return out_of_memory.lacked(error, self.probe)

    # -- after a teardown ----------------------------------------------------------

    def remains(self, entry: Entry) -> Remains:
        footprint: Footprint | None = None
        try:
            footprint = self.footprint(entry.value)
        except Exception:
            log().exception("what %s holds cannot be seen", text_of(entry.key))
        charge_anew(self._leave(entry))
        parts: Sequence[tuple[Ref, int]] = () if footprint is None else footprint.parts
        blocks = blocks_of(footprint)
        if blocks:
            parts = self.arbiter.shared_bytes.unheld(blocks)
        # What others have, or the system drops by itself, nobody waits for.
        kept = size_of(blocks) - sum([nbytes for _, nbytes in parts]) if blocks else 0
        nothing = footprint is not None and (kept or footprint.mapped) and kept == footprint.nbytes
        remains = Remains(
            entry.key,
            entry.weight,
            parts=parts,
            faces=footprint.faces if footprint is not None else (),
            whole=None if nothing else weakly(entry.value),
            used=self._used,
            patience=self.patience,
            ask=self.exact
            and not nothing
            and (self._binding or footprint is None or entry.provenance.weighed_by in _GROWN),
        )
        remains.blocks, remains.shared = blocks, bool(kept)
        return remains


def _first(ways: dict[str, float]) -> float:
    return next(iter(ways.values()), 0.0)


def _beyond(more: float, less: float) -> bool:
    """Whether one figure is beyond another by more than two ways to weigh may differ."""
    return more - less > max(_DISAGREE * more, _NOISE)


def _grown(before: int | None, after: int | None, inside: float) -> float | None:
    """Return by how much a figure has grown, but for what loads ``inside`` have added.

    None where it is unknown, or has not grown.
    """
    if before is None or after is None or after - before <= inside:
        return None
    return after - before - inside
