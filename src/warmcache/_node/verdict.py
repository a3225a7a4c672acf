"""What one exact look at a node's ledger says: who may have room now, and who is to make some.

Pure: all that is decided here is decided by numbers that were read under the gate. The rules:

- **Room** is the least budget of the living, without what they have committed and without the
  estates of the dead; these end with time, or where the device shows what they have left: then
  what it shows, without what is in flight to it, is room as well.
- **Coming** is what is outstanding of all pledges, and the estates. Nobody else may count on it.
- **First come, first served**: of room and what is coming, each older waiter that it suffices for
  has its part. What is left is for whoever asks. An older one for whom it does not suffice, though
  it has asked all it could, can use nothing of it: so smaller ones pass. But not for two seconds
  where it would suffice with what others are loading just now, which is about to be idle: who wants
  nearly all would else find somebody loading for ever. Longer would be in the way of a load that
  asks for another. One that has not looked for a second, though who waits looks four times in it,
  is stopped, and is passed as well.
- **Price**: what is still lacking is asked for where it is cheapest, one's own being no dearer than
  others'. If all that is idle would not do, nothing is: no entry goes in vain. What others have
  been asked for already, and what lies below an owner's floor, is not there to be asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .record import MOST, QUOTES, Account, Pledge, Quote, Wait

PATIENCE = 1.0  # seconds, after which who does nothing is passed over
_PATIENCE_NS = int(PATIENCE * 1e9)


@dataclass
class Picture:
    """What all have at one moment, read under the gate; ``me`` is the one who looks."""

    me: Account
    others: Sequence[Account]
    estates: Sequence[Account]
    now: int
    shown: float | None = None  # what the device has left; asked for only where somebody has died

    @cached_property
    def budget(self) -> int:
        """The least budget of the living, which counts."""
        return min(self.me.budget, *(each.budget for each in self.others if each.readable), MOST)

    @cached_property
    def estate(self) -> int:
        """The bytes of the dead that are not known to be back."""
        return min(self.budget, sum(each.committed for each in self.estates))

    @property
    def living(self) -> int:
        """The bytes that the living have committed; a record that cannot be read has all."""
        if any(not each.readable for each in self.others):
            return self.budget
        return self.me.committed + sum(each.committed for each in self.others)

    @property
    def committed(self) -> int:
        """The bytes that count, of the living and the dead."""
        return self.living + self.estate

    @property
    def in_flight(self) -> int:
        """The bytes that were granted to loads which have not ended."""
        return sum(each.in_flight for each in self.all)

    @property
    def all(self) -> Iterator[Account]:
        """Those who live."""
        yield self.me
        yield from self.others

    @property
    def waiting(self) -> list[tuple[Wait, Account]]:
        """Who waits, the first come first."""
        found = [(wait, each) for each in self.all for wait in each.waits]
        return sorted(found, key=lambda it: (it[0].since, it[1].number))

    def outstanding(self, owner: Account) -> int:
        """Return the bytes that ``owner`` was asked for and that are still to come."""
        return sum(
            pledge.outstanding(owner.answered)
            for each in self.all
            for pledge in each.pledges
            if pledge.owner == owner.number
        )

    @property
    def free(self) -> int:
        """The bytes that are room now."""
        without = max(0, self.budget - self.living)
        free = max(0, without - self.estate)
        if self.shown is None or not self.estate:
            return free
        return max(free, int(min(without, max(0, self.shown - self.in_flight))))

    @property
    def coming(self) -> int:
        """The bytes that are on their way to become room."""
        estate = max(0, self.budget - self.living) - self.free
        return estate + sum(self.outstanding(each) for each in self.all)

    def ahead(self, since: int) -> int:
        """Return how much of room and what is coming is for those who came before ``since``."""
        left = whole = self.free + self.coming
        for wait, each in self.waiting:
            awake = each is self.me or self.now - each.looked <= _PATIENCE_NS
            before = (wait.since, each.number) < (since, self.me.number)
            if awake and before and wait.nbytes <= left:
                left -= wait.nbytes
            elif awake and before and wait.hopeful:
                left = 0
        return whole - left

    def not_all_said(self) -> list[Account]:
        """Return who may have more idle than its record says."""
        return [
            each
            for each in self.others
            if each.readable
            and each.committed > each.floor + sum(quote.nbytes for quote in each.quotes)
        ]

    def offers(self, own: Sequence[Quote], but: Collection[int]) -> list[tuple[Quote, Account]]:
        """Return what could be asked for, the cheapest first, and of whom; of nobody in ``but``.

        Of oneself, ``own`` is what is idle: one's floor is no obstacle to oneself.
        """
        found: list[tuple[Quote, Account]] = []
        for each in self.all:
            if each.number in but or not each.readable:
                continue
            spoken = self.outstanding(each)
            quotes, least = (own, 0) if each is self.me else (each.quotes, each.floor)
            left = each.committed - least - spoken
            for nbytes, price in sorted(quotes, key=lambda quote: quote.price):
                skipped = min(spoken, nbytes)
                spoken -= skipped
                part = min(nbytes - skipped, left)
                if part > 0:
                    left -= part
                    found.append((Quote(part, price), each))
        return sorted(found, key=lambda offer: (offer[0].price, offer[1] is not self.me))

    def pledges_for(self, lacking: int, offers: list[tuple[Quote, Account]]) -> list[Pledge]:
        """Return who is to be asked for how much, so that ``lacking`` bytes come; or nothing."""
        if sum(quote.nbytes for quote, _ in offers) < lacking:
            return []
        parts: dict[int, int] = {}
        owners: dict[int, Account] = {}
        for quote, owner in offers:
            part = min(quote.nbytes, lacking)
            if part > 0:
                parts[owner.number] = parts.get(owner.number, 0) + part
                owners[owner.number] = owner
                lacking -= part
        return [self._pledge(owners[number], part) for number, part in parts.items()]

    def _pledge(self, owner: Account, nbytes: int) -> Pledge:
        start = max(
            owner.answered,
            *(
                pledge.end
                for each in self.all
                for pledge in each.pledges
                if pledge.owner == owner.number
            ),
            0,
        )
        return Pledge(owner.number, start, start + nbytes)

    def asked_of_me(self) -> int:
        """Return the bytes that others wait for and I was asked for: no more than they lack."""
        lacking = sum(wait.nbytes for wait, _ in self.waiting) - self.free
        others = self.me.committed - self.me.floor
        return max(0, min(self.outstanding(self.me), lacking, others))


def quoted(idle: Sequence[Quote], committed: int, floor: int) -> tuple[Quote, ...]:
    """Return what others are told of idle bytes: the cheapest first, and nothing below the floor.

    The last quote stands for all that are left, at their mean price, so that others see whether
    all together would do.
    """
    left, found = committed - floor, []
    for quote in sorted(idle, key=lambda each: each.price):
        if quote.nbytes <= left:
            left -= quote.nbytes
            found.append(quote)
    head, tail = found[: QUOTES - 1], found[QUOTES - 1 :]
    if tail:
        total = sum(quote.nbytes for quote in tail)
        price = sum(quote.nbytes * quote.price for quote in tail) / total
        head.append(Quote(total, price))
    return tuple(head)
