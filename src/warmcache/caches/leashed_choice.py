"""Who goes: what saves the fewest load seconds for its room, as far as the leash allows.

Records in, a record out; the order of a cache is made of it in :mod:`.cost_order`. Each miss costs
O(log n), and a hit nothing: it only stamps. So somebody has to look, and does, with each miss, at

- the lowest of those that the shadow holds, and of the surplus: the one goes that is lowest now, or
  was at most some uses ago,
- some residents in turn, whoever they are, so that each is looked at sooner or later; at one only
  if nothing was used since the last load, for then there are no uses to count.

Who was used since has its uses counted then, and is *noticed*: it gets a new place, and if it was
surplus the shadow holds it again. Who was not used is ranked anew all the same. A ranking files by
log2 of the rank and adds what the slowest half-life has taken off since the start: as long as
nothing else decays, two records keep their order though both fall. What decays faster falls below
its place, and is found there in turn. So a place may be too high, by what decayed in a round.

With ``exact=True``, tell :meth:`LeashedChoice.used` of each use: then what the leash promises is
proven, not only measured.

Tried and rejected: a heap of the times at which ranks will have halved (on recorded traces it pays
what turns pay, and a load takes twice as long); ranks by three half-lives, or by one, which need no
turns (up to 1.4 % worse than scanning on one trace); scanning all (1 ms at 2,000 entries), or a
sample of 64 (three times as long as this, for one of the lowest twentieth); eight turns (a tenth of
a percent); four whatever was used (nothing, and a store takes a third longer at 100,000 entries); a
new place for whatever has fallen by less than three quarters (nothing); a note when that can be at
the earliest, so that nobody need be ranked before (it takes as long to note).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from .forecast import forecast
from .known_keys import KnownKey, KnownKeys, last_used
from .leash import WIDTH, Leash
from .ranking import Ranking
from .worth import Worth

_TURNS = 4  # residents looked at in turn, at a load after uses
_PASSED = 8  # that come up in turn at a load, with those that have left, at most
_FALLEN = 2.0  # by which a rank has to have fallen for a new place, in log2
_ROUNDS = 4  # looks for surplus that was not used of late
_LOOKS = 64  # at the shadow, until what LRU drops next shows


class LeashedChoice:
    """Told of what is loaded, used, released and removed; says who goes next."""

    def __init__(
        self,
        clock: Callable[[], float],
        limit: float = math.inf,
        *,
        width: float = WIDTH,
        exact: bool = False,
    ) -> None:
        self.known = KnownKeys()
        self.leash = Leash(self.known, limit, width)
        self.worth = Worth(clock)
        self._clock, self._last_load = clock, clock()
        self._exact = exact
        self._begin()

    def _begin(self) -> None:
        self._shared, self._surplus = (Ranking(self.worth, self.known.residents) for _ in range(2))
        self._turns: deque[KnownKey] = deque()
        self._looked = 0  # in this round
        self._serial = 0

    # -- the life of a record --------------------------------------------------------

    def arrived(self, key: Hashable, stamps: Any, size: float, seconds: float) -> None:
        """Note what was loaded in ``seconds``, 0 for unknown, or has replaced what was there."""
        record = self.known.arrive(key, stamps)
        record.size = size
        self.leash.redeem(record)
        if not record.replaced:
            self.leash.loaded(record, seconds or record.expected or self.worth.seconds.mean)
        self.worth.arrived(record, seconds)
        self._hold(record)
        self._take_place(record)
        self._look_in_turn()

    def used(self, stamps: Any) -> None:
        """Notice a use at once."""
        self.worth.show()
        self._notice(self.known.residents[stamps])

    def released(self, stamps: Any, size: float) -> None:
        """Note that what was leased may go again, and what it weighs by now."""
        record = self.known.residents[stamps]
        resized = size != record.size
        record.size = size
        self.worth.show()
        if record.held and (resized or not record.turn or self._exact):
            self._hold(record)
        if resized or not record.place:
            self._take_place(record)

    def victim(self) -> KnownKey | None:
        """Return who goes next; None if nobody is idle. It has to be :meth:`evicted` then."""
        self.worth.show()
        lowest = self._idle_surplus()
        conceded: KnownKey | None = None
        looks, by_the_rule = 0, True
        while lowest is None:
            dropped = self._concede()
            if dropped is not None:
                if dropped.stamps is not None and dropped.place:
                    conceded = lowest = dropped
            elif met := self.leash.shadow.met:
                looks += 1
                if looks >= _LOOKS and (idle := [each for each in met if each.place]):
                    lowest, by_the_rule = min(idle, key=last_used), False
            else:
                return None
        slack = self.leash.slack()
        if slack > 0:
            shared = self._lowest(self._shared, slack)
            if shared is not None and not (by_the_rule and self.worth.is_lower(lowest, shared)):
                lowest = shared
        if conceded is not None and conceded is not lowest:
            self._file(conceded)
        return lowest

    def _idle_surplus(self) -> KnownKey | None:
        for _ in range(_ROUNDS):
            if self._surplus.is_empty():
                break
            lowest = self._lowest(self._surplus, math.inf)
            if lowest is not None:
                return lowest
        return None

    def _lowest(self, ranking: Ranking, slack: float) -> KnownKey | None:
        lowest, used = ranking.lowest(slack)
        for record in used:
            self._notice(record)
        return lowest

    def evicted(self, record: KnownKey) -> None:
        """Note that the policy gave up ``record``."""
        self.worth.fold(record)
        if record.held:
            self.leash.owes(record, record.at_most)
        self.known.leave(record)

    def pressed_out(self, record: KnownKey) -> None:
        """Note that ``record`` went for others need the memory; LRU would have lost as much."""
        shadow = self.leash.shadow
        enough = shadow.size - record.size
        while shadow.size > enough and self._drop_next() is not None:
            pass
        self.evicted(record)

    def removed(self, record: KnownKey, *, replaced: bool = False) -> None:
        """Note that ``record`` left by no policy's choice: the shadow loses it as well."""
        self.worth.fold(record)
        if record.held:
            self.leash.drop(record)
        self.known.leave(record)
        record.replaced = replaced

    def called_off(self, key: Hashable, stamps: Any, size: float) -> None:
        """Note that what was :meth:`evicted` never left."""
        self.worth.show()
        record = self.known.arrive(key, stamps)
        self.leash.redeem(record)
        record.size = size
        if not record.left:  # it was forgotten meanwhile
            record.since = stamps.loaded
            self._hold(record)
        self.worth.fold(record)
        self._take_place(record)

    # -- the whole -------------------------------------------------------------------

    def limited(self, limit: float) -> None:
        """Note what residents may weigh together."""
        self.leash.shadow.limit = limit
        self._drop_excess()

    def forget(self) -> None:
        """Forget the keys that have left; nothing is owed for them."""
        self.known.forget()
        residents = list(self.known.residents.values())
        self.begin_anew([(record.key, record.stamps, record.size) for record in residents])

    def begin_anew(self, live: Iterable[tuple[Hashable, Any, float]]) -> None:
        """Begin anew with what is live and was known, and what is live and idle."""
        known, before = self.known, dict(self.known.residents)
        ghosts = [*known.gone.values(), *known.lacking.values(), *before.values()]
        for ghost in ghosts:
            ghost.held, ghost.owed, ghost.turn = False, 0.0, 0
        known.gone.update(known.lacking)
        known.lacking.clear()
        self.leash.begin_anew()
        known.residents.clear()
        for key, stamps, size in live:
            record = before.get(stamps)
            if record is None and stamps.leases:
                continue  # it arrives at its release
            if record is None or known.gone.get(key) not in (None, record):
                record = known.arrive(key, stamps)
                record.folded, record.since = 0.0, stamps.loaded
            known.gone.pop(key, None)
            known.residents[stamps] = record
            record.stamps, record.size = stamps, size
            self.leash.shadow.hold(record)
        self.look()

    def look(self) -> None:
        """Look at all residents at once, and rank all that are idle."""
        for record in self.worth.fold_all(self.known.residents.values()):
            self._credit(record)
        self._rank_all()

    def forecast(self) -> list[KnownKey]:
        """Return the residents in the order in which they would go, the leased by rank between."""
        self.look()
        return forecast(self.known.residents.values(), self.worth, self.leash)

    # -- looking ---------------------------------------------------------------------

    def _rank_all(self) -> None:
        for (
            record
        ) in self._turns:  # a ghost among them, too, or it would have no turn once it is back
            record.in_turn = False
        self._begin()
        for record in self.known.residents.values():
            record.place = 0
            self._take_place(record)

    def _take_place(self, record: KnownKey, found: float | None = None) -> None:
        """Give ``record`` its place, by its rank of now, unless it is leased.

        Its rank may have been ``found`` already; it is another if its price is.
        """
        worth, price = self.worth, record.price
        if not record.in_turn:
            record.in_turn = True
            self._turns.append(record)
        worth.expect(record)
        if record.stamps.leases:
            record.place = 0
            return
        if found is None or price != record.price:
            found = worth.place(record)
        record.filed = found
        self._file(record)

    def _file(self, record: KnownKey) -> None:
        self._serial += 1
        (self._shared if record.held else self._surplus).file(record, self._serial)

    def _notice(self, record: KnownKey) -> None:
        """Count the uses of ``record``, and give it a new place."""
        if self.worth.fold(record):
            self._credit(record)
        self._take_place(record)

    def _credit(self, record: KnownKey) -> None:
        """Note uses of ``record``; those of surplus LRU would have had to load."""
        if not record.held:
            self.leash.used_surplus(record.expected)
            record.place = 0
            self._hold(record)
        elif self._exact:
            self._hold(record)

    def _hold(self, record: KnownKey) -> None:
        """Have the shadow hold ``record``, and drop what LRU would drop for it."""
        if self.leash.shadow.hold(record):
            self._drop_excess()

    def _drop_excess(self) -> None:
        while self.leash.shadow.excess() and self._drop_next() is not None:
            pass

    def _drop_next(self) -> KnownKey | None:
        dropped = self._concede()
        if dropped is not None and dropped.place:
            self._file(dropped)  # among the surplus
        return dropped

    def _concede(self) -> KnownKey | None:
        """Return what LRU drops next; if it is resident it is surplus, and not filed yet."""
        dropped = self.leash.drop_next()
        # Those were hits for LRU too.
        if dropped is not None and dropped.stamps is not None and self.worth.fold(dropped):
            dropped.filed = self.worth.place(dropped)
        return dropped

    def _look_in_turn(self) -> None:
        turns, worth, clock = self._turns, self.worth, self._clock
        tick = clock()
        nothing_used = tick <= self._last_load + 1  # no tick in the process but that of this load
        self._last_load = tick
        looks = 1 if nothing_used else _TURNS
        for _ in range(min(_PASSED, len(turns))):
            record = turns.popleft()
            stamps = record.stamps
            if stamps is None:
                record.in_turn = False
                continue
            turns.append(record)
            self._looked += 1
            if stamps.hits.number + stamps.base_uses > record.folded:
                self._notice(record)
            elif record.place and (now := worth.place(record)) < record.filed - _FALLEN:
                self._take_place(record, now)
            looks -= 1
            if not looks:
                break
        if self._looked >= len(self.known.residents):
            self._looked = 0
            worth.round_ended()
