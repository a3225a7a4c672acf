"""What tests of loaders that are defined anew share: a notebook, a module that is edited."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import by_value


class Notebook(dict[str, Any]):
    """The namespace of a notebook, and what runs its cells."""

    def __init__(self, **names: Any) -> None:
        super().__init__(__name__="__main__", note=by_value.note, **names)

    def run(self, source: str, *edit: str) -> Any:
        """Run a cell, with an edit of it, and return the loader of that name."""
        source = textwrap.dedent(source)
        if edit:
            assert source.count(edit[0]) > 0
            source = source.replace(*edit)
        exec(compile(source, "<cell>", "exec"), self)
        return self.get("load")


class EditedModule:
    """A module in a file, which is imported and edited."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.py"
        self.name = name

    def write(self, source: str, *edit: str) -> None:
        source = textwrap.dedent(source)
        if edit:
            assert source.count(edit[0]) > 0
            source = source.replace(*edit)
        self.file.write_text("from by_value import note\n" + source)
        later = getattr(self, "_later", self.file.stat().st_mtime) + 5  # or a file is not read anew
        os.utime(self.file, (later, later))
        self._later = later

    def imported(self, source: str) -> Any:
        self.write(source)
        return importlib.import_module(self.name)

    def reloaded(self, source: str, *edit: str) -> Any:
        self.write(source, *edit)
        return importlib.reload(sys.modules[self.name])


@contextmanager
def edited_module(folder: Path, name: str = "edited_module") -> Iterator[EditedModule]:
    """Have a folder to import a module of that name from."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield EditedModule(folder, name)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)


def update_in_place(old: Any, new: Any) -> None:
    """Do to a function what ``%autoreload`` does: give it what makes another one."""
    for name in ("__code__", "__defaults__", "__doc__", "__closure__", "__globals__", "__dict__"):
        with suppress(AttributeError, TypeError):
            setattr(old, name, getattr(new, name))
