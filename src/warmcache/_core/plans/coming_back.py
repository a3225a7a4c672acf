"""The way back from the host, as a part of a load: instead of its loader, and as it lands.

What is parked comes back into the room that was made for the load, and is published as the entry
that it was. What keeps it from that leaves it parked, unless somebody has removed it meanwhile.

What makes a cache that parks imports this, and ``_core/drivers/parking.py``: no lock is held.
"""

from __future__ import annotations

from warmcache._core.state.entry import Entry, State
from warmcache._core.state.flights import Flight
from warmcache._core.state.landing import turned_away
from warmcache._core.state.parking import come_live
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache._log import debugging, log
from warmcache._texts import short_text_of
from warmcache.errors import ClosedError

from .cache_view import CacheView
from .meter import Host
from .refuse import forbidden
from .steps import Aside, Ask, Owner, Plan, Request, TearDown


def brought_back(store: Store, host: Host, request: Request, flight: Flight) -> Plan[bool]:
    """Have the value back, if it is parked; whether it was.

    Raises:
        WarmMissError: it is not, and may not be loaded.
    """
    with store.lock:
        parked = [each for each in store.below(request.key) if each.state is State.PARKED]
        flight.returned = entry = parked[0] if parked else None
    if entry is None:
        if not request.may_load:
            flight.forbidden = True
            raise forbidden(request.key)
        return False
    try:
        seconds = yield Aside(lambda: host.copy_back(entry), to_its_end=True)
    except Exception:
        with store.lock:
            assert store.host is not None
            store.host.failures["unpark"] += 1
        raise
    with store.lock:
        assert store.host is not None
        if seconds is not None:
            store.host.came_back(entry, seconds)
        flight.loaded = entry
    return True


def land_again(cache: CacheView, flight: Flight, entry: Entry, owner: Owner | None) -> Plan[None]:
    """Charge what came back for its bytes, and make it visible, as what was loaded.

    What has ended meanwhile is torn down instead, and who waits for it looks again.
    """
    store, meter, parked = cache.store, cache.meter, entry.parked
    assert meter is not None
    assert parked is not None
    yield Ask(lambda: meter.came_back(store, flight, entry))
    ended: RemovalCause | None = None
    while ended is None:
        with store.lock:
            store.check_open()
            if owner is not None:
                owner.check_open()
            if parked.condemned is RemovalCause.CLOSED:  # by an owner that its key does not tell
                raise ClosedError("whom it belongs to has ended")
            ended = _why_ended(store, entry)
            if ended is not None:
                doomed = turned_away(store, entry, flight, ended)
            elif not (doomed := store.displace(entry.key)):
                entry.weight = meter.charge(entry, entry.weight)
                store.ledger.recharge(flight, entry.weight)
                come_live(store, entry, flight)
                break
        yield TearDown(doomed)
    if debugging() and ended is None:
        log().debug("unparked %s", short_text_of(entry.key))


def _why_ended(store: Store, entry: Entry) -> RemovalCause | None:
    """Return why what came back is of no use any more; None: it is."""
    if entry.expires is not None and not store.timer() < entry.expires:
        return RemovalCause.EXPIRED
    return RemovalCause.INVALID if entry.provenance.is_orphan else None
