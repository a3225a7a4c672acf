"""Executors that run a call where what it wants is warm: for one machine, without an engine.

::

    from functools import partial
    from warmcache.executors import WarmProcessPool

    with WarmProcessPool(4) as pool:
        future = pool.submit(answer, "a", question, warm=partial(load, "a"))
        answers = pool.map(answer, names, questions, warm=[partial(load, n) for n in names])

``load`` is a loader, and ``answer`` a function that calls it. :class:`RoutedExecutor` does the
same over executors of other kinds.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any

from . import _checks as checks
from ._engines.routed_executor import RoutedExecutor
from ._engines.shipping import by_value_to_children, shipped
from ._engines.submitted_call import SubmittedCall
from ._engines.worker_side import hello
from ._process.after_fork import in_child
from ._public import found_here

__all__ = ["RoutedExecutor", "WarmProcessPool"]

found_here(globals())


class WarmProcessPool(RoutedExecutor):
    """A pool of processes, each of which keeps warm what it has loaded.

    As ``concurrent.futures.ProcessPoolExecutor``, but that ``submit`` and ``map`` take
    ``warm=``, and that a process which ends takes only the call with it that it was running,
    or had just been sent: its future gets ``BrokenProcessPool``, another process takes its
    place, and all others go on. Functions that cannot be imported, as those of a notebook,
    travel by value if cloudpickle is installed. A process tears down what it has warm when the
    pool is shut down, and on SIGTERM.

    Args:
        max_workers: how many processes; as many as there are processors if None. They are
            started as they are needed.
        mp_context: how processes start: a context of ``multiprocessing``. None means the
            default, but never by a fork of this process, in which threads run.
        initializer: called in each process when it starts. If that fails, so does the call
            for which it was started.
        initargs: the arguments of ``initializer``.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        count = max_workers if max_workers is not None else os.cpu_count() or 1
        checks.count("max_workers", count)
        checks.optional(_as_context, "mp_context", mp_context)
        checks.optional(checks.function, "initializer", initializer)
        if not isinstance(initargs, tuple):
            raise checks.type_error("initargs", "a tuple", initargs, "write initargs=(one,)")
        self._options: dict[str, Any] = dict(
            max_workers=1,
            mp_context=mp_context or _default_context(),
            initializer=_begin_work,
            initargs=(by_value_to_children(initializer), initargs),
        )
        self._broken: dict[int, ProcessPoolExecutor] = {}
        super().__init__([ProcessPoolExecutor(**self._options) for _ in range(count)])
        _pools.add(self)

    def _join(self, slot: int) -> None:
        with self._lock:
            self._backlog.add(slot)  # a process that starts has nothing warm

    def _replace(self, slot: int) -> None:
        # The old pool is kept, for it tells of its breaking under a lock that dropping it takes.
        self._broken[slot] = self._slots[slot]
        self._slots[slot] = ProcessPoolExecutor(**self._options)
        self._join(slot)

    def _prepare(self, call: SubmittedCall) -> None:
        # Now, for a script's module is not whole any more when the program ends.
        call.function = by_value_to_children(call.function)
        call.wanted = call.wanted and shipped(call.wanted, by_value_to_children)


def _begin_work(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    hello()
    if initializer is not None:
        initializer(*initargs)


def _as_context(option: str, context: Any) -> BaseContext:
    if not isinstance(context, BaseContext):
        must_be = "a context of multiprocessing"
        how = "write mp_context=multiprocessing.get_context('spawn')"
        raise checks.type_error(option, must_be, context, how)
    return context


def _default_context() -> BaseContext:
    default = multiprocessing.get_context()
    if default.get_start_method() != "fork":
        return default
    return multiprocessing.get_context("forkserver")


# -- the end of this process -----------------------------------------------------------

_pools: weakref.WeakSet[WarmProcessPool] = weakref.WeakSet()


@in_child
def _forget() -> None:
    _pools.clear()  # they are the parent's


def _finish() -> None:
    """Have all that was submitted done, and the processes end, before pools take no more."""
    for pool in [*_pools]:
        pool.shutdown()


# Runs before that of concurrent.futures, which was registered before it.
threading._register_atexit(_finish)  # type: ignore[attr-defined]
