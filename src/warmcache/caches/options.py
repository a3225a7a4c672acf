"""The options that every cache takes, and the set-up that is made of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import methodcaller
from typing import Any, NamedTuple, TypeAlias, TypedDict

from warmcache import _checks as checks
from warmcache._core.state.records import Removal
from warmcache._registry import options_of
from warmcache._suggestions import nearest_option

Teardown: TypeAlias = Callable[[Any], object] | str


class CacheOptions(TypedDict, total=False):
    """The options that every cache takes besides its policy's own."""

    teardown: Teardown | None
    reclaim: Callable[[], object] | None
    on_removal: Callable[[Removal], object] | None
    idle_ttl: float | None
    wait: float
    record: str | os.PathLike[str] | None


_KNOWN = frozenset(CacheOptions.__annotations__)


def refuse_unknown(cls: type, options: dict[str, Any]) -> None:
    """Raise TypeError if any of ``options``, which ``cls`` has none of, is none of all caches."""
    for option in options:
        if option not in _KNOWN:
            known = options_of(cls) or {*_KNOWN, "maxsize", "getsizeof", "timer"}
            raise TypeError(
                f"{cls.__name__} has no option {option!r}{nearest_option(option, known)}"
            )


class Setup(NamedTuple):
    """What a cache was told, checked: all that a copy of it needs besides the entries.

    What a policy is told besides, ``ttl`` or ``choice``, is the attributes of its caches.
    """

    timer: Callable[[], Any]
    teardown: Callable[[Any], object] | None
    reclaim: Callable[[], object] | None
    on_removal: Callable[[Removal], object] | None
    idle_ttl: float | None
    wait: float

    @classmethod
    def of(
        cls,
        timer: Callable[[], Any],
        *,
        teardown: Teardown | None = None,
        reclaim: Callable[[], object] | None = None,
        on_removal: Callable[[Removal], object] | None = None,
        idle_ttl: float | None = None,
        wait: float = 60.0,
        record: object = None,
    ) -> Setup:
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
            idle_ttl=checks.optional(checks.some_seconds, "idle_ttl", idle_ttl),
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
