"""What a plan is made of: the steps that it yields.

Every way to get, store or remove a value is a *plan*: a generator that decides
under the lock and yields what has to be done outside it, one step at a time. A plan waits for
nothing, and runs no user code but a policy's ``rank``, a ``timer`` and a meter's probe, which
must not wait either; drivers carry the steps out, one for threads and one for asyncio, so that
the logic exists once. What a step returns or raises is sent into the plan: an exception that would
mean something else to it, :class:`Disguised`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Hashable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from warmcache._core.state.entry import Entry, Source
from warmcache._core.state.flights import Flight
from warmcache._core.state.hot_paths import HotEntries
from warmcache._core.state.one_shot import OneShot

T = TypeVar("T")


class Owner(Protocol):
    """To whom what is loaded is to belong."""

    @property
    def ended(self) -> bool:
        """Whether it has ended, and can have nothing any more."""
        ...

    def check_open(self) -> None:
        """Raise ClosedError if it has ended, which says how."""
        ...


class Request(  # called, not declared: from Python 3.14 on, typing imports ast for that
    NamedTuple(
        "Request",
        [
            ("key", Hashable),
            ("source", Source),
            ("load", Callable[[], Any]),
            ("hot", HotEntries | None),
            ("hot_key", Any),
            ("may_load", bool),
            ("hint", float | None),
            ("owner", Owner | None),
            ("freeze", Callable[[Any], Any] | None),
            ("weight", float | None),
            ("weigh", Callable[[Any], Any]),
            ("sized", bool),
            ("expires", Callable[[Hashable, Any, Any], Any] | None),
            ("validate", Callable[[Any], object] | None),
            ("validate_errors", type[Exception] | tuple[type[Exception], ...]),
        ],
    )
):
    """What one call of a loader asks for; what all calls of it ask for alike comes last.

    What is loaded belongs to ``owner``, if it has one that may end before the cache does.
    ``freeze``, if there is one, makes of what was loaded what nobody can change.
    ``weight`` is None when only the value can tell; then ``weigh`` is asked, after the
    load, for which ``hint`` was reserved if there is one. ``sized`` says that somebody
    said how to weigh. ``validate_errors`` are what ``validate`` raises of a value that is not good.
    """

    __slots__ = ()


class Ask:
    """Call ``function`` here and now; the plan gets what it returns or raises.

    What is returned can be awaited on an event loop, and is awaited there. ``option`` is what
    users call the function.
    """

    __slots__ = ("function", "option")

    def __init__(self, function: Callable[[], Any], option: str = "a hook") -> None:
        self.function = function
        self.option = option


class Aside:
    """Call ``function``, which may block: an event loop has it called in a thread.

    With ``to_its_end``, whoever is cancelled meanwhile waits for it all the same, and goes on.
    """

    __slots__ = ("function", "to_its_end")

    def __init__(self, function: Callable[[], Any], to_its_end: bool = False) -> None:
        self.function = function
        self.to_its_end = to_its_end


class Kept:
    """What a tier has of a value: what having it again costs, and how old it is, in seconds.

    None: that costs what the load took. It came from there, and was not loaded now, if it is
    ``from_disk``. To ``dump`` a value is what is to be done before its teardown. ``paid`` is what
    it cost now, of what was loaded together with others; None: what its load took.
    """

    __slots__ = ("age", "dump", "from_disk", "paid", "seconds")

    def __init__(
        self,
        seconds: float | None = None,
        age: float = 0.0,
        from_disk: bool = False,
        dump: Callable[[Any], object] | None = None,
        paid: float | None = None,
    ) -> None:
        self.seconds = seconds
        self.age = age
        self.from_disk = from_disk
        self.dump = dump
        self.paid = paid


# What a loader gives: the value, and what :class:`Provenance` says of it; then what a tier has.
Produced: TypeAlias = tuple[Any, Callable[[], object] | None, Any] | tuple[Any, None, Any, Kept]
Box: TypeAlias = defaultdict[int, Any]


class Load:
    """Run a loader; ``box[0]`` becomes what it gives, see :data:`Produced`.

    The box calls the loader itself when it is asked for what it does not have, and that is C code:
    so there is no place between the two at which an interrupt would lose the value.
    """

    __slots__ = ("box", "request")

    def __init__(self, request: Request, box: Box) -> None:
        self.request = request
        self.box = box


class Launch:
    """Carry out the plan of a load as part of it: at once, or in a task of its own."""

    __slots__ = ("flight",)

    def __init__(self, flight: Flight) -> None:
        self.flight = flight


class TearDown:
    """Tear these entries down; the plan gets the exceptions that it led to."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries


class Elsewhere:
    """Carry out ``plan`` for another cache; the plan gets what it returns."""

    __slots__ = ("cache", "plan")

    def __init__(self, cache: Any, plan: Generator[Any, Any, Any]) -> None:
        self.cache = cache  # its view, which knows of meters, and they of steps
        self.plan = plan


class Flush:
    """Collect garbage, and have what nobody holds given back to the device."""

    __slots__ = ()


class Wait:
    """Wait for ``signal``, ``timeout`` seconds at most; the plan gets whether it came."""

    __slots__ = ("signal", "timeout")

    def __init__(self, signal: OneShot, timeout: float | None = None) -> None:
        self.signal = signal
        self.timeout = timeout


class Disguised(Exception):  # noqa: N818 - it is none of its own
    """What user code raised, for its way through plans, where it would mean something else.

    StopIteration would end the plan (PEP 479), and CancelledError would mean that whoever carries
    it out was cancelled. The driver that began the plan raises the ``error`` itself.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return repr(self.error)

    @classmethod
    def where_needed(cls, error: BaseException) -> BaseException:
        """Return what a plan may be told of ``error``."""
        return cls(error) if isinstance(error, StopIteration) else error

    @classmethod
    def trace_of(cls, error: BaseException) -> TracebackType | None:
        """Return the traceback of ``error``, or of the error that it disguises."""
        return (error.error if isinstance(error, cls) else error).__traceback__


Step: TypeAlias = Ask | Load | Launch | TearDown | Elsewhere | Aside | Flush | Wait
Plan: TypeAlias = Generator[Step, Any, T]
