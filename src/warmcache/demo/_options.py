"""What the demo can be told, and what it says when that makes no sense."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from warmcache import policies


class DemoError(Exception):
    """The demo cannot do what it was asked for; one line says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``warmcache demo`` was told; ``budget`` in bytes, for all ``workers`` together.

    ``disk`` is the folder in which converted models are kept. ``host`` is how many bytes those may
    take that are parked; True: twice the budget, or what fits.
    """

    requests: int = 250
    budget: int = 160 * 2**20
    policy: str = "auto"
    seed: int = 0
    threads: int = 4
    workers: int = 1
    out: Path = Path("warmcache-demo")
    disk: Path | None = None
    host: int | Literal[True] | None = None

    @property
    def crew(self) -> str:
        """How many threads serve, in words."""
        return f"{self.threads} thread" + ("s" if self.threads > 1 else "")


def check_policy(name: str) -> None:
    """Raise DemoError unless ``name`` is a policy that a maxsize is enough for."""
    try:
        missing = _missing(name)
    except KeyError as error:
        raise DemoError(f"--policy: {error.args[0]}") from None
    if missing:
        enough = ", ".join(other for other in policies.names() if not _missing(other))
        raise DemoError(
            f"--policy: {name!r} needs more than a maxsize: {', '.join(missing)}. "
            f"The demo can use: {enough}"
        )


def _missing(name: str) -> list[str]:
    """Return the options that the policy requires besides its maxsize."""
    parameters = inspect.signature(policies.registry[name]).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in ("maxsize", "budget")
    ]


def make_folder(folder: Path) -> None:
    """Create the folder for the picture. Raises DemoError when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DemoError(f"--out: cannot make the folder '{folder}': {reason}") from None
