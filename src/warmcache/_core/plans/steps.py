"""What a plan is made of: the steps that it yields.

Every way to get, store or remove a value is a *plan*: a generator that decides
under the lock and yields what has to be done outside it, one step at a time. A plan
does no I/O, waits for nothing and runs no user code; drivers carry the steps out, one for
threads and one for asyncio, so that the logic exists once. What a step returns or raises is
sent into the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from warmcache._core.state.entry import Entry
from warmcache._core.state.one_shot import OneShot

from .request import Request

T = TypeVar("T")


class Ask:
    """Call ``function`` here and now; the plan gets what it returns or raises."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


class Load:
    """Run a loader; the plan gets ``(value, finish, loop)``, see :class:`Provenance`."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request


class Launch:
    """Carry out the plan of a load: at once, or in a task of its own."""

    __slots__ = ("plan",)

    def __init__(self, plan: Plan[None]) -> None:
        self.plan = plan


class TearDown:
    """Tear these entries down; the plan gets the exceptions that it led to."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries


class Flush:
    """Collect garbage, and have what nobody holds given back to the device."""

    __slots__ = ()


class Wait:
    """Wait for ``signal``, ``timeout`` seconds at most; the plan gets whether it came."""

    __slots__ = ("signal", "timeout")

    def __init__(self, signal: OneShot, timeout: float | None = None) -> None:
        self.signal = signal
        self.timeout = timeout


Step: TypeAlias = Ask | Load | Launch | TearDown | Flush | Wait
Plan: TypeAlias = Generator[Step, Any, T]
