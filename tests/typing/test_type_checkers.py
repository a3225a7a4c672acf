"""mypy and pyright find what is wrong, nothing in what is right, and nothing in the docs."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest
from completion import completions
from page_modules import modules_of
from type_checkers import Finding, mypy, pyright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STRICT = {"docs/howto/many-models-one-gpu.md"}  # which shows types too
RIGHT = [file for file in sorted(HERE.glob("*.py")) if not file.name.startswith("test_")]
WRONG = sorted((HERE / "wrong").glob("*.py"))
# What is no mistake of an example: it leaves out what annotates it, shows a value by naming it,
# or imports what only engines bring.
OF_PAGES = (
    "--check-untyped-defs",
    "--ignore-missing-imports",
    "--disable-error-code=var-annotated",
)

pytestmark = [pytest.mark.types, pytest.mark.timeout(180)]


def _copied(files: list[Path], folder: Path) -> list[Path]:
    return [Path(shutil.copy(file, folder)) for file in files]


def _expected(files: list[Path]) -> set[tuple[str, int, str]]:
    return {
        (file.name, number, code)
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        for code in re.findall(r"  # error: (\S+)$", line)
    }


def test_mypy_finds_the_errors_that_the_lines_say_and_no_other(tmp_path: Path) -> None:
    found = mypy(_copied(WRONG, tmp_path), "--strict")
    assert len(_expected(WRONG)) > 60
    assert _expected(WRONG) == {(each.file, each.line, each.code) for each in found}


def test_pyright_finds_errors_on_the_same_lines_and_no_other(tmp_path: Path) -> None:
    found = pyright(_copied(WRONG, tmp_path), typeCheckingMode="standard")
    assert {each[:2] for each in _expected(WRONG)} == {(each.file, each.line) for each in found}


def test_neither_finds_anything_in_what_is_right(tmp_path: Path) -> None:
    files = _copied(RIGHT, tmp_path)
    assert {"caches.py", "loaders.py", "options.py"} == {file.name for file in files}
    assert [] == mypy(files, "--strict", "--warn-unreachable")
    assert [] == pyright(files, typeCheckingMode="standard")


def _pages(folder: Path, *, strict: bool = False) -> list[Path]:
    """Write the Python of the pages to files, on the very lines that it has there."""
    written = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        if strict and name not in STRICT:
            continue
        found = modules_of(page.read_text(encoding="utf-8"), re.sub(r"\W", "_", name))
        for module, source in found.items():
            written.append(folder / f"{module}.py")
            written[-1].write_text(source, encoding="utf-8")
    return written


def test_mypy_finds_nothing_in_the_docs(tmp_path: Path) -> None:
    pages = _pages(tmp_path)
    assert len(pages) > 30
    assert [] == mypy(pages, *OF_PAGES)


def test_pyright_finds_nothing_in_the_docs(tmp_path: Path) -> None:
    quiet = dict.fromkeys(["reportMissingImports", "reportUnusedExpression"], "none")
    assert [] == pyright(_pages(tmp_path), typeCheckingMode="basic", **quiet)


def test_pages_with_types_are_right_to_the_strict(tmp_path: Path) -> None:
    pages = _pages(tmp_path, strict=True)
    assert len(pages) >= len(STRICT)
    assert [] == mypy(pages, "--strict")
    assert [] == pyright(pages, typeCheckingMode="strict", reportUnusedExpression="none")


def test_the_policy_that_shows_how_to_add_one_is_right_to_the_strict(tmp_path: Path) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [policy] = re.findall(
        r"^   ```\n(   class \w+\(Cache\[.*?)^   ```", page, re.DOTALL | re.MULTILINE
    )
    where = """from collections.abc import Hashable
from typing import TypeVar
from warmcache import Cache, Entry
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
"""
    file = tmp_path / "policy.py"
    file.write_text(where + textwrap.dedent(policy), encoding="utf-8")
    assert [] == mypy([file], "--strict")
    assert [] == pyright([file], typeCheckingMode="standard")


def test_an_attribute_that_is_not_there_would_be_found_on_its_line_of_the_page(
    tmp_path: Path,
) -> None:
    page = """# Title

```python
from warmcache import warm


@warm(policy="gpu")
def load(name: str) -> str:
    return name
```

```python
>>> load("a")
'a'
>>> load.cache.devise
'cuda:0'
```

```python
def load(name: str) -> int:
    return load.cache
```
"""
    modules = modules_of(page, "page")
    assert ["page_0", "page_1"] == [*modules]
    for name, source in modules.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    files = sorted(tmp_path.glob("*.py"))

    def lines(found: list[Finding]) -> list[tuple[str, int]]:
        return [(each.file, each.line) for each in found]

    expected = [("page_0.py", 15), ("page_1.py", 21)]
    assert expected == lines(mypy(files, *OF_PAGES))
    assert expected == lines(pyright(files, reportUnusedExpression="none"))


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("warm(", {"policy=", "maxsize=", "budget=", "device=", "ttl=", "cache=", "teardown="}),
        ("warm(policy='lru', ", {"maxsize=", "budget=", "ttl=", "idle_ttl=", "size="}),
        ("warm(policy='gpu', ", {"budget=", "headroom=", "order=", "ttl="}),
        ("warmcache.cache('models', ", {"policy=", "maxsize=", "budget="}),
        ("warmcache.policies.create('lru', ", {"maxsize=", "budget="}),
        ("warmcache.", {"warm", "LRUCache", "MemoryWarm", "cache"}),
    ],
)
def test_an_editor_offers_the_options(before: str, offered: set[str], tmp_path: Path) -> None:
    source = f"import warmcache\nfrom warmcache import warm\n{before}"
    assert set() == offered - completions(source, tmp_path)
