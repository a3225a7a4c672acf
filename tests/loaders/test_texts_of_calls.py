"""A call is shown as it was written: in messages, records and the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from warmcache import warm


def spread(name: Any, *more: Any, **options: Any) -> None: ...


def only_more(*more: Any) -> None: ...


def only_options(**options: Any) -> None: ...


TEXTS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (spread, ("bob", 1), {"z": 2, "a": [1]}, "spread('bob', 1, a=list:(1,), z=2)"),
    (spread, ("ada",), {}, "spread('ada')"),
    (spread, ("ada", (1, 2)), {}, "spread('ada', (1, 2))"),
    (spread, ({1}, {2}), {}, "spread({1}, {2})"),
    (only_more, (1, 2), {}, "only_more(1, 2)"),
    (only_more, (), {}, "only_more()"),
    (only_more, ((1, 2),), {}, "only_more((1, 2))"),
    (only_options, (), {"b": 1, "a": 2}, "only_options(a=2, b=1)"),
    (only_options, (), {}, "only_options()"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "text"), TEXTS)
def test_the_text_of_a_call_spreads_out_what_the_call_did(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    load = warm(maxsize=3)(function)
    assert text == repr(load.cache_key(*args, **kwargs))
    load(*args, **kwargs)
    (entry,) = load.cache.entries()
    assert text == entry.call


def test_so_it_is_beside_a_version_an_instance_types_and_parts_of_the_key() -> None:
    class Models:
        @warm(maxsize=3, version=7)
        def load(self, *more: Any, **options: Any) -> None: ...

    models = Models()
    assert "load(<Models>, 7, 1, b=2)" == repr(models.load.cache_key(1, b=2))
    typed = repr(warm(maxsize=3, typed=True)(spread).cache_key("ada", 1))
    assert typed.startswith("spread('ada', 1, <class 'str'>")
    by_number = warm(maxsize=3, key={"more": len})(spread)
    assert "spread('ada', 2, b=3)" == repr(by_number.cache_key("ada", 8, 9, b=3))
    whole = warm(maxsize=3, key=lambda *more: more)(only_more)
    assert "only_more((1, 2))" == repr(whole.cache_key(1, 2))
