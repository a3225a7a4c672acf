"""Real ``%autoreload``: what is called and what is asked are one loader, after whatever edit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import warmcache

PROGRAM = """
import builtins, os, sys
from IPython.core.interactiveshell import InteractiveShell

folder, mode = sys.argv[1:]
sys.path.insert(0, folder)
builtins.LOG = LOG = []
SOURCE = '''
from warmcache import warm

def helper(name):
    return name, 0

@warm(maxsize=1, teardown=lambda value: LOG.append("close"))
def load(name):
    LOG.append("load")
    return helper(name)

class Models:
    @warm(maxsize=1, teardown=lambda value: LOG.append("close"))
    def method(self, name):
        LOG.append("load")
        return helper(name)

    @warm(maxsize=1, teardown=lambda value: LOG.append("close"))
    @classmethod
    def of_class(cls, name):
        LOG.append("load")
        return helper(name)

@warm(maxsize=1, teardown="close")
class Model:
    def __init__(self, name):
        LOG.append("load")

    def close(self):
        LOG.append("close")
'''
EDITS = [
    ("LOG.append('load')", "LOG.extend(['load'])"),
    ("maxsize=1", "maxsize=2"),
    ("name):", "name, more=0):"),
    ("maxsize=1", "version=2, maxsize=1"),
]
SOURCE = SOURCE.replace('"load"', "'load'")
file, edited = os.path.join(folder, "edited_by_hand.py"), 1_000_000_000

def write(source):
    global edited
    edited += 10
    with open(file, "w") as opened:
        opened.write(source)
    os.utime(file, (edited, edited))

def cell(source):
    result = shell.run_cell(source)
    result.raise_error()
    return result.result

write(SOURCE)
shell = InteractiveShell.instance()
cell("%load_ext autoreload")
cell("%autoreload " + mode)
cell("from edited_by_hand import load, Models, Model; models = Models()")
for call in ("load", "models.method", "Models.of_class", "Model"):
    for old, new in EDITS:
        write(SOURCE)
        cell("pass")
        for each in ("load", "models.method", "Models.of_class", "Model"):
            cell(each + ".cache_clear()")
        cell(call + "('a')")
        LOG.clear()
        write(SOURCE.replace(old, new))
        cell(call + "('a')")
        assert LOG == ["close", "load"], (call, new, LOG)
        cell(call + "('a')")
        assert LOG == ["close", "load"], (call, new, LOG)
        assert cell(call + ".contains('a')"), (call, new)
        cell(call + ".cache_clear()")
        cell(call + "('a')")
        assert LOG == ["close", "load"] * 2, (call, new, LOG)
print("as it should be")
"""


@pytest.mark.parametrize("mode", ["2", "2 --full"])
def test_a_loader_is_the_edited_one_in_all(tmp_path: Path, mode: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(Path(warmcache.__file__).parents[1]), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, program, tmp_path, mode],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "as it should be" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
