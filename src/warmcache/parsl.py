"""Warm on Parsl: apps run in the slot that has what they want warm, and lease it there.

::

    slots = [
        HighThroughputExecutor(label=f"slot-{n}", max_workers_per_node=1) for n in range(4)
    ]
    parsl.load(Config(executors=[*slots, WarmExecutor(slots)]))

    @warm_app(lambda name, text: partial(load, name))
    def embed(name, text):
        return load(name).embed(text)

    future = embed("minilm", "some text")

It takes ``pip install "warmcache[parsl]"``, on workers too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from functools import partial
from typing import Any

from . import _checks as checks
from ._engines.routed_executor import RoutedExecutor
from ._engines.shipping import by_value, shipped
from ._engines.submitted_call import SubmittedCall
from ._engines.wanted import Wanted
from ._engines.worker_side import hello, leased, serve
from ._extras import brought_by
from ._public import list_public
from ._texts import text_of

with brought_by("parsl", "parsl", what=__name__):
    from parsl.app.app import python_app  # pyright: ignore[reportMissingImports]
    from parsl.executors.base import ParslExecutor  # pyright: ignore[reportMissingImports]
    from parsl.executors.high_throughput.errors import (  # pyright: ignore[reportMissingImports]
        ManagerLost,
        WorkerLost,
    )

__all__ = ["WarmExecutor", "warm_app"]

list_public(globals())


def warm_app(warm: Callable[..., Any], /, *, executors: Any = ("warm",), **options: Any) -> Any:
    """Make a Parsl app of a function that wants something warm; a decorator.

    On any executor, the app leases what it wants for as long as it runs, and loads it first if
    need be. On a :class:`WarmExecutor` it also runs where that is warm. With its arguments
    that are futures it waits for them first, as every app does.

    Args:
        warm: takes the app's arguments, and returns the call of a loader that it wants, as
            ``functools.partial(load, "a")``, or None.
        executors: the labels of the executors that it may run on, or ``"all"``.
        options: for ``parsl.python_app``.

    Raises:
        TypeError: ``warm`` is no function of the app's arguments, ``executors`` are no labels, or
            what it decorates is no function.
    """
    checks.function("warm", warm, "a function of the app's arguments", _HOW)
    if hasattr(warm, "lease") or (isinstance(warm, partial) and hasattr(warm.func, "lease")):
        must_be = "a function of the app's arguments, which returns a call of a loader"
        raise checks.type_error("warm", must_be, warm, _HOW)
    labels = executors if isinstance(executors, str) else [*checks.texts("executors", executors)]

    def decorate(*functions: Callable[..., Any], **more: Any) -> Any:
        if more or len(functions) != 1 or not callable(functions[0]):
            raise TypeError(
                f"warm_app was given {text_of(warm)} alone, which is to say what an app wants, and "
                f"now arguments in the place of the app: it is not used bare; {_HOW}"
            )
        [function] = functions
        return python_app(Body(function, warm), executors=labels, **options)

    return decorate


_HOW = "write @warm_app(lambda name: partial(load, name)) over an app that takes a name"


class Body:
    """What a warm app runs. Functions that cannot be imported travel by value."""

    __slots__ = ("__name__", "__wrapped__", "warm")

    def __init__(self, function: Callable[..., Any], warm: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.warm = warm

    def wanted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Wanted | None:
        """Return what the call with these arguments wants."""
        warm = self.warm(*args, **kwargs)
        return None if warm is None else Wanted.of(warm)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if "PARSL_WORKER_RANK" in os.environ:
            hello()
        with leased(self.wanted(args, kwargs)):
            return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> Any:
        return Body, (by_value(self.__wrapped__), by_value(self.warm))


class WarmExecutor(ParslExecutor):  # type: ignore[misc]
    """A Parsl executor over executors of one worker each, that routes apps to what is warm.

    Parsl cannot see what a task wants as it picks a manager for it; so each worker needs an
    executor of its own. A slot takes part once its worker has answered a first call, and one
    that is waiting for its block keeps nobody waiting. When a worker is lost, the app that it
    was running fails, as Parsl has it (and is tried again as ``Config(retries=...)`` says);
    the others go on elsewhere. SIGTERM, by which Parsl ends its workers, has them tear down
    first.

    Args:
        slots: executors of one worker each, as
            ``HighThroughputExecutor(max_workers_per_node=1)`` of one node and one block.
            ``Config`` takes them, too, before this one.
        label: the executor's name, for ``@python_app(executors=[...])``.
    """

    def __init__(self, slots: Sequence[ParslExecutor], *, label: str = "warm") -> None:
        super().__init__()
        self.label = checks.text("label", label)
        self._slots: list[Any] = checks.several("slots", slots, has="submit", least=0)
        for slot in self._slots:
            if getattr(slot, "workers_per_node", 1) != 1:
                raise ValueError(
                    f"{slot.label} has {slot.workers_per_node} workers a node; a slot has one: "
                    f"max_workers_per_node=1"
                )
        first = self._slots[0] if self._slots else None
        self.storage_access = getattr(first, "storage_access", None)
        self.working_dir = getattr(first, "working_dir", None)

    def start(self) -> None:
        for slot in self._slots:
            if slot.run_id is None:
                raise ValueError(
                    f"{slot.label} has not been started: Config(executors=[*slots, "
                    f"WarmExecutor(slots)]) takes the slots, too, and before it"
                )
        self._routed = _Routed(self._slots)

    def submit(
        self,
        func: Callable[..., Any],
        resource_specification: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> Future[Any]:
        body: Any = func
        while body is not None and not isinstance(body, Body):
            body = getattr(body, "__wrapped__", None)  # under what Parsl wraps it in
        wanted = None if body is None else body.wanted(args, kwargs)
        call = SubmittedCall(wanted, (func, resource_specification), args, kwargs)
        return self._routed._enter(call)

    def shutdown(self) -> None:
        self._routed.shutdown(wait=False, cancel_futures=True)
        super().shutdown()


class _Routed(RoutedExecutor):
    """Routes over Parsl's executors, which Parsl itself starts and ends."""

    def _join(self, slot: int) -> None:
        self._ask(slot, self._slots[slot].submit, hello, {})

    def _send(self, slot: int, call: SubmittedCall) -> Future[Any]:
        if self._is_bad(slot):
            raise BrokenExecutor(f"{self._slots[slot].label} is in a bad state")
        wanted = call.wanted and shipped(call.wanted, by_value)
        function, specification = call.function
        # As part of what is called, for that alone Parsl pickles by value.
        serving = partial(serve, wanted, function)
        future: Future[Any] = self._slots[slot].submit(
            serving, specification, *call.args, **call.kwargs
        )
        return future

    def _has_ended(self, slot: int, error: BaseException | None) -> bool:
        return isinstance(error, (WorkerLost, ManagerLost)) or self._is_bad(slot)

    def _is_bad(self, slot: int) -> bool:
        return bool(getattr(self._slots[slot], "bad_state_is_set", False))

    def _close(self, *, wait: bool) -> None: ...
