"""Digests that were committed: the same under any hash seed, on any Python, with numpy 1 and 2.

What changes one of them has people load everything again. To write them anew where that is meant,
with a new version in ``canonical.py``, run this with ``PYTHONPATH=tests/support``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from golden_programs import FILES, WHAT
from of_all_kinds import MAKERS

import warmcache
from warmcache._disk.canonical import call_digest
from warmcache._disk.code_digest import code_digest

GOLDEN = Path(__file__).with_name("golden.json")


def calls() -> dict[str, str]:
    """Return the digest of a call with a value of each kind."""
    return {
        kind: call_digest("app.load", "", "", {"x": make(), "y": 2})
        for kind, make in MAKERS.items()
    }


def codes(folder: str) -> dict[str, str]:
    """Return the digests of what a package defines that is written to ``folder``."""
    for name, text in FILES.items():
        file = Path(folder, "golden_app", name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    sys.path.insert(0, folder)
    from golden_app import main  # type: ignore[import-not-found]

    return {what: code_digest(eval(what, vars(main))) for what in WHAT}


def all_digests() -> dict[str, Any]:
    """Return what is committed."""
    with tempfile.TemporaryDirectory() as folder:
        return {"calls": calls(), "code": codes(folder)}


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_digests_are_those_that_were_committed_under_any_hash_seed(seed: str) -> None:
    here = [str(Path(warmcache.__file__).parents[1]), str(Path(__file__).parents[1] / "support")]
    known = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(here)}
    printed = subprocess.check_output([sys.executable, __file__], text=True, env=known, timeout=50)
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == json.loads(printed)


def test_each_kind_is_among_them() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {*MAKERS} == {*golden["calls"]}
    assert len(MAKERS) == len({*golden["calls"].values()})
    assert {*WHAT} == {*golden["code"]}


if __name__ == "__main__":
    print(json.dumps(all_digests(), indent=1, ensure_ascii=True))
