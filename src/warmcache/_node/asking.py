"""The two sides of a wish for room: who asks, in which order, and what is given of what was asked.

Both are of one process, and are touched inside the gate alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .record import Account, Pledge, Quote, Wait
from .refusal import Refusal, Share
from .verdict import PATIENCE, Picture

_NS = 1e9
_MOST_PLEDGES = 32  # that a record has room for
_HOPE = 2.0  # seconds that others' loads may take to land
_PINGS = 0.2  # seconds between two pings for one pledge


class Request:
    """One caller's wish for room; ``since`` is its place in the line, once it waits.

    ``urged`` is when others were pinged last to say what they have idle.
    """

    __slots__ = ("hopeful", "nbytes", "since", "urged")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.since = self.urged = 0
        self.hopeful = False


@dataclass(slots=True)
class _Pledged:
    """A pledge as its asker follows it: what the owner had answered when it last moved."""

    pledge: Pledge
    of: Request
    answered: int
    refused: int
    moved: int
    pinged: int = 0


@dataclass(slots=True)
class Look:
    """What a look says to one who wants room: it has it, or who is to be pinged meanwhile.

    ``own`` bytes of the process itself are to be given by the caller; ``at_latest`` seconds from
    now a dead one's bytes are back.
    """

    request: Request
    picture: Picture
    granted: bool = False
    never: bool = False
    ping: Sequence[int] = ()
    own: int = 0
    giving: Given | None = None
    in_vain: Sequence[str] = ()

    @property
    def at_latest(self) -> float:
        """Seconds until a dead one's bytes are taken to be back."""
        ends = [each.ended for each in self.picture.estates]
        return max(0.001, (min(ends) - self.picture.now) / _NS) if ends else math.inf

    def refusal(self) -> Refusal:
        """Return why there was no room."""
        picture, nbytes = self.picture, self.request.nbytes
        shares = [
            Share(str(each), each.pid, each.committed, sum(quote.nbytes for quote in each.quotes))
            for each in picture.all
            if each.committed and each.readable
        ]
        for each in picture.others:
            if not each.readable:
                text = "a process whose record cannot be read (of another version?)"
                shares.append(Share(text, 0, picture.budget, 0))
        shares.sort(key=lambda share: -share.committed)
        asked = () if self.never else tuple(self.in_vain)
        return Refusal(
            nbytes, picture.budget, tuple(shares), picture.estate, asked, self._waited_for()
        )

    def _waited_for(self) -> str:
        if self.never:
            return "more than all of them may have together; raise budget= in each"
        estate = self.picture.estate
        if estate and self.request.nbytes <= self.picture.free + estate:
            return "what the dead have had was not back in time; pass a longer wait="
        older = [each for wait, each in self.picture.waiting if wait.since < self.request.since]
        line = f"{len(older)} came before; " if older else ""
        return (
            f"{line}release a lease in one of them, raise budget= in each, or pass a longer wait="
        )


class Asking:
    """What a process waits for, and whom it has asked for it."""

    def __init__(self, me: Account, giving: Giving) -> None:
        self.requests: list[Request] = []
        self._me = me
        self._giving = giving
        self._pledged: list[_Pledged] = []
        self._passed: dict[int, tuple[object, ...]] = {}  # what their records said then
        self._silent: dict[int, int] = {}  # who did not say what is idle: when it had looked last

    def look(
        self,
        request: Request,
        own: tuple[Quote, ...],
        picture: Picture,
        shown: Callable[[], float | None],
        waits: bool = True,
    ) -> Look:
        """Say whether ``request`` is granted; else have it wait, and what it lacks be pledged.

        Whose record does not say of all that it has whether that is idle is heard before, or
        what is dearer would go. Not where nobody ``waits`` for the answer.
        """
        self._review(picture, own)
        nbytes, since = request.nbytes, request.since or picture.now
        if nbytes > picture.budget:
            self.withdraw(request)
            return Look(request, picture, never=True)
        if picture.estate and nbytes > picture.free:
            picture.shown = shown()
        left = picture.free + picture.coming - picture.ahead(since)
        if nbytes <= min(left, picture.free):
            self.withdraw(request)
            return Look(request, picture, granted=True)
        is_new = request not in self.requests
        if is_new:
            request.since = since
            self.requests.append(request)
        passed = self._still_passed(picture, own)
        new: list[Pledge] = []
        to_hear = picture.not_all_said() if nbytes > left else []
        awaits = waits and self._awaits(to_hear, since, picture.now)
        if awaits:
            request.hopeful = True  # it has not asked all that it can
        elif nbytes > left:
            offers = picture.offers(own, passed)
            reached = left + sum(quote.nbytes for quote, _ in offers) + picture.in_flight
            young = picture.now - since < _HOPE * _NS
            request.hopeful = young and nbytes <= reached
            new = picture.pledges_for(nbytes - left, offers)
            if len(new) + len(self._pledged) > _MOST_PLEDGES:
                new = []
        owners = {each.number: each for each in picture.all}
        for pledge in new:
            owner = owners[pledge.owner]
            state = owner.answered, owner.refused, picture.now
            self._pledged.append(_Pledged(pledge, request, *state))
        self._say()
        ping = self._to_ping(picture.now)
        if to_hear and not new and picture.now - request.urged > _PINGS * _NS:
            request.urged = picture.now
            ping += [each.number for each in to_hear]
        if is_new:
            ping.append(self._me.number)  # whose listener looks now and then from now on
        mine = sum(pledge.end - pledge.start for pledge in new if pledge.owner == self._me.number)
        asked = {*passed, *(each.pledge.owner for each in self._pledged)} - {self._me.number}
        in_vain = [str(owners[number]) for number in asked if number in owners]
        return Look(request, picture, ping=ping, own=mine, in_vain=sorted(in_vain))

    def withdraw(self, request: Request, picture: Picture | None = None) -> None:
        """Forget a request, and whom it has asked: it was granted, or gives up."""
        if request in self.requests:
            self.requests.remove(request)
            self._pledged = [each for each in self._pledged if each.of is not request]
            self._say()

    def _say(self) -> None:
        self._me.waits = tuple(
            Wait(each.nbytes, each.since, each.hopeful) for each in self.requests
        )
        self._me.pledges = tuple(each.pledge for each in self._pledged)

    def _to_ping(self, now: int) -> list[int]:
        due = []
        for each in self._pledged:
            if each.pledge.owner != self._me.number and now - each.pinged > _PINGS * _NS:
                each.pinged = now
                due.append(each.pledge.owner)
        return due

    def _awaits(self, owners: Sequence[Account], since: int, now: int) -> bool:
        """Whether some of the ``owners`` are still to say what is idle to who came at ``since``.

        One that has not for a second is waited for no more, until it has looked again.
        """
        due = [each for each in owners if each.said <= since]
        if now - since > PATIENCE * _NS:
            self._silent |= {each.number: each.looked for each in due}
        return any(self._silent.get(each.number) != each.looked for each in due)

    def _review(self, picture: Picture, own: tuple[Quote, ...]) -> None:
        """Forget pledges that are answered, and pass over who has refused or says nothing."""
        owners = {each.number: each for each in picture.all}
        kept = []
        for each in self._pledged:
            owner = owners.get(each.pledge.owner)
            if owner is None or not owner.readable:
                continue
            if owner.refused != each.refused:
                each.refused = owner.refused
                self._passed[owner.number] = self._state(owner, own)
            if not each.pledge.outstanding(owner.answered):
                continue
            if owner.answered != each.answered or (owner is self._me and self._giving.under_way):
                each.answered, each.moved = owner.answered, picture.now
            elif picture.now - each.moved > PATIENCE * _NS:
                self._passed[owner.number] = (*self._state(owner, own), owner.looked)
                continue
            kept.append(each)
        self._pledged = kept
        self._say()

    def _state(self, owner: Account, own: tuple[Quote, ...]) -> tuple[object, ...]:
        """Return what has to change for an owner to be asked again. Prices change by themselves."""
        quotes = own if owner is self._me else owner.quotes
        return owner.given, *(quote.nbytes for quote in quotes)

    def _still_passed(self, picture: Picture, own: tuple[Quote, ...]) -> set[int]:
        found: dict[int, tuple[object, ...]] = {}
        for each in picture.all:
            said, state = self._passed.get(each.number), self._state(each, own)
            if said is not None and said in (state, (*state, each.looked)):
                found[each.number] = said
        self._passed = found
        return {*self._passed}


@dataclass(slots=True, eq=False)
class Given:
    """Bytes that are on their way, and until when nothing more is given for them.

    It is begun in the look that finds it out, or another thread would give the same again.
    """

    nbytes: int
    until: float = math.inf


class Giving:
    """What a process gives of what it was asked for.

    What is torn down need not be back at once, and is still asked for as long. So what is on its
    way counts as given for a second, and who is asked twice gives once.
    """

    def __init__(self) -> None:
        self._given: list[Given] = []

    @property
    def under_way(self) -> bool:
        """Whether values are being torn down just now."""
        return any(each.until == math.inf for each in self._given)

    def begin(self, nbytes: int) -> Given:
        """Note that so many bytes are about to go."""
        given = Given(nbytes)
        self._given.append(given)
        return given

    def end(self, given: Given, lacking: float) -> int:
        """Note that ``lacking`` of them are not; return how many of them are refused by that."""
        refused = min(given.nbytes, max(0, int(lacking)))
        given.nbytes -= refused
        given.until = time.monotonic() + PATIENCE
        self._forget()
        return refused

    def came(self, nbytes: int) -> None:
        """Note that so many bytes are back."""
        for each in self._given:
            part = min(nbytes, each.nbytes)
            each.nbytes -= part
            nbytes -= part

    def _forget(self) -> None:
        now = time.monotonic()
        self._given = [
            each
            for each in self._given
            if each.until == math.inf or (each.nbytes and each.until > now)
        ]

    def what_is_asked(self, picture: Picture) -> Given | None:
        """Begin to give what others have asked and is not on its way; None if there is nothing."""
        self._forget()
        asked = picture.asked_of_me() - sum(each.nbytes for each in self._given)
        return self.begin(asked) if asked > 0 else None
