"""The host as a tier: what it is told; where bytes lie that had to leave a device."""

from __future__ import annotations

from typing import Any, Literal

from warmcache import _checks as checks
from warmcache._tracebacks import one_frame


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

    @one_frame
    def __init__(
        self,
        budget: float | str,
        *,
        page_locked: bool | Literal["auto"] = "auto",
        retain: bool = False,
        below: float = 0.8,
    ) -> None:
        self.budget = checks.share("budget", budget)
        if page_locked != "auto" and not isinstance(page_locked, bool):
            raise checks.type_error("page_locked", "True, False or 'auto'", page_locked)
        self.page_locked: bool | Literal["auto"] = page_locked
        self.retain = checks.flag("retain", retain)
        self.below = checks.fraction("below", below)

    def __eq__(self, other: object) -> bool:
        return self._said() == other._said() if isinstance(other, HostTier) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._said())

    def __reduce__(self) -> Any:
        return _again, self._said()

    def __warm_digest__(self) -> Any:
        return self._said()

    def _said(self) -> tuple[Any, ...]:
        return self.budget, self.page_locked, self.retain, self.below

    def __repr__(self) -> str:
        return f"HostTier({self.budget!r}, below={self.below!r})"


def _again(budget: Any, page_locked: Any, retain: bool, below: float) -> HostTier:
    return HostTier(budget, page_locked=page_locked, retain=retain, below=below)


def as_host_tier(option: str, said: Any) -> HostTier:
    """Return the tier that ``host=`` means: itself, or one of that budget.

    Raises:
        TypeError: it is of the wrong kind.
        ValueError: it is out of its range.
    """
    if isinstance(said, HostTier):
        return said
    checks.share(option, said)
    return HostTier(said)
