"""Routers of a few workers, for the tests of routing."""

from __future__ import annotations

from typing import Any

import pytest

from warmcache.routing import Backlog, Placement, Router

Anything = Router[Any, Any] | Backlog[Any, Any]
ANY = pytest.mark.parametrize("make", [Router, Backlog])
UNTOLD = 8.0  # patience before anything is known


def router(workers: int = 2, slots: int = 1) -> Router[int, str]:
    made: Router[int, str] = Router()
    for worker in range(workers):
        made.add(worker, slots)
    return made


def backlog(workers: int = 2, slots: int = 1) -> Backlog[int, str]:
    made: Backlog[int, str] = Backlog()
    for worker in range(workers):
        made.add(worker, slots)
    return made


def taken(of: Backlog[Any, Any]) -> list[Placement[Any, Any]]:
    return list(iter(of.take, None))


def place(of: Anything, key: Any) -> Placement[Any, Any]:
    """Return where a request for ``key`` runs that nothing holds up."""
    if isinstance(of, Router):
        return of.pick(key)
    of.submit(key)
    placement = of.take()
    assert placement is not None
    return placement


def kept(of: Anything) -> dict[str, Any]:
    """Return what is left in the books."""
    left: dict[str, Any] = {"models": dict(of._models)}
    for worker in of._workers.values():
        left[f"of {worker.name}"] = (len(worker.placed), dict(worker.booked), worker.loading)
    return left
