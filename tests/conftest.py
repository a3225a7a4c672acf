"""What holds for every test."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# A slow machine is no falsifying example: no test asserts a time.
settings.register_profile("no-deadline", parent=settings(), deadline=None)
settings.load_profile("no-deadline")


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
