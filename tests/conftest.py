"""What holds for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from warmcache._core.state import hot_paths

# A slow machine is no falsifying example: no test asserts a time.
settings.register_profile("no-deadline", parent=settings(), deadline=None)
settings.load_profile("no-deadline")

# Else Ray writes a token into the home; and where two clusters of one process differ in this,
# the actors of the second die at once.
os.environ["RAY_AUTH_MODE"] = "disabled"


def pytest_collection_finish() -> None:
    """Have collections pass over what is there before the first test: all tests, and all modules.

    Else each takes half a second in a run of all tests, and hundreds of tests collect.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_scope_of_others() -> None:
    """Have no hit path off for a ``disabled()`` or ``no_load()`` that another test has left.

    It is garbage that waits to be collected, as all that ``asyncio.run`` raises out of.
    """
    if hot_paths.SCOPES:
        gc.collect()


@pytest.fixture(scope="module")
def whole_heap() -> Iterator[None]:
    """Have the collector see what was there before the first test, which may be what holds."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Have a test that is skipped fail: what is not tested is not to look as if it were."""
    report: pytest.TestReport = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {call.excinfo and call.excinfo.value}"
    return report
