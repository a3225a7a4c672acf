"""Members of a node: in this process, and in others that are killed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from node_members import Member, Start, processes


@pytest.fixture
def start() -> Iterator[Start]:
    with processes() as begin:
        yield begin


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Callable[..., Member]]:
    made: list[Member] = []

    def make(**options: Any) -> Member:
        made.append(Member(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
