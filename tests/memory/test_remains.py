"""What may be alive of a value that is torn down: what is held, and by how much that is charged."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from warmcache._core.state.remains import Remains

MiB = 2**20


class Thing:
    """A value, an owner of memory, or a tensor over it."""


def remains(
    *,
    weight: float = 8 * MiB,
    parts: Sequence[tuple[Thing, int]] = (),
    faces: Sequence[Thing] = (),
    whole: Thing | None = None,
    used: Callable[[], int | None] = lambda: None,
    patience: float = math.inf,
    ask: bool = False,
) -> Remains:
    return Remains(
        "k",
        weight,
        parts=[(weakref.ref(part), size) for part, size in parts],
        faces=[weakref.ref(face) for face in faces],
        whole=None if whole is None else weakref.ref(whole),
        used=used,
        patience=patience,
        ask=ask,
    )


def test_what_is_held_is_the_value_before_its_faces_and_these_before_its_parts() -> None:
    things: dict[str, Any] = {name: Thing() for name in ("whole", "face", "part")}
    found = remains(parts=[(things["part"], MiB)], faces=[things["face"]], whole=things["whole"])
    for name in ("whole", "face", "part"):
        assert [things[name]] == found.held()
        del things[name]
    assert [] == found.held() == found.living()


def test_of_a_value_without_known_parts_it_is_the_value_that_lives() -> None:
    whole = Thing()
    found = remains(whole=whole)
    assert [whole] == found.living() and 8 * MiB == found.left()
    del whole
    assert [] == found.living() and 0 == found.left()


def test_what_is_left_is_the_share_of_its_parts_that_live_in_whole_bytes() -> None:
    parts = [Thing(), Thing(), Thing()]
    found = remains(weight=100, parts=[(part, 1) for part in parts])
    assert 100 == found.left()
    for left in (67, 34, 0):
        parts.pop()
        assert left == found.left()


@pytest.mark.parametrize(("back", "confirmed"), [(5, False), (6, True), (8, True)])
def test_where_the_device_is_asked_it_shows_three_quarters_of_it_at_least(
    back: int, confirmed: bool
) -> None:
    used = [20 * MiB]
    found = remains(used=lambda: used[0], ask=True)
    used[0] -= back * MiB
    assert confirmed is found.confirmed() is found.came_back(used[0])


def test_what_another_gave_back_is_not_taken_for_it() -> None:
    used = [20 * MiB]
    found = remains(used=lambda: used[0], ask=True)
    found.another_came_back(4 * MiB)
    used[0] -= 8 * MiB
    assert not found.confirmed()
    used[0] -= 2 * MiB
    assert found.confirmed()


@pytest.mark.parametrize(
    ("weight", "asked"), [(MiB - 1, False), (MiB, True)], ids=["noise", "no noise"]
)
def test_a_device_is_not_asked_for_what_is_too_little_to_be_seen(weight: int, asked: bool) -> None:
    assert asked is not remains(weight=weight, used=lambda: 20 * MiB, ask=True).confirmed()


def test_a_device_that_knows_nothing_any_more_is_not_waited_for() -> None:
    used: list[int | None] = [20 * MiB]
    found = remains(used=lambda: used[0], ask=True)
    used[0] = None
    assert found.confirmed()


@pytest.mark.parametrize(("patience", "overdue"), [(0, True), (math.inf, False)])
def test_it_is_overdue_when_the_patience_is_over(patience: float, overdue: bool) -> None:
    assert overdue is remains(patience=patience).overdue()
