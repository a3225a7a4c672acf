"""Modules of the benchmarks, which are no package that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from benchmark_pages import ROOT


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return what imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")
