"""Runs mypy and pyright over files, and says on which lines they find something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import warmcache

_FOUND_IN = Path(warmcache.__file__).parents[1]


class Finding(NamedTuple):
    """An error, by file and line."""

    file: str
    line: int
    code: str
    message: str


def mypy(files: Iterable[Path], *options: str) -> list[Finding]:
    """Return what mypy finds wrong in ``files``, which may import each other."""
    files = [*files]
    folder = files[0].parent
    # Where packages are installed mypy looks anyway, and does not want to be told.
    told = {} if _FOUND_IN.name == "site-packages" else {"MYPYPATH": str(_FOUND_IN)}
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--output=json", "--config-file="),
            *("--cache-dir", str(folder / ".mypy_cache"), *options, *map(str, files)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, **told},
        cwd=folder,
        timeout=150,
    )
    assert ran.returncode in (0, 1) and not ran.stderr, ran.stderr + ran.stdout
    found = [json.loads(line) for line in ran.stdout.splitlines() if line]
    return sorted(
        Finding(Path(each["file"]).name, each["line"], each["code"], each["message"])
        for each in found
        if each["severity"] == "error" and Path(each["file"]).name in {file.name for file in files}
    )


def pyright(files: Iterable[Path], **options: str) -> list[Finding]:
    """Return what pyright finds wrong in ``files``, which may import each other."""
    files = [*files]
    folder = files[0].parent
    config = {"include": [file.name for file in files], "extraPaths": [str(_FOUND_IN)], **options}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *("--pythonpath", sys.executable, "--project", str(folder)),
        ],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ran.returncode in (0, 1), ran.stderr + ran.stdout
    told = json.loads(ran.stdout)
    assert told["summary"]["filesAnalyzed"] == len(files)
    return sorted(
        Finding(
            Path(each["file"]).name,
            each["range"]["start"]["line"] + 1,
            each.get("rule", "syntax"),
            each["message"],
        )
        for each in told["generalDiagnostics"]
        if each["severity"] == "error"
    )
