"""The leash: how much a policy may pay, so that it never pays much more than LRU.

A rank that is good on most traces is bad on some: two loops in turn have the one above pay ten
times what LRU pays. So a shadow follows what LRU would hold now in the same room, keys only, and

    paid   is the load seconds paid so far,
    lru    those that LRU would have paid,
    debt   those of what the shadow holds and we do not.

*The rule.* What the shadow holds too may go only while ``paid + debt`` and its own seconds are at
most ``(1 + WIDTH) * lru``. What is surplus, for the shadow has dropped it already, may always go.

*The invariant*, after each step:  ``paid + debt <= (1 + WIDTH) * lru``.

*The proof.* It holds of nothing. Each step that there is keeps it:

1. A load that LRU would have made too adds its seconds to ``paid`` and to ``lru``.
2. A load of what the shadow holds moves its seconds from ``debt`` to ``paid``.
3. A use of surplus, which LRU would have had to load, adds to ``lru`` alone.
4. What the shadow drops leaves the debt if we lack it, and becomes surplus if we do not.
5. What surplus goes changes nothing: it is none of the debt.
6. What the shadow holds goes by the rule, which is the invariant.
7. What is removed by others than the policy the shadow forgets as well: nothing is owed.

So at every moment of every trace ``paid <= (1 + WIDTH) * lru``, whatever the rank is worth.

*There is always a way on.* Room is wanted for what is loaded next. If nothing idle is surplus, the
shadow holds all that we hold, and so weighs as much; it cannot hold what is loaded, for then all of
it would fit. So LRU has to make room as well, by dropping from its end until what it drops is
something that we hold and that is idle. We have it do that first (:meth:`Leash.drop_next`), and
there is surplus. Leases do not change that, for LRU cannot drop what is leased either; nor does
room that is taken otherwise (by loads under way, by what is dying or retired, by other users of a
device): then the shadow is what LRU would hold in what is left. So the rule needs an exception only
twice, and both are counted in ``forced``: what an eviction under pressure takes is chosen among
those resident for some time; and where what LRU drops next does not show in a thousand looks, one
goes that was the least recently used of the last ones.

*How exact.* All of this is proven where each use is told at once, and seconds do not vary from load
to load. In a cache a hit only stamps its entry, and is noticed when somebody looks: on each miss at
those that may go and at some others in turn. A use of surplus noticed late is counted late, and
once; and a shadow that lags drops late, and so holds what LRU would and more (see shadow.py). Both
credit LRU with less than it would have paid, never with more: what is proven of our sums holds of
the true ones, and the leash is shorter.

Where seconds vary from load to load nothing is proven, for the next load takes what it takes. What
is owed is the most that is expected of it; what LRU is credited with is the likeliest.

*Start.* The leash is a share of what LRU would have paid. A cache that has loaded little yet evicts
as LRU does.

Tried and rejected: a leash of .03, which pays as much on recorded traces, and more where seconds
vary. There, with the plain mean of a key's loads: up to 1.18 times LRU's seconds with a leash of
.03, 1.11 with one of .01, 1.10 with .005, and no better when LRU is credited with .9 of them. With
means drawn by the slope from one load to the next: 1.09, for it takes long to learn. A head start
of one dear load, so that a new cache weighs seconds at once: 1.26 where there are few dear things
among many cheap ones.

That online algorithms can be combined so is known since Fiat, Karp, Luby, McGeoch, Sleator and
Young, "Competitive paging algorithms" (1991), and Blum and Burch, "On-line learning and the
metrical task system problem" (2000). They switch from one to the other, and bound what a switch
costs; the debt is that cost, exactly.
"""

from __future__ import annotations

from .known_keys import KnownKey, KnownKeys
from .shadow import Shadow

WIDTH = 0.01  # what may be paid beyond LRU's seconds, as a share of them


class Leash:
    """The sums, and the shadow that they are of. Told of each step in the life of a record."""

    def __init__(self, known: KnownKeys, limit: float, width: float = WIDTH) -> None:
        self.shadow = Shadow(known, limit)
        self.share = 1 + width
        self.paid = self.lru = self.debt = 0.0
        self.forced = 0  # evictions that the rule forbade
        self._known = known

    def slack(self) -> float:
        """Return the seconds of what the shadow holds that may leave."""
        if not self._known.have_room_for_debt():
            return -1.0
        return self.share * self.lru - self.paid - self.debt

    @property
    def lacking(self) -> list[KnownKey]:
        """What the shadow holds and we do not."""
        return list(self._known.lacking.values())

    def loaded(self, record: KnownKey, seconds: float) -> None:
        """Note that ``record`` had to be loaded, in ``seconds``."""
        self.paid += seconds
        if not record.held:
            self.lru += seconds

    def redeem(self, record: KnownKey) -> None:
        """Take what arrives, or is dropped, off the debt."""
        if not record.owed:
            return
        self.debt = self.debt - record.owed if self._known.lacking else 0.0  # without rounding
        record.owed = 0.0

    def used_surplus(self, seconds: float) -> None:
        """Note a use of what LRU would have had to load."""
        self.lru += seconds

    def owes(self, record: KnownKey, seconds: float) -> None:
        """Note that ``record`` is evicted, which the shadow holds."""
        if seconds > self.slack():
            self.forced += 1
        record.owed = seconds
        self.debt += seconds

    def drop_next(self) -> KnownKey | None:
        """Drop what LRU would drop next and return it; None if there is nothing, or none shows."""
        record = self.shadow.next()
        if record is not None:
            self.drop(record)
        return record

    def drop(self, record: KnownKey) -> None:
        """Have the shadow no longer hold ``record``."""
        self.shadow.drop(record)
        if record.stamps is None:
            self._known.drop(record)
            self.redeem(record)

    def begin_anew(self) -> None:
        """Have the shadow hold nothing, and nothing be owed."""
        self.shadow = Shadow(self._known, self.shadow.limit)
        self.debt = 0.0
        self.paid = min(self.paid, self.share * self.lru)
