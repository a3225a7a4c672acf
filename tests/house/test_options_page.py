"""The page of options has each option that there is, and its default."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import policies
from warmcache._loaders.loader_options import LoaderOptions
from warmcache.caches.options import Setup
from warmcache.memory.setup import MemorySetup

PAGE = (Path(__file__).parents[2] / "docs/reference/options.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
DEFAULTS = {name: default for name, _, default in ROWS}


def _defaults(made: Any) -> dict[str, Any]:
    """Return what the parameters of ``made`` are where nobody says."""
    parameters = inspect.signature(made).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


IN_CODE = {
    **_defaults(warmcache.GDSFCache),
    **_defaults(MemorySetup.of),
    **_defaults(Setup.of),
    **LoaderOptions._field_defaults,
}
OPTIONS = {"policy", "cache", *LoaderOptions._fields}.union(
    *(policies.registry.options(name) or () for name in policies.names())
)


def test_every_option_is_in_one_table() -> None:
    assert sorted(OPTIONS) == sorted(name for name, _, _ in ROWS)


@pytest.mark.parametrize("option", sorted({*IN_CODE} & OPTIONS))
def test_the_default_is_that_of_the_code(option: str) -> None:
    code = re.match(r"`(.+?)`", DEFAULTS[option])
    assert code is not None, f"{option}: {DEFAULTS[option]}"
    module = {"time": __import__("time")}
    assert eval(code[1], module) == IN_CODE[option]  # what the page says is our own
