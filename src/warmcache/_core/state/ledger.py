"""The sums of a cache: what is committed of its limit, and what may still be promised.

Plain arithmetic, and the lock is the store's. An entry's weight moves between the sums as the
entry goes through its life, and each move has a method here. (Eight that every call or every
insertion makes are spelt out, for their cost: in the store ``lease``, ``end_lease`` of what stays
live, ``publish``, ``condemn`` and ``gone``; in ``at_once.py`` beside it ``reserve_at_once``,
``vanish_at_once`` and ``condemn_at_once``.) ::

    reserve ──▶ (reserved) ─ publish ──▶ live ─ condemn ─▶ dying ─ gone, free_dying ──▶ (free)
                    │                    │  ▲              ▲   ▲
                    └───── turn_away ────┼──┼──────────────┘   │ last_lease_ended
                                         │  └── revive ──── retired
                                         └─ condemn, leased ──▲

Whatever is in one of them is ``committed``, and stays so until its memory can be had again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from threading import get_ident

from warmcache._sizes import MIB, format_number, format_weight

from .entry import State
from .flights import Basis, Flight
from .one_shot import OneShot

_SAID = Basis.SAID


class Claim:
    """A wish for room; ``owed`` is what victims condemned for it are making.

    Where nothing is known of what is loaded it is content with less than its ``weight``, but
    not with less than ``least``. With ``present``, it is for a value that exists: the device
    need not have its memory a second time.
    """

    thread: int  # that which victims are owed to, as soon as any are,
    flight: Flight | None  # and the load, if it is one

    __slots__ = (
        *("basis", "carried", "evicted", "flight", "key", "least", "owed", "present", "thread"),
        "weight",
    )

    # Without defaults: to fill these in, CPython would call it by a way that takes twice as long.
    def __init__(self, key: Hashable, weight: float) -> None:
        self.key = key
        self.weight = self.least = weight
        self.basis = _SAID
        self.present = False
        self.carried = 0  # uses that the entry it replaces leaves to its successor
        self.owed: float = 0
        self.evicted: float = 0  # what went for it so far

    def rest_on(self, basis: Basis) -> None:
        """Have its weight be no more than a guess, if it is one."""
        self.basis = basis
        if basis.blind:
            self.least = self.weight / 4


class Elsewhere:
    """What other caches have of the same device, as of the last look at it.

    What they have promised to loads is not ``available`` here any more.
    """

    __slots__ = ("coming", "committed", "idle", "promises", "spoken_for")

    def __init__(
        self,
        spoken_for: float = 0,
        coming: float = 0,
        idle: float = 0,
        committed: float = 0,
        promises: int = 0,
    ) -> None:
        self.spoken_for = spoken_for  # of what is available, for claims of their own
        self.coming = coming  # what is torn down there, less what is owed to claims there
        self.idle = idle  # what might be torn down there, at most
        self.committed = committed  # all that is theirs
        self.promises = promises  # how many were made on the device by then


NOTHING_ELSEWHERE = Elsewhere()


class Ledger:
    """What is committed, in five sums; what claims are granted from.

    ``committed`` is the weight of everything that is alive or has a promise of room: live
    entries, reserved loads, entries retired under a lease, entries being torn down, and
    zombies: values that were torn down and that somebody still holds. Nothing starts to
    load unless it fits beside that, and, where a device is asked, into what that has
    ``available`` beside what was ``reserved`` already.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        # What the sums may be off by when weights are fractions: less than any whole number.
        self.slack = min(limit * 1e-12, 0.5) if limit < math.inf else 0
        self.committed: float = 0
        self.live: float = 0
        self.idle: float = 0  # the part of it that no lease holds
        self.retired: float = 0
        self.dying: float = 0
        self.zombies: float = 0
        self.available: float = math.inf
        self.attainable: float = math.inf  # what the device has, beside its headroom
        self.elsewhere = NOTHING_ELSEWHERE
        self.claims: set[Claim] = set()  # for which condemned entries are making room
        self.waiting: dict[OneShot, None] = {}

    @property
    def reserved(self) -> float:
        """What loads under way, and values about to be stored, were promised."""
        return self.committed - self.live - self.retired - self.dying - self.zombies

    @property
    def owed(self) -> float:
        """The room that condemned entries are making for claims."""
        return sum(claim.owed for claim in self.claims)

    @property
    def free(self) -> float:
        """What may be promised. Nobody knows how much of a reservation is in use already."""
        free = self.limit - self.committed
        if self.available == math.inf:
            return free
        return min(free, self.available - self.reserved - self.elsewhere.spoken_for)

    @property
    def most(self) -> float:
        """What may ever be promised to a single load."""
        return min(self.limit, self.attainable)

    def free_for(self, claim: Claim) -> float:
        """What may be promised to ``claim``. One that is owed room itself waits for no other."""
        if claim.present:
            return self.limit - self.committed
        return (
            self.free
            if not claim.owed
            else min(self.limit - self.committed, self.available - self.reserved)
        )

    def most_for(self, claim: Claim) -> float:
        """What may ever be promised to ``claim``."""
        return self.limit if claim.present else self.most

    # -- promises ------------------------------------------------------------------

    def reserve(self, claim: Claim, flight: Flight | None = None) -> None:
        """Grant ``claim``: its weight is committed from now on."""
        self.committed += claim.weight
        if flight is not None:
            flight.weight += claim.weight
            flight.basis = claim.basis
        self.drop(claim)

    def grant(self, claim: Claim, flight: Flight | None = None) -> bool:
        """Grant ``claim`` if its room is there now, and no device is to be asked."""
        weight = claim.weight
        over = self.committed + weight - self.limit
        if over > 0 and over > self.slack:
            return False
        self.committed += weight
        if flight is not None:
            flight.weight += weight
        if claim.owed:  # drop(), without a call
            claim.owed = 0
            self.claims.discard(claim)
            if self.waiting:
                self.wake()
        return True

    def owe(self, claim: Claim, weight: float, flight: Flight | None = None) -> None:
        """Note that victims were condemned for ``claim``, unless some were already."""
        if weight and not claim.owed:
            claim.owed, claim.thread, claim.flight = weight, get_ident(), flight
            self.claims.add(claim)

    def drop(self, claim: Claim) -> None:
        """Note that nothing is owed to ``claim`` any more, whatever became of it."""
        if claim.owed:
            claim.owed = 0
            self.claims.discard(claim)
            if self.waiting:
                self.wake()

    def unreserve(self, weight: float) -> None:
        """Take back ``weight`` of what was granted."""
        self.committed -= weight
        self.wake()

    def recharge(self, flight: Flight, weight: float) -> None:
        """Charge a load with what it turned out to weigh, whatever was reserved for it."""
        self.committed += weight - flight.weight
        flight.weight = weight
        flight.basis = Basis.SAID
        self.wake()

    # -- the life of an entry ------------------------------------------------------

    def revive(self, weight: float) -> None:
        """Note that what was retired under its leases is live again."""
        self.retired -= weight
        self.live += weight

    def turn_away(self, weight: float) -> None:
        """Note that what was reserved begins to die, unpublished."""
        self.dying += weight

    def last_lease_ended(self, weight: float) -> None:
        """Note that what was retired begins to die."""
        self.retired -= weight
        self.dying += weight

    def free_dying(self, weight: float) -> None:
        """Note that what was dying is gone."""
        self.dying -= weight
        self.committed -= weight
        if self.waiting:
            self.wake()

    def detach(self, weight: float, *, leased: bool) -> None:
        """Note that a live entry is somebody else's from now on."""
        self.live -= weight
        if not leased:
            self.idle -= weight
        self.committed -= weight
        self.wake()

    def reweigh(self, change: float, *, reserved: float, live: bool) -> None:
        """Have a leased entry weigh more, or less, using up what was ``reserved`` for it."""
        self.committed += change - reserved
        if live:
            self.live += change
        else:
            self.retired += change
        self.wake()

    def recharge_entry(self, change: float, state: State, *, idle: bool) -> None:
        """Have an entry weigh more, or less, for others had some of its bytes, too."""
        self.committed += change
        if state is State.LIVE:
            self.live += change
            if idle:
                self.idle += change
        elif state is State.RETIRED:
            self.retired += change
        else:
            self.dying += change
        self.wake()

    def charge_zombie(self, change: float) -> None:
        """Charge for what is still alive of a value that was torn down."""
        self.zombies += change
        self.committed += change
        if change < 0:
            self.wake()

    # -- after an interrupt ----------------------------------------------------------

    def recount(
        self,
        *,
        idle: float,
        leased: float,
        retired: float,
        dying: float,
        reserved: float,
        zombies: float,
    ) -> None:
        """Take over the sums as they were counted anew."""
        self.live, self.idle = idle + leased, idle
        self.retired, self.dying, self.zombies = retired, dying, zombies
        self.committed = self.live + retired + dying + zombies + reserved
        for claim in list(self.claims):
            if claim.thread == get_ident():  # it wishes for nothing, or will say so again
                claim.owed = 0
                self.claims.discard(claim)
        self.wake()

    # -- waiting -------------------------------------------------------------------

    def change(self) -> OneShot:
        """Return what happens at the next change of the ledger."""
        change = OneShot()
        self.waiting[change] = None
        return change

    def forget(self, change: OneShot) -> None:
        """Note that nobody waits for ``change`` any more."""
        self.waiting.pop(change, None)

    def wake(self) -> None:
        """Tell everybody who waits that the ledger has changed."""
        while self.waiting:
            change = next(iter(self.waiting))
            change.happen()
            self.waiting.pop(change, None)

    def forget_who_waits(self) -> None:
        """Wake nobody any more: in a forked child, they are threads of the parent."""
        self.waiting = {}

    def in_words(self) -> str:
        """Return the sums as a text."""
        size = format_weight if self.limit >= MIB else format_number
        sums = {
            "live": self.live,
            "reserved by loads": self.reserved,
            "retired under a lease": self.retired,
            "being torn down": self.dying,
            "torn down but still held": self.zombies,
        }
        text = ", ".join(f"{size(weight)} {what}" for what, weight in sums.items() if weight)
        text = f"warmcache: of {size(self.limit)}: {text or 'nothing committed'}"
        return text if self.available == math.inf else f"{text}; {size(self.available)} available"
