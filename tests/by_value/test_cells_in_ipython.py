"""Cells run again in a real IPython shell: unchanged, edited, and with what was displayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_shell import shown_by_ipython

FUNCTION = """
from warmcache import warm

FACTOR = 1

@warm(maxsize=1, teardown=lambda model: print("close", model))
def load(name):
    print("load", name)
    return [name] * FACTOR
"""
CLASS = """
from warmcache import warm

FACTOR = 1

@warm(maxsize=1, teardown=lambda model: print("close", model))
class load:
    def __init__(self, name):
        print("load", name)
        self.parts = [name] * FACTOR
    def __repr__(self):
        return repr(self.parts)
"""
METHOD = """
from warmcache import warm

FACTOR = 1

class Models:
    @warm(maxsize=1, teardown=lambda model: print("close", model))
    @classmethod
    def load(cls, name):
        print("load", name)
        return [name] * FACTOR

def load(name):
    return Models.load(name)
"""
CELLS = {
    "a function": FUNCTION,
    "a class": CLASS,
    "a class method": METHOD,
    "a timed cell": "%%time" + FUNCTION,
    "a function whose cache is shared": FUNCTION.replace(
        "maxsize=1", "cache=warmcache.cache('shared', maxsize=2)"
    ).replace("from", "import warmcache\nfrom", 1),
}
# What may keep a loader, or what it gave, from being collected: displayed, and in a traceback.
SHOWN = {
    "nothing": "_ = load('ada')",
    "the value": "load('ada')",
    "the loader": "load('ada'); load",
    "the cache": "load('ada'); Models.load.cache if 'Models' in globals() else load.cache",
    "an error": "load('ada'); load([object(), 1 / 0])",
}
AGAIN = "_ = load('ada')"


def edited(cell: str) -> str:
    return cell.replace("FACTOR = 1", "FACTOR = 2")


@pytest.mark.parametrize(
    ("cell", "shown"),
    [*((cell, "the loader") for cell in CELLS), *(("a function", shown) for shown in SHOWN)],
)
def test_an_unchanged_cell_keeps_and_an_edited_one_lets_go_before_it_loads(
    cell: str, shown: str, tmp_path: Path
) -> None:
    source = CELLS[cell]
    cells = source, SHOWN[shown], source, AGAIN, edited(source), SHOWN[shown], AGAIN
    first, kept, anew, again = (shown_by_ipython(tmp_path, *cells)[at] for at in (1, 3, 5, 6))
    assert first.startswith("load ada\n")
    assert "" == kept
    assert anew.startswith("close ['ada']\nload ada\n")
    assert "" == again


def test_a_cell_with_an_asynchronous_loader_is_no_exception(tmp_path: Path) -> None:
    source = FUNCTION.replace("def load", "async def load")
    call = "_ = await load('ada')"
    shown = shown_by_ipython(tmp_path, source, call, source, call, edited(source), call)
    assert ["load ada\n", "", "close ['ada']\nload ada\n"] == shown[1::2]


def test_loaders_that_a_function_makes_are_left_alone(tmp_path: Path) -> None:
    source = """
    from warmcache import warm

    def make(factor):
        @warm(maxsize=1)
        def load(name):
            print("load", name)
            return [name] * factor
        return load

    one, two = make(1), make(2)
    """
    cells = source, "one('ada'), two('ada'); old = one", source, "one('ada')", "old.contains('ada')"
    shown = shown_by_ipython(tmp_path, *cells)
    assert "load ada\nload ada\n" == shown[1]
    assert shown[3].startswith("load ada\n")
    assert "Out[5]: True" == shown[4].strip()


def test_a_module_that_was_only_saved_again_keeps_what_is_warm(tmp_path: Path) -> None:
    (tmp_path / "saved.py").write_text(FUNCTION)
    save = f"""
    import os, pathlib
    file, SAVED = pathlib.Path({str(tmp_path)!r}, "saved.py"), globals().get("SAVED", 2e9) + 10
    file.write_text(file.read_text())
    os.utime(file, (SAVED, SAVED))
    """
    edit = save.replace("read_text()", "read_text().replace('[name] *', '2 * [name] *')")
    cells = [
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
        "%load_ext autoreload",
        "%autoreload 2",
        "from saved import load",
        "load('ada');",
        save,
        "load('ada');",
        edit,
        "load('ada');",
    ]
    shown = shown_by_ipython(tmp_path, *cells)
    assert ["load ada\n", ""] == [shown[4], shown[6]]
    assert "close ['ada']\nload ada\n" == shown[8]
