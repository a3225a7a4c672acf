"""Real ``%autoreload`` of loaders with ``batch=``: what is called is the edited one."""

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

@warm(maxsize=5, batch="texts")
def load(texts):
    LOG.append(texts)
    return [text + "1" for text in texts]

@warm(maxsize=5)
def single(texts):
    LOG.append(texts)
    return [text + "1" for text in texts]

class Models:
    @warm(maxsize=5, batch="texts")
    def method(self, texts):
        LOG.append(texts)
        return [text + "1" for text in texts]
'''
EDITS = [
    ('+ "1"', '+ "2"'),
    ("maxsize=5", "maxsize=6"),
    ("texts):", "texts, more=0):"),
    ("batch=", "key={'texts': str.upper}, batch="),
]
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
cell("from edited_by_hand import load, single, Models; models = Models()")
for call in ("load", "models.method"):
    for old, new in EDITS:
        write(SOURCE)
        cell("pass")
        cell(call + ".cache_clear()")
        assert cell(call + "(['a', 'b'])") == ["a1", "b1"]
        LOG.clear()
        write(SOURCE.replace(old, new))
        expected = [text + ("2" if "2" in new else "1") for text in "aba"]
        assert cell(call + "(['a', 'b', 'a'])") == expected, (call, new)
        assert LOG == [["a", "b"]], (call, new, LOG)
        assert cell(call + "(('b', 'a'))") == expected[1:], (call, new)
        assert cell(call + ".contains('a')") and LOG == [["a", "b"]], (call, new, LOG)
write(SOURCE)
cell("pass")
cell("load(['a'])"), cell("single(('a', 'b'))")
LOG.clear()
without = SOURCE.replace(', batch="texts"', "")
write(without.replace("maxsize=5)\\ndef single", 'batch="texts")\\ndef single'))
assert cell("single(('a', 'b'))") == ["a1", "b1"] and cell("single.contains('b')")
assert cell("load(('a', 'b'))") == ["a1", "b1"] and not cell("load.contains('b')")
assert LOG == [["a", "b"], ("a", "b")], LOG
print("as it should be")
"""


@pytest.mark.parametrize("mode", ["2", "2 --full"])
def test_a_loader_of_several_is_the_edited_one(tmp_path: Path, mode: str) -> None:
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
    assert done.stdout.endswith("as it should be\n"), done.stdout + done.stderr
