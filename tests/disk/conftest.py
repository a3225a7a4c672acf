"""What tests of the disk begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from written_packages import Packages


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Packages named ``app`` that a test writes and imports; none is left."""
    return Packages(tmp_path, monkeypatch)
