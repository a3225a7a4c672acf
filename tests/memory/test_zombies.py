"""What was torn down and held outside: it is charged until nobody holds it, and no longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from rigs import GiB, Model, Rig, blocks

from warmcache import RemovalCause, warm
from warmcache.testing import assert_consistent

CAP = 5.0


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Only what the cache itself collects is collected."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Knot(Model):
    """A value in a cycle."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.me = self


def zombie_of(rig: Rig, gib: int = 5) -> list[Knot]:
    """Return the one reference to a value that was torn down."""

    @warm(cache=rig.cache, size=gib * GiB)
    def knot() -> Knot:
        return Knot(rig.probe, gib * GiB)

    # Or the janitor may hold it just now, looking for who else does.
    rig.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
    kept = [knot()]
    knot.evict()
    rig.cache.expire_now()
    return kept


@pytest.mark.parametrize("seen", [True, False])
def test_a_zombie_in_a_cycle_that_was_let_go_is_in_no_statistics(seen: bool) -> None:
    rig = Rig(confirm=0, **(dict(footprint=blocks) if seen else {}))
    kept = zombie_of(rig)
    assert 5 == rig.gib("zombies")
    kept.clear()
    assert (0, 0) == (rig.gib("zombies"), rig.gib("dying"))
    assert_consistent(rig.cache)


def test_garbage_goes_before_anything_that_is_warm() -> None:
    rig = Rig(budget=10 * GiB, confirm=0, footprint=blocks)
    load = rig.loader(size="4GiB")
    load("a", 4)
    kept = zombie_of(rig)
    kept.clear()
    load("b", 4)
    assert load.contains("a", 4), rig.cache.stats()
    assert RemovalCause.SIZE not in rig.cache.stats().removals


def test_garbage_is_never_in_the_way_of_a_load() -> None:
    rig = Rig(budget=5 * GiB, confirm=0, footprint=blocks)
    zombie_of(rig).clear()
    load = rig.loader(size="4GiB")
    load("b", 4)
    assert 4 == rig.gib("live")


def test_what_is_let_go_in_a_cycle_before_it_is_given_up_is_no_zombie(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(confirm=0.05, footprint=blocks)

    @warm(cache=rig.cache, size="5GiB")
    def knot() -> Knot:
        return Knot(rig.probe, 5 * GiB)

    rig.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
    kept = [knot()]
    knot.evict()
    kept.clear()
    while rig.cache.stats().dying:
        rig.cache.expire_now()
    assert 0 == rig.gib("zombies")
    assert "still held" not in caplog.text
