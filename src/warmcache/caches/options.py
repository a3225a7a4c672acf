"""The options that every cache takes, and the set-up that is made of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from operator import methodcaller
from typing import Any, NamedTuple, Self, TypeAlias, TypedDict

from warmcache import _checks as checks
from warmcache._core.state.records import Load, Removal
from warmcache._registry import options_of
from warmcache._suggestions import nearest_option

Teardown: TypeAlias = Callable[[Any], object] | str

# These are called, not declared: from Python 3.14 on, typing imports ast to read a class body.
# They differ in ``ttl``, for which some caches have a parameter of their own.
CommonOptions = TypedDict(  # noqa: UP013
    "CommonOptions",
    {
        "teardown": Teardown | None,
        "reclaim": Callable[[], object] | None,
        "on_removal": Callable[[Removal], object] | None,
        "on_load": Callable[[Load], object] | None,
        "idle_ttl": Any,
        "wait": float,
        "record": str | os.PathLike[str] | None,
    },
    total=False,
)
CacheOptions = TypedDict(  # noqa: UP013
    "CacheOptions",
    {
        "teardown": Teardown | None,
        "reclaim": Callable[[], object] | None,
        "on_removal": Callable[[Removal], object] | None,
        "on_load": Callable[[Load], object] | None,
        "idle_ttl": Any,
        "wait": float,
        "record": str | os.PathLike[str] | None,
        "ttl": Any,
    },
    total=False,
)
CacheOptions.__doc__ = "The options that every cache takes besides its policy's own."

_KNOWN = CacheOptions.__optional_keys__


def refuse_unknown(cls: type, options: dict[str, Any]) -> None:
    """Raise TypeError if any of ``options``, which ``cls`` has none of, is none of all caches."""
    for option in options:
        if option not in _KNOWN:
            known = options_of(cls) or {*_KNOWN, "maxsize", "getsizeof", "timer"}
            raise TypeError(
                f"{cls.__name__} has no option {option!r}{nearest_option(option, known)}"
            )


class Setup(  # called likewise
    NamedTuple(
        "Setup",
        [
            ("timer", Callable[[], Any]),
            ("teardown", Callable[[Any], object] | None),
            ("reclaim", Callable[[], object] | None),
            ("on_removal", Callable[[Removal], object] | None),
            ("on_load", Callable[[Load], object] | None),
            ("ttl", Any),
            ("idle_ttl", Any),
            ("wait", float),
        ],
    )
):
    """What a cache was told, checked: all that a copy of it needs besides the entries.

    What a policy is told besides, ``ttu`` or ``choice``, is the attributes of its caches.
    """

    __slots__ = ()

    @classmethod
    def of(
        cls,
        timer: Callable[[], Any],
        *,
        teardown: Teardown | None = None,
        reclaim: Callable[[], object] | None = None,
        on_removal: Callable[[Removal], object] | None = None,
        on_load: Callable[[Load], object] | None = None,
        ttl: Any = None,
        idle_ttl: Any = None,
        wait: float = 60.0,
        record: object = None,
    ) -> Self:
        """Return the set-up that the options of a cache mean.

        ``record`` is no part of it: of two caches, only one can write to a file.

        Raises:
            TypeError: an option is of the wrong kind.
            ValueError: it is out of its range.
        """
        checks.optional(checks.path, "record", record)
        return cls(
            timer=checks.hook("timer", timer),
            teardown=as_teardown(teardown),
            reclaim=checks.optional(checks.hook, "reclaim", reclaim),
            on_removal=checks.optional(checks.hook, "on_removal", on_removal),
            on_load=checks.optional(checks.hook, "on_load", on_load),
            ttl=None if ttl is None else as_span("ttl", ttl, timer),
            idle_ttl=None if idle_ttl is None else as_span("idle_ttl", idle_ttl, timer, some=True),
            wait=checks.seconds("wait", wait),
        )


def as_teardown(teardown: Teardown | None) -> Callable[[Any], object] | None:
    """Return ``teardown`` as a callable; a text names the value's method to call."""
    must_be = "callable, or the name of a method of the value"
    if teardown is None:
        return None
    if not isinstance(teardown, str):
        return checks.function("teardown", teardown, must_be)
    if not teardown.isidentifier():
        raise checks.value_error("teardown", must_be, teardown, "write teardown='close'")
    return methodcaller(teardown)


def as_span(option: str, span: Any, timer: Callable[[], Any], *, some: bool = False) -> Any:
    """Return ``span``, which is seconds, or whatever else can be added to a time of ``timer``.

    With ``some``, it must not be 0.
    """
    is_number = checks.is_number(span)
    if is_number:
        (checks.some_seconds if some else checks.seconds)(option, span)
        if timer is time.monotonic:
            return span
    must_be = "seconds, or what the timer= of the cache counts in"
    now = timer()
    try:
        ends = now + span
        # Of a large time and a small number, the sum may be the time.
        fits = not isinstance(span, bool) and bool(
            is_number or (now < ends if some else now <= ends)
        )
    except OverflowError:  # it is longer than such a clock goes: what is stored with it fails
        return span
    except TypeError:
        remedy = f"with the usual one, write {option}=60"
        raise checks.type_error(option, must_be, span, remedy) from None
    if not fits:
        raise checks.value_error(
            option, f"{must_be}, {'more than 0' if some else '0 or more'}", span
        )
    return span


def sooner(one: Any, other: Any) -> Any:
    """Return the earlier of two times, or the shorter of two spans; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return other if other < one else one
