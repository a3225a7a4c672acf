"""How the values of one cache are parked in host memory and come back: by whom, when not, in turn.

Copies of one device are made one after the other, whichever cache they are for, under a lock of
its own that nothing else is done under. It is held while what a loader's author said as ``park=``
runs, which therefore must not ask a cache for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from warmcache._core.drivers import parking  # noqa: F401  # where no lock is held
from warmcache._core.plans import coming_back  # noqa: F401
from warmcache._core.state.entry import Entry, seconds_between
from warmcache._core.state.remains import Remains
from warmcache._parking.choice import parker_for
from warmcache._parking.parking import CannotPark, Parked
from warmcache._parking.slabs import Slabs
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._texts import text_of
from warmcache.probes.host import HostProbe

from .device import share
from .onlookers import Onlookers

if TYPE_CHECKING:
    from warmcache.probes.probe import Sample
    from warmcache.tiers.host_tier import HostTier

_KEPT_FREE = 2**30  # bytes of the machine, or a twentieth of a small one


def budget_of(tier: HostTier) -> float:
    """Return the bytes that a tier may take of this machine."""
    return share("host", tier.budget, HostProbe().sample().total, "the machine's memory")


def spare(sample: Sample) -> float | None:
    """Return the bytes that may be parked in a machine that is so; None: it does not say."""
    if sample.available is None:
        return None
    kept_free = _KEPT_FREE if sample.total is None else min(_KEPT_FREE, sample.total / 20)
    return sample.available - kept_free


class HostParking:
    """Parks and unparks the values of one cache.

    Args:
        tier: what was said of it.
        device: what torch calls where they are, if that is known.
        copying: the lock of that device.
        timer: the cache's.
        onlookers: they know what else that is warm has a part of some bytes.

    Raises:
        ValueError: memory would be locked for a GPU, and there is none.
    """

    def __init__(
        self,
        tier: HostTier,
        device: str | None,
        copying: ForkSafeLock,
        timer: Callable[[], Any],
        onlookers: Onlookers,
    ) -> None:
        if tier.page_locked is True and device == "cpu":
            raise ValueError(
                "page_locked=True of host= is for copies to and from a GPU, and this cache is of "
                "the machine's memory; leave it at 'auto'"
            )
        self._copying = copying
        self._onlookers = onlookers
        self._timer = timer
        self._probe = HostProbe()
        self._slabs = Slabs(tier.page_locked, limit=budget_of(tier), retain=tier.retain)
        self._told: set[tuple[str, str]] = set()

    @property
    def held(self) -> float:
        """Bytes of the tier that no parked value has, and that cannot be used again yet."""
        return self._slabs.looked_into

    def is_short(self, entry: Entry) -> bool:
        """Whether the machine would have too little left; then what is kept is given back to it."""
        assert entry.parked is not None
        left, nbytes = spare(self._probe.sample()), entry.parked.nbytes
        if left is None or left >= nbytes:
            return False
        if entry.provenance.source.park is None and self._slabs.fits(nbytes):
            return False
        return left + self._slabs.unmap_kept() < nbytes

    def close(self) -> None:
        """Give the system back what is kept, and what is in use as soon as it is not."""
        self._slabs.close()

    def copy_out(self, entry: Entry, remains: Remains) -> Parked | None:
        """Copy the bytes of ``entry`` to the host, and have it do without those of the device.

        Those are what ``remains`` watches. None: somebody has removed it by now.

        Raises:
            CannotPark: something else that is warm has a part of them.
        """
        if remains.shared or self._onlookers.have_any_of(remains.blocks, entry):
            raise CannotPark("others that are warm have a part of its bytes")
        parker = parker_for(entry.provenance.source.park, self._slabs)
        with self._copying.lock:
            if not entry.parks:
                return None
            return parker.park(entry.value, entry.weight)

    def copy_back(self, entry: Entry) -> float | None:
        """Bring them back; return the seconds that took. None: others have done so.

        Raises:
            TypeError: what came back is another object.
        """
        parked = entry.parked
        assert parked is not None
        with self._copying.lock:
            if parked.back:
                return None
            began = self._timer()
            value = parked.handle.unpark()
            if value is entry.value:
                parked.back = True
                parked.handle.drop()
                return seconds_between(began, self._timer())
        raise TypeError(
            f"what unparks {text_of(entry.key)} has to return the very value that was parked, and "
            f"returned another {type(value).__qualname__}"
        )

    def is_news(self, what: str, entry: Entry) -> bool:
        """Whether it is the first of its kind, of that loader."""
        news = what, entry.provenance.source.name
        if news in self._told:
            return False
        self._told.add(news)
        return True
