"""The ledger of a node: processes that know nothing of each other share one budget of a device.

There is no daemon and no state to repair. Each process has a record that it alone writes
(``record.py``), which counts while its lock is held (``files.py``); all look and write
inside one gate (``gate.py``, and the way in, ``membership.py``); what a look means is
decided by numbers alone (``verdict.py``). Who asks whom, and gives what, is in
``asking.py``. This file has the conversation: waiting, giving, and what both do without.

Invariants:

1. ``committed`` rises only inside the gate, and only as far as the least budget of the living
   allows, beside what all have committed. What cannot be read is never taken for nothing.
2. Who waits has nothing but a line in its own record, and is forgotten with it.
3. The gate is held for some file calls and a probe. Nothing is asked for, awaited, or torn down
   inside; ``quotes`` and ``reclaim`` run outside, with no lock of ours.
4. News is counted before looking, so what comes after a look ends the wait that follows it. A ping
   that is lost costs one ``POLL``, for who waits looks by itself, and pings again.

The cases of :meth:`NodeLedger.grow`, in each look: it is granted; or it takes its place in the
line, and what is lacking is *pledged* by whoever has it cheapest, in its own record, so that the
next one to look counts on other bytes. One's own bytes are reclaimed by the calling thread, others'
by their listeners. An owner answers by giving, or by refusing what it has not; one that does
neither for a second is passed over until its record says something new.

What was tried, and is done otherwise now:

- One line in the record for all threads of a process: two of them overwrote each other's wish, and
  the second had the first one's place. So a record has a line for each.
- A datagram that says how much: of two at the same time only the larger was heeded, and one whose
  asker had been granted meanwhile was given for nevertheless. Now it says "look", and the owner
  adds up what is pledged and still lacks.
- Asking the cheapest owners anew in each look: who was in the midst of giving had fewer quotes
  already and as much committed still, so others were asked as well. Hence pledges.
- A mapped record: see ``record.py``.
- Passing whoever does not fit this moment: small ones take the room that a large one is having
  made. So who has what it lacks pledged is not passed, as long as it keeps looking.
- Closing some of what is open in a forked child: a socket kept open took in pings for the dead.
- Leaving the gate's file behind, which is safe, and litter. The last one removes it, and who
  enters looks whether what it has locked still has the name.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from warmcache._auto_reset import AutoResetEvent
from warmcache._log import log
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._sizes import format_size
from warmcache.errors import ClosedError

from .asking import Asking, Given, Giving, Look, Request
from .files import NodeFiles
from .flock import need_flock
from .membership import Membership
from .record import MOST, Account, Quote
from .refusal import Node, Refusal
from .verdict import Picture, quoted

T = TypeVar("T")

POLL = 0.25  # seconds, after which who waits looks without having heard anything
_SOON = 0.02  # likewise who is waited for: a lease that ends tells nobody, for it costs nothing
_told: list[str] = []  # once a process


class NodeLedger:
    """One process at the ledger of one device of its node.

    It takes part from its first :meth:`grow` on: a record, a socket and a daemon thread that
    listens are made then, in the process that asks. Every method may be called by any thread,
    but by none that holds a lock which ``quotes`` or ``reclaim`` take.

    Args:
        folder: where the processes meet, of :func:`folder_for`.
        budget: bytes that all may have together. Where they differ, the least counts.
        floor: bytes of this process that others never ask for.
        quotes: returns what is idle: bytes, and load seconds saved a second for each byte. Called
            without a lock.
        reclaim: has idle values go that make up as many bytes, and calls :meth:`shrink` as they
            are back. It returns how many have gone or are about to, or None if it does not know.
            Called without a lock, by the thread that listens or by one that wants to grow.
        available: returns the bytes that the device has left, or None where that is not known.
            Called inside the gate: it must not wait. It is asked only when somebody has died.
        confirm: seconds, after which a dead process' bytes are taken to be back.
        name: what people call this process' part.

    Raises:
        ValueError: the folder is none, or on a network; or the system has no ``flock``.
        PermissionError: the folder is another user's, or others may write there.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        budget: int,
        floor: int = 0,
        quotes: Callable[[], Iterable[tuple[float, float]]],
        reclaim: Callable[[int], object],
        available: Callable[[], float | None],
        confirm: float = 2.0,
        name: str = "",
    ) -> None:
        need_flock()
        self._available = available
        self._idle = quotes
        self._reclaim = reclaim
        me = Account(budget=_bytes(budget), floor=_bytes(floor), name=name)
        self._member = Membership(Path(folder).absolute(), me, confirm)
        self._forget()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Take no part any more, in a forked child: the next wish for room has it take its own."""
        self._member.begin_anew()
        self._forget()

    def _forget(self) -> None:
        self._me = self._member.me
        self._waiting: set[AutoResetEvent] = set()  # for news, each in one thread
        self._turns, self._published = itertools.count(1), 0
        self._waited_for = False
        self._giving = Giving()
        self._asking = Asking(self._me, self._giving)

    # -- asking for room -----------------------------------------------------------------

    @property
    def committed(self) -> int:
        """The bytes that this process was granted and has not given back."""
        return self._me.committed

    def grow(
        self,
        nbytes: float,
        wait: float,
        *,
        quotes: Callable[[], Iterable[tuple[float, float]]] | None = None,
        reclaim: Callable[[int], object] | None = None,
        wanted: Callable[[], object] = lambda: True,
    ) -> Refusal | None:
        """Have so many bytes more, once there is room for them; wait ``wait`` seconds at most.

        Returns None once they are granted, and a refusal where there was no room in time, or can
        never be, or they are not ``wanted`` any more. The bytes are in flight until :meth:`landed`.
        Where another process is stopped inside the gate, it waits as long as that lasts: nobody may
        go on without. ``quotes`` and ``reclaim`` are of what is idle for this caller, where that is
        more than what others may ask for.

        Raises:
            ClosedError: the ledger was closed.
        """
        request, deadline = Request(_bytes(math.ceil(nbytes))), time.monotonic() + wait
        if request.nbytes <= 0:
            return None
        news = AutoResetEvent()  # before the look: what comes from now on ends the wait
        self._waiting.add(news)
        try:
            while True:
                own = self._own_quotes(quotes)
                waits = time.monotonic() < deadline
                act = partial(self._look_for, request, own, waits)
                look = self._member.inside(act, self._listen_to)
                if look.granted:
                    return None
                self._member.ping(look.ping)
                if look.giving is not None:
                    self._give(look.giving, reclaim)
                    continue
                left = deadline - time.monotonic()
                if look.never or left <= 0 or not wanted():
                    return look.refusal()
                news.wait(min(left, POLL, look.at_latest))
        finally:
            self._waiting.discard(news)
            if request in self._asking.requests:
                self._tell_waiting(partial(self._asking.withdraw, request))

    def _look_for(
        self, request: Request, own: tuple[Quote, ...], waits: bool, picture: Picture
    ) -> Look:
        if self._member.closed:
            raise ClosedError("this process has left the ledger of its node; make another one")
        self._warn_of_budgets(picture)
        look = self._asking.look(request, own, picture, self._shown, waits)
        if look.granted:
            self._me.committed += request.nbytes
            self._me.in_flight += request.nbytes
        if look.own:
            look.giving = self._giving.begin(look.own)
        return look

    def _shown(self) -> float | None:
        try:
            return self._available()
        except Exception as error:  # a device that cannot be read shows nothing
            log().debug("%s cannot see what its device has left: %r", self._me, error)
            return None

    def landed(self, nbytes: float) -> None:
        """Say that a load has ended that so many bytes were granted for: they are on the device.

        Or never will be: then :meth:`shrink` gives them back.
        """

        def land(picture: Picture) -> None:
            self._me.in_flight = max(0, self._me.in_flight - _bytes(math.ceil(nbytes)))

        if self._member.takes_part:
            self._member.inside(land)

    # -- giving it back ------------------------------------------------------------------

    def shrink(self, nbytes: float) -> None:
        """Say that so many bytes are back on the device; whoever waits for room hears of it."""

        def give_back(picture: Picture) -> None:
            me, back = self._me, _bytes(math.ceil(nbytes))
            back = min(back, me.committed)
            me.committed -= back
            me.in_flight = min(me.in_flight, me.committed)
            me.answered += back
            self._giving.came(back)

        if self._member.takes_part:
            self._tell_waiting(give_back)

    def publish(self) -> None:
        """Say what is idle now; whoever waits for room hears of it, if it is news or was asked.

        Prices are no news: they change all the time, and two who wait would ping each other for
        ever.
        """
        if self._member.takes_part:
            self._publish(lambda picture: None)

    def _publish(self, and_then: Callable[[Picture], T]) -> T:
        """Say what is idle now, and return what ``and_then`` finds in the same look."""
        turn, said = next(self._turns), time.monotonic_ns()
        own = self._own_quotes()
        me = self._me

        def publish(picture: Picture) -> tuple[list[int], T]:
            waiting = [each for each in picture.others if each.waits]
            self._waited_for = bool(waiting)
            if turn < self._published:  # another thread has said something newer
                return [], and_then(picture)
            quotes = quoted(own, me.committed, me.floor)
            if _sizes(quotes) == _sizes(me.quotes):
                told = [each for each in waiting if each.waits[-1].since >= me.said]
            else:
                told = waiting
            self._published, me.quotes, me.said = turn, quotes, said
            return [each.number for each in told], and_then(picture)

        told, found = self._member.inside(publish)
        self._member.ping(told)
        self._wake()
        return found

    def _own_quotes(
        self, quotes: Callable[[], Iterable[tuple[float, float]]] | None = None
    ) -> tuple[Quote, ...]:
        try:
            idle = [*(quotes or self._idle)()]
        except Exception:
            log().exception("it is not known what is idle, so nothing is offered")
            return ()
        return tuple(
            Quote(_bytes(nbytes), price if price == price else math.inf)
            for nbytes, price in idle
            if nbytes > 0
        )

    def _give(self, giving: Given, reclaim: Callable[[int], object] | None = None) -> None:
        """Have idle values go, and say what of it there is not."""
        nbytes = giving.nbytes
        came: object = 0
        try:
            came = (reclaim or self._reclaim)(nbytes) if nbytes else 0
        except Exception:
            log().exception("%s could not give %s back", self._me, format_size(nbytes))
        finally:
            lacking = nbytes - came if isinstance(came, int | float) and came is not True else 0
            own = self._own_quotes()

            def answer(picture: Picture) -> None:
                refused = self._giving.end(giving, lacking)
                self._me.answered += refused
                self._me.refused += refused
                self._me.quotes = quoted(own, self._me.committed, self._me.floor)

            self._tell_waiting(answer)

    # -- what all say and see ------------------------------------------------------------

    def status(self) -> Node:
        """Return how full the node is. Takes part in nothing that it does not already."""

        def count(picture: Picture) -> Node:
            taking_part = len(picture.others) + bool(self._me.number or self._member.alone)
            waiting = len(picture.waiting)
            return Node(taking_part, picture.committed, picture.budget, waiting)

        return self._member.inside(count)

    def set_budget(self, budget: int) -> None:
        """Have all share so many bytes from now on, as far as this process is concerned."""
        self._set("budget", budget)

    def set_floor(self, floor: int) -> None:
        """Have others ask for none of so many bytes from now on."""
        self._set("floor", floor)

    def _set(self, what: str, nbytes: int) -> None:
        def set_it(picture: Picture) -> None:
            setattr(self._me, what, _bytes(nbytes))

        if self._member.takes_part:
            self._tell_waiting(set_it)
            self.publish()
        else:
            setattr(self._me, what, _bytes(nbytes))

    def _warn_of_budgets(self, picture: Picture) -> None:
        budgets = {each.budget for each in picture.all if each.readable}
        if len(budgets) > 1 and not _told:
            _told.append("once")
            others = ", ".join(f"{each}: {format_size(each.budget)}" for each in picture.others)
            log().warning(
                "processes of this node have different budgets for %s (this one: %s; %s); the "
                "least of them counts for all",
                *(self._member.folder, format_size(self._me.budget), others),
            )

    # -- news ----------------------------------------------------------------------------

    def _tell_waiting(self, act: Callable[[Picture], object]) -> None:
        """Do ``act`` inside, and have all look who wait for room.

        In the midst of giving only those do whom what is free now may do for: the others look
        once all is given, and not at each value that goes.
        """

        def and_return_who_waits(picture: Picture) -> list[int]:
            act(picture)
            room = picture.free + picture.estate if self._giving.under_way else math.inf
            return [
                each.number
                for each in picture.others
                if any(wait.nbytes <= room for wait in each.waits)
            ]

        self._member.ping(self._member.inside(and_return_who_waits))
        self._wake()

    def _wake(self) -> None:
        for news in [*self._waiting]:
            news.set()

    def _listen_to(self, files: NodeFiles) -> None:
        thread = threading.Thread(
            target=self._listen, args=(files,), name="warmcache-node", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the process ends: it is not asked for anything any more
            pass

    def _listen(self, files: NodeFiles) -> None:
        """Give what others ask for. While anybody waits here or for this one, look now and then."""
        while files.listen(self._pause()):
            self._wake()
            try:
                giving = self._publish(self._giving.what_is_asked)
                if giving is not None:
                    self._give(giving)
            except Exception:
                log().exception("what another process of this node asks for was not heard")
            if self._member.alone or self._member.files is not files:
                return

    def _pause(self) -> float | None:
        return _SOON if self._waited_for else POLL if self._asking.requests else None

    # -- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """Leave: remove what is this process' in the folder. Who waits here gets ClosedError.

        What it has committed counts no more, so it is to be torn down before.
        """
        self._member.leave()
        self._wake()


def _sizes(quotes: Iterable[Quote]) -> list[int]:
    return sorted(quote.nbytes for quote in quotes)


def _bytes(number: float) -> int:
    return int(min(max(number, 0), MOST))
