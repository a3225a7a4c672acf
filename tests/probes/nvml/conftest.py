"""The fake library, loaded into the process that runs the tests, where pynvml finds it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakenvml import FakeNvml, build

from warmcache.probes.nvml_session import session


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("old-nvml"), old=True)


@pytest.fixture(scope="session")
def _loaded(library: Path, tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    fake = FakeNvml(tmp_path_factory.mktemp("figures") / "state")
    os.environ["FAKE_NVML"] = str(fake.file)
    # pynvml asks for the soname, and so gets the library that already goes by it.
    ctypes.CDLL(str(library))
    return fake


@pytest.fixture
def fake(_loaded: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(variable, raising=False)
    _loaded.reset()
    yield _loaded
    _loaded.reset()
    session.restart(session.generation)
