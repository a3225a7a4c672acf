"""The notebooks among the examples run, show what they promise, and lie here without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import warmcache

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What is seen in each, in this order.
SHOWN = {
    "model_in_a_notebook": [
        "load ada fp16\n",
        "('ada says olleh', 'ada says niaga')",
        "close ada\nload bob fp16\n",
        "'bob says olleh'",
        "bob says em sesolc ydobon\n",
        "'bob says ereh llits'",  # and nothing is loaded for it
        "close bob\nload bob fp32\n",
        "'bob says trats eht morf'",
        "<warm load: 1 warm of 1>",
        "LRUCache(1 warm of 1)",
        "close bob\n",
    ],
    "simulate": [
        "2000 requests\n",
        "20.0% 4   cost           1,431",
        "policy='cost', maxsize=4",
        "4       1431.0",
    ],
    "who_holds_it": [
        "HostMemoryCache(2 warm, 48.0 MiB of 64.0 MiB)",
        "next to go: load('ada', 24)",
        """["load('bob', 24)", "load('eve', 24)"]""",
        "False",
        "torn down, but still held outside, by __main__.kept; `del kept`, raise budget",
        "HostMemoryCache(1 warm, 48.0 MiB of 64.0 MiB)",
        "{'size': 2, 'explicit': 1}",
    ],
}


def _text(output: Any) -> str:
    """Return what ``output`` shows; that of a bar that is gone is empty."""
    return str(output.text if "text" in output else output.data["text/plain"])


def test_each_notebook_is_told_what_it_shows() -> None:
    assert [*SHOWN] == [notebook.stem for notebook in NOTEBOOKS]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_lies_here_without_outputs_and_without_whose_kernel_it_was(
    notebook: Path,
) -> None:
    text = notebook.read_text(encoding="utf-8")
    found = json.loads(text)
    assert METADATA == found["metadata"]
    assert all({} == cell["metadata"] for cell in found["cells"])
    code = [cell for cell in found["cells"] if "code" == cell["cell_type"]]
    assert [(None, [])] * len(code) == [(each["execution_count"], each["outputs"]) for each in code]
    assert json.dumps(found, indent=1, ensure_ascii=False) + "\n" == text


@pytest.mark.notebooks
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_promises(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(warmcache.__file__).parents[1]))
    read = nbformat.read(notebook, as_version=4)
    nbformat.validate(read)
    nbclient.NotebookClient(read, timeout=50).execute()  # which raises what a cell does
    outputs = [each for cell in read.cells if "code" == cell.cell_type for each in cell.outputs]
    text = "\n".join(map(_text, outputs))
    for each in SHOWN[notebook.stem]:
        assert each in text
        text = text.partition(each)[2]
    if "model_in_a_notebook" == notebook.stem:  # where nothing else is printed
        assert SHOWN[notebook.stem] == [*map(_text, outputs)]
