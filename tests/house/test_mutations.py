"""The tool that mutates finds what no test notices, and nothing else: on a package of few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "mutations"
SOURCE = """
def within(number, limit=3):
    if number < limit:
        return number
    return limit


def half_tested(flag):
    return not flag and len(flag) >= 0


def untested(thing):
    thing.name = None
"""
TESTS = """
import subprocess
import sys

import tiny


def test_within():
    assert [2, 3] == [tiny.within(2), tiny.within(4)]


def test_half_in_a_process_of_its_own():
    script = "import tiny; assert tiny.half_tested([])"
    subprocess.run([sys.executable, "-c", script], check=True)
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A tree in which there is a package with tests."""
    files = {"src/tiny/__init__.py": SOURCE, "tests/test_tiny.py": TESTS}
    for file, text in {**files, "pyproject.toml": "[tool.pytest.ini_options]\n"}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def mutations(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TOOL, "--root", root, "--source", "src/tiny", "--tests", "tests"]
    command += ["--workers", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)


PLACE = "src/tiny/__init__.py"
BARE = f"{PLACE}  within:  number < limit  ->  (number <= limit)"  # which makes no difference
HALF = "not flag and len(flag) >= 0  ->  (not flag or len(flag) >= 0)"


def test_what_is_tested_is_caught_and_what_is_not_is_told(tiny: Path) -> None:
    done = mutations(tiny, "--at-least", "67")
    assert [
        f"not noticed: {PLACE}:2  within:  3  ->  4",
        f"not noticed: {BARE.replace(PLACE, f'{PLACE}:3')}",
        f"not noticed: {PLACE}:9  half_tested:  {HALF}",
        f"not reached: {PLACE}:13  untested:  thing.name = None  ->  pass",
    ] == done.stdout.splitlines()[:-1], done.stderr
    assert "caught 8 of 12 (0 hung), 66.7 %" in done.stdout
    assert 1 == done.returncode, "it is less than was asked for"


def test_what_is_known_to_make_no_difference_is_not_tried(tiny: Path) -> None:
    known = tiny / "tests/mutations/equivalent.txt"
    known.parent.mkdir()
    known.write_text(f"# It returns the same.\n{BARE}\n")
    done = mutations(tiny, "--only", "number < limit", "--sample", "9", "--at-least", "100")
    assert 0 == done.returncode and "caught 2 of 2 " in done.stdout, done.stderr


def test_what_is_known_to_make_no_difference_has_to_be_there(tiny: Path) -> None:
    known = tiny / "tests/mutations/equivalent.txt"
    known.parent.mkdir()
    known.write_text(f"{PLACE}  gone:  1  ->  2\n")
    done = mutations(tiny)
    assert 1 == done.returncode
    assert "gone:  1  ->  2" in done.stderr


def test_where_there_is_nothing_to_change_it_says_so(tiny: Path) -> None:
    done = mutations(tiny, "--only", "nowhere")
    assert 1 == done.returncode
    assert "nothing to change in src/tiny with 'nowhere'" in done.stderr


def test_tests_that_fail_before_anything_is_changed_say_nothing(tiny: Path) -> None:
    (tiny / "tests/test_tiny.py").write_text("def test_it(): assert False\n")
    done = mutations(tiny)
    assert 1 == done.returncode
    assert "no test passes, though nothing was changed" in done.stderr
