"""Packages that a test writes, imports and edits."""

from __future__ import annotations

import importlib
import itertools
import linecache
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from warmcache._disk.code_digest import code_digest

_numbers = itertools.count()


class Packages:
    """Packages of one name, one after the other, each in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch

    def load(self, files: Mapping[str, str], module: str = "app.main") -> ModuleType:
        """Return ``module`` of the package that these files are."""
        place = self._folder / str(next(_numbers))
        for name, text in {"app/__init__.py": "", **files}.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            self._monkeypatch.delitem(sys.modules, name)
        self._monkeypatch.syspath_prepend(place)
        importlib.invalidate_caches()
        linecache.clearcache()
        return importlib.import_module(module)

    def digest(self, main: str = "", /, what: str = "load", **files: str) -> str:
        """Return the digest of what a module says, beside others that are named here."""
        written = {f"app/{name}.py": text for name, text in {"main": main, **files}.items()}
        return code_digest(eval(what, vars(self.load(written))))
