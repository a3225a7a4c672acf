"""The host as a tier: what it is told; where bytes lie that had to leave a device."""

from __future__ import annotations

from typing import Any, Literal

from warmcache import _checks as checks
from warmcache._tracebacks import one_frame

_WHOLE = "the machine's memory"


class HostTier:
    """What a memory cache parks in host memory, instead of tearing it down: ``host=``.

    Args:
        budget: the most host memory to take: bytes, ``"64GiB"``, or a fraction of the machine.
        page_locked: whether the system may not move it, which a GPU copies faster from:
            ``"auto"`` where that helps, and can be. With True, nothing is parked elsewhere, and a
            cache of the machine's memory refuses it.
        retain: whether the host's copy stays while the value is on the device, so that parking
            it again copies nothing. Only for values that nobody writes to.
        below: a key is parked as long as getting it back takes less than this share of what
            loading it anew does.

    Raises:
        TypeError: an option is of the wrong kind.
        ValueError: it is out of its range.
    """

    __slots__ = ("below", "budget", "page_locked", "retain")

    budget: float | str
    page_locked: bool | Literal["auto"]
    retain: bool
    below: float

    @one_frame
    def __init__(
        self,
        budget: float | str,
        *,
        page_locked: bool | Literal["auto"] = "auto",
        retain: bool = False,
        below: float = 0.8,
    ) -> None:
        checks.share("budget", budget, _WHOLE)
        if page_locked != "auto" and not isinstance(page_locked, bool):
            raise checks.type_error("page_locked", "True, False or 'auto'", page_locked)
        checks.flag("retain", retain)
        checks.fraction("below", below)
        for name, value in zip(_OPTIONS, (budget, page_locked, retain, below), strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a HostTier stays as it is: make another, HostTier(..., {name}=...)")

    def __eq__(self, other: object) -> bool:
        return self._said() == other._said() if isinstance(other, HostTier) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._said())

    def __reduce__(self) -> Any:
        return _again, self._said()

    def __warm_digest__(self) -> Any:
        return self._said()

    def _said(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _OPTIONS)

    def __repr__(self) -> str:
        said = zip(_OPTIONS[1:], self._said()[1:], _USUAL, strict=True)
        more = "".join(f", {name}={value!r}" for name, value, usual in said if value != usual)
        return f"HostTier({self.budget!r}{more})"


_OPTIONS = ("budget", "page_locked", "retain", "below")
_USUAL = ("auto", False, 0.8)


def _again(*said: Any) -> HostTier:
    return HostTier(said[0], **dict(zip(_OPTIONS[1:], said[1:], strict=True)))


def as_host_tier(option: str, said: Any) -> HostTier:
    """Return the tier that ``host=`` means: itself, or one of that budget.

    Raises:
        TypeError: it is of the wrong kind.
        ValueError: it is out of its range.
    """
    if isinstance(said, HostTier):
        return said
    checks.share(option, said, _WHOLE)
    return HostTier(said)
