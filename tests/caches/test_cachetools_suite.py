"""cachetools' own tests, run on our classes.

They come from the source distribution of the cachetools that is installed, and only
their imports are rewritten: what they get from ``cachetools`` are our classes. A value
that nobody tears down leaves as it does there, so there is no exception to list.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

import warmcache
from warmcache._process.janitor import janitor

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.timeout(300),  # the download is part of it
]

VERSION = version("cachetools")
FEWEST = 131  # the tests of 5.0.0, the oldest we work with

CLASSES = {
    "test_cache": "Cache",
    "test_fifo": "FIFOCache",
    "test_lfu": "LFUCache",
    "test_lru": "LRUCache",
    "test_rr": "RRCache",
    "test_tlru": "TLRUCache",
    "test_ttl": "TTLCache",
}
DECORATORS = {  # which of them there are depends on the version
    "test_cached",
    "test_cachedmethod",
    "test_classmethod",
    "test_method",
    "test_threading",
    "test_wrapper",
}
STAND_IN = """
from cachetools import *
from cachetools import keys
from warmcache.caches import *
"""


def _rewritten(test: str) -> str:
    """Return ``test`` with the stand-in in place of cachetools."""
    test = re.sub(
        r"^import cachetools(\.keys)?$", "from . import _stand_in as cachetools", test, flags=re.M
    )
    return re.sub(r"^from cachetools import", "from ._stand_in import", test, flags=re.M)


@pytest.fixture(scope="module")
def source(pytestconfig: pytest.Config) -> Path:
    """The source distribution of the installed cachetools, downloaded once and kept."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("cachetools")
    archive = kept / f"cachetools-{VERSION}.tar.gz"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch]
            command += ["--no-binary", "cachetools", f"cachetools=={VERSION}"]
            subprocess.run(command, check=True)
            Path(scratch, archive.name).replace(archive)
    return archive


@dataclass
class Outcome:
    """What became of the tests: how many ran by module, and the reports of those that failed."""

    ran: Counter[str]
    not_passed: dict[str, str]
    classes: dict[str, set[type]]


@pytest.fixture(scope="module")
def outcome(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The tests, having run."""
    root = tmp_path_factory.mktemp("cachetools")
    package = root / "cachetools_own_tests"
    package.mkdir()
    (package / "_stand_in.py").write_text(STAND_IN)
    with tarfile.open(source) as archive:
        for member in archive:
            path = Path(member.name)
            if path.parts[1:-1] == ("tests",) and path.stem in {"__init__", *CLASSES, *DECORATORS}:
                content = archive.extractfile(member)
                assert content is not None
                (package / path.name).write_text(_rewritten(content.read().decode()))
    found = sorted(path.stem for path in package.glob("test_*.py"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        loader = unittest.TestLoader()
        suites = {name: loader.loadTestsFromName(f"{package.name}.{name}") for name in found}
    ran: Counter[str] = Counter()
    not_passed: dict[str, str] = {}
    classes: dict[str, set[type]] = {}
    for name, suite in suites.items():
        classes[name] = {getattr(test, "Cache", object) for cases in suite for test in cases}
        result = unittest.TestResult()
        with pytest.MonkeyPatch.context() as patch:
            # Some have a timer that goes on whenever it is asked, and count who asks.
            patch.setattr(janitor, "watch", lambda *_: None)
            suite.run(result)
        ran[name] = result.testsRun
        reports = [*result.failures, *result.errors, *result.skipped]
        not_passed |= {test.id(): report for test, report in reports}
    return Outcome(ran, not_passed, classes)


def test_cachetools_own_tests_pass_on_our_classes(outcome: Outcome) -> None:
    assert {} == outcome.not_passed, "\n\n".join(outcome.not_passed.values())


@pytest.mark.parametrize(("module", "name"), CLASSES.items())
def test_each_of_our_classes_was_tested(module: str, name: str, outcome: Outcome) -> None:
    assert any(issubclass(tested, getattr(warmcache, name)) for tested in outcome.classes[module])
    assert outcome.ran[module] >= 12


def test_decorators_of_cachetools_were_tested_on_our_classes(outcome: Outcome) -> None:
    assert sum(outcome.ran[module] for module in DECORATORS) >= 20


def test_no_fewer_tests_ran_than_the_oldest_version_has(outcome: Outcome) -> None:
    assert outcome.ran.total() >= FEWEST, dict(outcome.ran)
