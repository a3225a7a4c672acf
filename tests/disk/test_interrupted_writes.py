"""An interrupt of a write reaches who writes, also where the disk fails as it is cleared away."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from disk_stores import HEADER, LARGE, key_of

from warmcache import DiskTier, warm
from warmcache._disk.folder import Folder
from warmcache._disk.store import DiskStore


def is_broken(folder: Folder, name: str) -> bool:
    raise OSError(errno.EIO, os.strerror(errno.EIO), name)


@pytest.mark.parametrize("size", [None, LARGE], ids=["unknown size", "known size"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_a_payload_raises_is_raised_though_nothing_can_be_removed(
    error: type[BaseException], size: int | None, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dump(path: Path) -> None:
        monkeypatch.setattr(Folder, "discard", is_broken)
        raise error

    with pytest.raises(error):
        store.write(key_of(1), HEADER, dump, size)
    monkeypatch.undo()
    assert (0, 0) == store.check()[:2]


def test_it_is_the_callers_of_a_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def dump(self, value: object, folder: Path) -> None:
            monkeypatch.setattr(Folder, "discard", is_broken)
            raise KeyboardInterrupt

        def load(self, folder: Path) -> None: ...

    tier = DiskTier(tmp_path / "tier")
    monkeypatch.setattr("warmcache.tiers.worth._MARGIN", -1.0)
    load = warm(disk=tier, name="load", code=False, codec=Interrupted())(lambda: "value")
    with pytest.raises(KeyboardInterrupt):
        load()
    monkeypatch.undo()
    assert {} == tier.stats().failures
    tier.close()
