"""An executor over slots: it holds calls back until a slot is free, and routes them.

A slot is an executor of one worker. Calls wait here, in a :class:`~warmcache.routing.Backlog`,
not in the slots, so that each goes to a slot that has what it wants warm, or to one that is
free while that is worth a load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, TypeVar

from warmcache import _checks as checks
from warmcache._core.state.one_shot import OneShot
from warmcache._log import log
from warmcache._texts import text_of
from warmcache.routing.backlog import Backlog
from warmcache.routing.fleet import Placement

from .submitted_call import Marking, SubmittedCall, error_of
from .wanted import Wanted, one_each
from .worker_side import Report, hello, report_of, serve

R = TypeVar("R")
# Who runs what, and under which lock.
#
# There is no thread that waits for work. What there is to do is done by whoever comes by: those
# that submit, cancel and shut down, and those in which an engine answers. These are a pool's, or
# Ray's, or Parsl's own; or the one that has just submitted, if a slot answers before it returns.
#
# The lock guards the backlog, the calls, which slots are hoped for, and how far the
# end has come. Under it runs nothing but the backlog. Slots are asked and futures resolved without
# it, for both may run anything: a slot may answer at once, or wait for a lock that its engine
# holds as it tells of an end; a future calls back whoever has asked for that. `_slots[n]` and
# `_asked[n]` need no lock: at any time one thread at most asks slot n, or replaces it.
#
# A call goes through `_enter`, into the backlog; `_pump`, which takes out what can start; `_start`,
# to a slot; `_answered`, in which the backlog learns what the slot has warm now; `_pump` again, for
# a slot is free; `_resolve`; and `_done`. It is resolved after the pump, whatever happened there:
# callbacks take as long as they like, and may wait for other calls, which have to be started.
#
# A slot that answers at once does so inside `_start`, in the thread that pumps. The pump that it
# asks for then returns at once, for there is one further down, and what it has to resolve is kept
# until that one is through (`_here.answered`). So the stack does not grow with the queue, and no
# callback runs between two starts.


class RoutedExecutor(Executor):
    """An executor over executors of one worker each, that routes calls to what is warm.

    For engines that give out such executors: one for each Globus Compute endpoint of one
    worker, or MPI rank, for example. It takes them over: what is submitted to them beside it
    is not routed, and :meth:`shutdown` shuts them down. A slot takes part once its worker has
    answered a first call. One that breaks is left out from then on; the call that it was
    running fails, all others go on elsewhere.

    Args:
        slots: executors of one worker each, whose processes do not share what they load.

    Raises:
        TypeError: ``slots`` are no executors.
        ValueError: there is none, or one of several workers, or one twice.
    """

    _slots_have = "submit"  # by which one is known

    def __init__(self, slots: Sequence[Executor]) -> None:
        self._slots: list[Any] = checks.several("slots", slots, has=self._slots_have)
        _refuse_shared(self._slots)
        self._lock = threading.RLock()
        self._backlog: Backlog[int, Any] = Backlog()
        self._calls: dict[SubmittedCall, None] = {}  # neither done nor cancelled
        self._hoped_for: set[int] = set()  # slots that take part, or will
        self._asked: dict[int, Future[Any]] = {}  # those of them that have not answered yet
        self._closed = self._ending = False
        self._all_done, self._ended = OneShot(), OneShot()
        self._awaited = 0  # threads in shutdown(), of which one ends the workers
        self._here = _InThisThread()
        for number in range(len(self._slots)):
            self._hoped_for.add(number)
            self._join(number)

    # -- calls ---------------------------------------------------------------------

    def submit(
        self, fn: Callable[..., R], /, *args: Any, warm: Any = None, **kwargs: Any
    ) -> Future[R]:
        """Have ``fn`` called in a slot, the one that has ``warm`` warm if that pays.

        It is leased there as long as ``fn`` runs, and loaded first if need be: ``fn`` finds it
        warm by calling the loader as always.

        Args:
            fn: what to call.
            args: for ``fn``.
            warm: a call of a loader, as ``functools.partial(load, "a")``, or a loader that
                needs no arguments; None means that any slot will do.
            kwargs: for ``fn``.

        Raises:
            TypeError: ``warm`` is neither, or of an ``async`` loader.
            RuntimeError: it is shut down.
        """
        wanted = None if warm is None else Wanted.of(warm)
        return self._enter(SubmittedCall(wanted, fn, args, kwargs))

    def _enter(self, call: SubmittedCall) -> Future[Any]:
        """Have ``call`` wait for a slot."""
        if call.wanted is not None and call.wanted.is_async:
            raise TypeError(
                f"{call.wanted.name} is of an async loader, which a call here cannot lease"
            )
        self._prepare(call)
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if not self._hoped_for:
                raise BrokenExecutor("no slot is left")
            self._calls[call] = None
            self._backlog.submit(call.key, call)
        call.future.add_done_callback(partial(self._cancelled, call))
        self._pump()
        return call.future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        warm: Any = None,
    ) -> Iterator[R]:
        """Return an iterator like ``map(fn, *iterables)``, whose calls run in the slots.

        Args:
            fn: what to call.
            iterables: its arguments.
            timeout: seconds after which ``__next__`` raises TimeoutError; None waits.
            chunksize: is taken as 1, for each call goes where what it wants is.
            warm: as of :meth:`submit`, for all calls; or several of them, one for each call.

        Raises:
            ValueError: there are not as many of ``warm`` as calls.
        """
        calls = [*zip(*iterables, strict=False)]
        each, columns = one_each(warm, len(calls)), zip(*calls, strict=True)
        return Executor.map(Marking(self.submit), fn, each, *columns, timeout=timeout)

    def _cancelled(self, call: SubmittedCall, future: Future[Any]) -> None:
        if future.cancelled():
            with self._lock:
                self._backlog.withdraw(call.key, call)
            self._done(call)

    def _done(self, call: SubmittedCall) -> None:
        with self._lock:
            self._calls.pop(call, None)
            over = self._closed and not self._calls
            awaited = self._awaited
        if over:
            self._all_done.happen()
            if not awaited:
                self._end(wait=False)

    # -- routing -------------------------------------------------------------------

    def _pump(self) -> None:
        """Start whatever can start; then resolve what this thread was answered meanwhile."""
        here = self._here
        if here.answered is not None:
            return  # it is at it: an answer came at once
        answered = here.answered = []
        try:
            while True:
                with self._lock:
                    placement = self._backlog.take()
                if placement is None:
                    return
                self._start(placement)
        finally:
            here.answered = None
            for each in answered:
                self._resolve(*each)

    def _start(self, placement: Placement[int, Any]) -> None:
        call: SubmittedCall = placement.request
        if not call.begins():
            with self._lock:
                self._backlog.done(placement, warm=not placement.cold)
            return
        try:
            future = self._send(placement.worker, call)
        except BrokenExecutor as error:  # it has not begun
            self._lost(placement.worker, error, again=placement)
        except BaseException as error:
            with self._lock:
                self._backlog.done(placement, warm=not placement.cold)
            self._resolve(call, None, error)
        else:
            future.add_done_callback(partial(self._answered, placement))

    def _answered(self, placement: Placement[int, Any], future: Future[Any]) -> None:
        call: SubmittedCall = placement.request
        error = error_of(future)
        answer = None if error is not None else future.result()
        report = report_of(error) if answer is None else answer.report
        try:
            if report is None and self._has_ended(placement.worker, error):
                self._lost(placement.worker, error)
            else:
                self._learn(placement, report)
            self._pump()
        finally:
            self._resolve(call, None if answer is None else answer.value, error)

    def _learn(self, placement: Placement[int, Any], report: Report | None) -> None:
        with self._lock:
            if report is None:  # it was lost: the next one says all
                self._backlog.done(placement, warm=placement.request.wanted is not None)
            else:
                timed = placement.request.wanted is not None
                self._backlog.done(
                    placement,
                    seconds=report.seconds if timed else None,
                    loading=report.loading,
                    warm=placement.key in report.warm,
                )
                self._backlog.report(placement.worker, report.warm)

    def _resolve(self, call: SubmittedCall, value: Any, error: BaseException | None) -> None:
        """Resolve ``call``, once all is started: whoever waits for it may take long."""
        here = self._here
        if here.answered is not None:
            here.answered.append((call, value, error))
            return
        here.resolving += 1
        try:
            call.resolve(value, error)
        finally:
            here.resolving -= 1
            self._done(call)

    # -- slots ---------------------------------------------------------------------

    def _join(self, slot: int) -> None:
        """Have ``slot`` take part once it answers."""
        self._ask(slot, self._slots[slot].submit, hello)

    def _ask(self, slot: int, ask: Callable[..., Future[Any]], *args: Any) -> None:
        try:
            future = ask(*args)
        except Exception as error:
            self._left_out(slot, error)
        else:
            self._asked[slot] = future
            future.add_done_callback(partial(self._joined, slot))

    def _joined(self, slot: int, future: Future[Any]) -> None:
        error = error_of(future)
        self._asked.pop(slot, None)
        if error is not None:
            self._left_out(slot, error)
            return
        with self._lock:
            self._backlog.add(slot, warm=future.result().warm)
        self._pump()

    def _left_out(self, slot: int, error: BaseException) -> None:
        """Go on without ``slot``; without any, fail whatever waits."""
        with self._lock:
            self._hoped_for.discard(slot)
            left = [] if self._hoped_for else [*self._calls]
            lost = [call for call in left if self._backlog.withdraw(call.key, call)]
        if not self._closed:
            log().error("slot %d is left out: %s", slot, text_of(error))
        for call in lost:
            if call.begins():
                self._resolve(call, None, BrokenExecutor(f"no slot is left; the last: {error!r}"))

    def _lost(
        self,
        slot: int,
        error: BaseException | None,
        again: Placement[int, Any] | None = None,
    ) -> None:
        """Forget what ``slot`` had warm, for its worker has ended; have it join again."""
        log().warning("the worker of slot %d has ended: %s", slot, text_of(error))
        with self._lock:
            self._backlog.remove(slot)
            if again is not None:
                self._backlog.again(again)
        self._replace(slot)

    # What an engine may do otherwise:

    def _replace(self, slot: int) -> None:
        """Have another worker join in place of one that has ended."""
        # In a thread, for this one may hold a lock of the slot's that asking it takes: pools of
        # processes tell of their breaking under theirs.
        threading.Thread(target=self._join, args=(slot,), daemon=True).start()

    def _prepare(self, call: SubmittedCall) -> None:
        """Make of what was submitted something that can be sent."""

    def _send(self, slot: int, call: SubmittedCall) -> Future[Any]:
        """Have ``slot`` serve ``call``; raise BrokenExecutor if it cannot any more."""
        future: Future[Any] = self._slots[slot].submit(
            serve, call.wanted, call.function, *call.args, **call.kwargs
        )
        return future

    def _has_ended(self, slot: int, error: BaseException | None) -> bool:
        """Tell if an error says that the worker of ``slot`` has ended."""
        return isinstance(error, BrokenExecutor)

    # -- the end -------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; once all are done, end the workers, which tear down first.

        A slot that has not taken part by then is told to, and not waited for.

        Args:
            wait: whether to return only when all of that is over.
            cancel_futures: whether to cancel what has not begun.

        Raises:
            RuntimeError: it is to wait in the callback of a call, for which it would wait, too.
        """
        if wait and self._here.resolving:
            raise RuntimeError(
                "the callback of a call cannot wait for all calls, of which it is one; "
                "use shutdown(wait=False)"
            )
        with self._lock:
            self._closed = True
            self._awaited += wait
            calls = [*self._calls]
        try:
            if cancel_futures:
                for call in calls:
                    call.future.cancel()
            if wait and calls:
                self._all_done.wait()
        finally:
            with self._lock:
                self._awaited -= wait
            self._end(wait=wait)

    def _end(self, *, wait: bool) -> None:
        """End the workers, unless a call is under way, or somebody else ends them."""
        with self._lock:
            if self._calls:
                return
            first, self._ending = not self._ending, True
        if first:
            try:
                self._close(wait=wait)
            finally:
                self._ended.happen()
        elif wait:
            self._ended.wait()

    def _close(self, *, wait: bool) -> None:
        """End the workers; wait, if at all, for those that take part."""
        for asked in [*self._asked.values()]:
            asked.cancel()
        came = self._backlog.workers
        ends = [
            partial(slot.shutdown, wait=wait and number in came)
            for number, slot in enumerate(self._slots)
        ]
        if wait:
            _side_by_side(ends)  # for they tear down
        else:
            for end in ends:
                end()


def _refuse_shared(slots: list[Any]) -> None:
    """Raise ValueError where nobody can tell which worker of a slot has what warm."""
    for slot in slots:
        workers = getattr(slot, "_max_workers", 1)  # of the standard library's pools, and loky's
        if isinstance(workers, int) and workers > 1:
            raise ValueError(
                f"slots must have one worker each, got {text_of(slot)} with {workers}; write "
                f"slots=[ProcessPoolExecutor(max_workers=1) for _ in range({workers})]"
            )
    if len({*map(id, slots)}) < len(slots):
        raise ValueError("slots must be executors of their own, and one is in there twice")


class _InThisThread(threading.local):
    """What the running thread is at: starting calls, and what it was answered meanwhile."""

    answered: list[tuple[SubmittedCall, Any, BaseException | None]] | None = None
    resolving = 0


def _side_by_side(jobs: Iterable[Callable[[], object]]) -> None:
    threads = []
    for job in jobs:
        thread = threading.Thread(target=job)
        try:
            thread.start()
        except RuntimeError:  # none can be started any more, as the interpreter ends
            job()
        else:
            threads.append(thread)
    for thread in threads:
        thread.join()
