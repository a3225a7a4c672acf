"""What the tests of benchmarks share that write a page: a small run, and the page that there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKERS = "<!-- results: begin -->", "<!-- results: end -->"


def empty_page(folder: Path, page: str) -> Path:
    """Write a page that has nothing between its markers."""
    path = folder / f"{page}.md"
    path.write_text(f"before\n{''.join(MARKERS)}\nafter\n")
    return path


def written(folder: Path, page: str, said: str) -> str:
    """Return a page that has what was ``said`` between its markers, and a picture beside it."""
    text = (folder / f"{page}.md").read_text()
    assert said.strip() in text
    assert ("before\n", "\nafter\n") == (text[:7], text[-7:])
    assert (folder / f"{page}.png").read_bytes().startswith(b"\x89PNG")
    return text


def small_run(name: str, folder: Path, *options: str, page: str | None = None) -> str:
    """Run ``benchmarks.name`` in its smallest size; return its page."""
    page = page or name
    empty_page(folder, page)
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55)
    assert 0 == done.returncode, done.stderr
    return written(folder, page, done.stdout)


def page_in_docs(page: str) -> str:
    """Return a page of the docs, which has its markers once each."""
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    assert [1, 1] == [text.count(marker) for marker in MARKERS]
    return text
