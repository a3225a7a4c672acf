"""A real IPython shell, in a process of its own, which is given cells and says what it printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import warmcache

_SHELL = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="{no_colour}")
shell.InteractiveTB.set_mode(mode="Context")
shown = []
for cell in json.load(sys.stdin):
    text = io.StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        shell.run_cell(cell, store_history=True)  # what makes it a prompt, with an Out
    shown.append(text.getvalue())
sys.__stdout__.write("\\0" + json.dumps(shown) + "\\0")
sys.__stdout__.flush()
"""


def shown_by_ipython(home: Path, *cells: str, **environment: str) -> list[str]:
    """Return what each of ``cells`` shows, its output, its tracebacks and what is logged."""
    done = subprocess.run(
        [sys.executable, "-c", _SHELL.replace("{no_colour}", "nocolor")],
        input=json.dumps([textwrap.dedent(cell) for cell in cells]),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(warmcache.__file__).parents[1]),
            "HOME": str(home),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    parts = done.stdout.split("\0")  # the last is what teardowns print as the process ends
    assert 3 == len(parts), done.stdout[-2000:] + done.stderr[-2000:]
    return list(json.loads(parts[1]))
