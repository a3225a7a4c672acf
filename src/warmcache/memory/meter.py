"""The meter of a memory cache: what loads take, and whether memory came back."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.plans.steps import Request
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.growth import Growth
from warmcache._core.state.ledger import Claim
from warmcache._core.state.remains import Remains, weakly
from warmcache._core.state.store import Store
from warmcache._sizes import format_weight, parse_size
from warmcache._texts import text_of

from . import out_of_memory
from .device import Device
from .footprint import Footprint
from .learned_sizes import Learned
from .setup import MemorySetup

_DISAGREE = 0.20  # of a weight, between two ways to know it, is worth a warning
_NOISE = 16 * 2**20  # bytes below which no two ways agree

log = logging.getLogger("warmcache")


class MemoryMeter:
    """Weighs values on one device and watches their memory come back.

    ``learned`` is what earlier loads took; ``linger`` has the device looked at again soon.
    """

    def __init__(
        self,
        device: Device,
        setup: MemorySetup,
        learned: Learned,
        linger: Callable[[Store], None],
    ) -> None:
        self.probe, self.footprint, self.exact = device.probe, device.footprint, device.exact
        self.headroom, self.low, self.patience = setup.headroom, setup.low, setup.confirm
        self.learned = learned
        self.linger = linger
        self._binding = False  # whether the device is what limits, not the budget
        self._warned: set[str] = set()

    # -- the device ----------------------------------------------------------------

    def look(self, store: Store) -> None:
        if store.lingering or store.zombies:
            free_what_came_back(store)
        sample = self.probe.sample()
        available, total = sample.available, sample.total
        ledger = store.ledger
        with store.lock:
            ledger.available = math.inf if available is None else available - self.headroom
            ledger.attainable = math.inf if total is None else total - self.headroom
            self._binding = ledger.free < ledger.limit - ledger.committed

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
        weight = self.learned.weight(request.key)
        if weight is None and request.hint is not None:
            weight = min(request.hint, store.ledger.most)
        if weight is None:
            with store.lock:
                resident = [entry.weight for entry in store.live.values() if entry.weight]
            weight = math.ceil(sum(resident) / len(resident)) if resident else None
        if weight is None:
            return Claim(request.key, self._unknown(store), alone=True)
        return Claim(request.key, weight)

    def _unknown(self, store: Store) -> float:
        """Return what a load of which nothing is known is taken to need.

        In whole bytes, as all that is guessed: sums of fractions leave a rest.
        """
        return math.ceil((1 - self.low) * store.ledger.most)

    def begin(self, store: Store, flight: Flight) -> Growth:
        allocated, used = self.probe.allocated(), self._used()
        outer = CHAIN.get()
        with store.lock:
            leaving = frozenset(entry for dying in store.dying.values() for entry in dying)
            flight.growth = growth = Growth(allocated, used, leaving)
            for other in store.flights.values():
                if other.growth is not None and other is not flight and other not in outer:
                    growth.disturbed = other.growth.disturbed = True
        return growth

    # -- after a load --------------------------------------------------------------

    def weigh(
        self, store: Store, request: Request, flight: Flight, entry: Entry, growth: Growth
    ) -> float:
        footprint = self.footprint(entry.value)
        ways = self._ways(request, entry, growth, footprint, store.ledger.limit)
        name: str | None
        unseen = growth.allocated is None and growth.used is None
        if not ways and (growth.disturbed or unseen):
            name, weight = "guess", self._guess(store, request, flight, footprint)
        else:
            name, weight = next(iter(ways.items()), (None, 0.0))
            # What a device grew by may be another's: it must not bar the key for good.
            if name is not None and (name != "device" or weight <= store.ledger.limit):
                self.learned.note(request.key, weight, entry.provenance.seconds)
        entry.provenance.weighed_by = name
        self._compare(request, ways)
        for outer in CHAIN.get():
            if isinstance(outer, Flight) and outer is not flight and outer.growth is not None:
                outer.growth.inside += weight
        return weight

    def _guess(
        self, store: Store, request: Request, flight: Flight, footprint: Footprint | None
    ) -> float:
        """Return what to charge for a value that nothing could weigh: unknown is not 0."""
        expected = self.learned.weight(request.key)
        if expected is None:
            expected = request.hint
        if expected is not None:
            return min(expected, store.ledger.limit)
        if footprint is not None:  # it was looked into, and holds nothing
            return 0
        return self._unknown(store) if flight.elastic else flight.weight

    def _ways(
        self,
        request: Request,
        entry: Entry,
        growth: Growth,
        footprint: Footprint | None,
        limit: float,
    ) -> dict[str, float]:
        """Return what each way to weigh a value says that says anything, the most trusted first."""
        ways: dict[str, float | None] = {"size": request.weight}
        if request.weight is None and request.sized:
            ways["size"] = parse_size(request.weigh(entry.value))
        ways["footprint"] = (footprint is not None and footprint.nbytes) or None
        if not growth.disturbed:
            grown = _grown(growth.allocated, self.probe.allocated(), growth.inside)
            if self.exact:
                ways["allocator"] = grown
                ways["device"] = _grown(growth.used, self._used(), growth.inside)
            elif grown is not None and grown <= limit:  # more is not the value's alone
                ways["allocator"] = grown
        return {name: size for name, size in ways.items() if size is not None}

    def _compare(self, request: Request, ways: dict[str, float]) -> None:
        """Warn, once a loader, when the way that was used and the next one disagree."""
        names = [name for name in ways if self.exact or name in ("size", "footprint")][:2]
        if len(names) < 2 or request.source.name in self._warned:
            return
        (used, weight), (other, figure) = ((name, ways[name]) for name in names)
        if abs(weight - figure) > max(_DISAGREE * max(weight, figure), _NOISE):
            self._warned.add(request.source.name)
            log.warning(
                "%s weighs %s by its %s, which is used, but %s by its %s",
                *(text_of(request.key), format_weight(weight), used, format_weight(figure), other),
            )

    def lacked(self, error: BaseException) -> float | None:
        return out_of_memory.lacked(error, self.probe)

    # -- after a teardown ----------------------------------------------------------

    def remains(self, entry: Entry) -> Remains:
        footprint: Footprint | None = None
        try:
            footprint = self.footprint(entry.value)
        except Exception:
            log.exception("what %s holds cannot be seen", text_of(entry.key))
        return Remains(
            entry.key,
            entry.weight,
            parts=footprint.parts if footprint is not None else (),
            faces=footprint.faces if footprint is not None else (),
            whole=weakly(entry.value),
            used=self._used,
            patience=self.patience,
            ask=self.exact and (self._binding or footprint is None),
        )


def _grown(before: int | None, after: int | None, inside: float) -> float | None:
    """Return by how much a figure has grown, but for what loads ``inside`` have added.

    None where it is unknown, or has not grown.
    """
    if before is None or after is None or after - before <= inside:
        return None
    return after - before - inside
