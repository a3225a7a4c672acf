"""What makes two calls one on disk, where keywords are called as arguments are."""

from __future__ import annotations

from typing import Any

from warmcache import DiskTier, warm


def test_a_keyword_counts_that_is_called_as_the_collected_arguments_are(tier: DiskTier) -> None:
    load: Any = warm(disk=tier, name="load", code=False)(lambda *a, b=0, **c: [a, b, c])
    keywords: list[dict[str, Any]] = [
        *({}, {"a": 1}, {"a": 2}, {"c": 1}, {"c": {"a": 1}}, {"b": 1}, {"b": 1, "a": 1})
    ]
    for _ in "memory", "disk":
        for given in keywords:
            rest = {name: value for name, value in given.items() if name != "b"}
            assert [(), given.get("b", 0), rest] == load(**given)
        load.cache.clear()


def test_a_keyword_counts_that_is_called_as_a_positional_argument_is(tier: DiskTier) -> None:
    @warm(disk=tier, name="load", code=False)
    def load(path: str, /, **options: Any) -> list[Any]:
        return [path, options]

    for _ in "memory", "disk":
        assert ["x", {"path": "y"}] == load("x", path="y")
        assert ["x", {"path": "z"}] == load("x", path="z")
        assert ["x", {}] == load("x")
        load.cache.clear()
