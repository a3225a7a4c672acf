"""What a notebook shows, run by a real kernel: tables, and the bar of work that takes a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import warmcache

pytestmark = pytest.mark.notebooks

SETUP = """
import time
import warmcache
from warmcache import warm

@warm(maxsize=3)
def load(name):
    time.sleep(0.15)
    if name == "none":
        raise OSError(name)
    return name
"""


def displayed(home: Path, monkeypatch: pytest.MonkeyPatch, *cells: str) -> list[list[Any]]:
    """Return the outputs of each of ``cells``, in a notebook."""
    import nbclient
    import nbformat

    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(warmcache.__file__).parents[1]))
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    nbclient.NotebookClient(notebook, timeout=50, allow_errors=True).execute()
    return [cell.outputs for cell in notebook.cells]


def test_a_loader_and_its_cache_are_displayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = SETUP, "load('<ada>');", "load", "load.cache"
    _, _, loader, cache = displayed(tmp_path, monkeypatch, *cells)
    assert "<warm load: 1 warm of 3>" == loader[0].data["text/plain"]
    assert "&lt;warm load: 1 warm of 3&gt;" in loader[0].data["text/html"]
    assert "LRUCache(1 warm of 3)" == cache[0].data["text/plain"]
    assert "<td>load(&#x27;&lt;ada&gt;&#x27;)</td>" in cache[0].data["text/html"]


def test_the_bar_moves_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = """
    import IPython.display
    seen, display = [], IPython.display.display
    class Handle:
        def update(self, bundle, raw):
            seen.append(bundle["text/plain"])
    def watched(bundle, **options):
        seen.append(bundle["text/plain"])
        return Handle()
    IPython.display.display = watched
    load.warm_up(["ada", "eve", "max"])
    IPython.display.display = display
    print(seen)
    """
    import textwrap

    cells = SETUP, "load.warm_up(['bob'])", textwrap.dedent(look)
    _, bar, seen = displayed(tmp_path, monkeypatch, *cells)
    assert [{"text/plain": "", "text/html": ""}] == [dict(each.data) for each in bar]
    steps = [f"warming up load() {n} of 3" for n in range(4)]
    assert str([*steps, ""]) == seen[0].text.strip()


def test_the_bar_is_gone_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bar = displayed(tmp_path, monkeypatch, SETUP, "load.warm_up(['ada', 'none'])")
    assert "" == bar[0].data["text/plain"]
    assert "OSError" == bar[1].ename and len(bar[1].traceback) <= 7


def test_a_simulation_is_displayed_and_goes_into_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("t_s,key,size_bytes,load_s\n" + "0,a,1,1\n1,b,1,2\n" * 5)
    simulate = f"found = warmcache.simulate({str(path)!r}, budgets=[1, 2]); found"
    frame = "import pandas; frame = pandas.DataFrame(found.as_dict())"
    cells = SETUP, simulate, f"{frame}; print(len(frame), frame.load_seconds.min())"
    _, found, printed = displayed(tmp_path, monkeypatch, *cells)
    assert "<table>" in found[-1].data["text/html"]
    assert "6 3.0" == printed[0].text.strip()


def test_a_kernel_that_is_shut_down_tears_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    loader = f"""
from pathlib import Path

@warm(teardown=lambda name: Path({str(gone)!r}).write_text(name))
def load_to_the_end(name):
    return name
"""
    displayed(tmp_path, monkeypatch, SETUP, loader, "load_to_the_end('ada')")
    assert "ada" == gone.read_text()
