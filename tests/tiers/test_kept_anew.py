"""What a process finds to be of no use it removes, and not what another has kept since."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from warmcache import DiskTier, WarmMissError, no_load, warm
from warmcache._disk.store import DiskStore
from warmcache.tiers import worth


@pytest.mark.parametrize("why", ["damaged", "slower", "invalid"])
def test_what_another_process_keeps_in_the_place_of_what_is_no_use_stays(
    why: str, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew, calls = list[bool](), list[bool]()

    def keep_anew() -> None:
        anew.append(True)
        [header] = tier._store.entries()
        header = header._replace(made=header.made + 1)
        with contextlib.closing(DiskStore(tier.path)) as other:
            other.write(header.key, header, lambda path: path.mkdir() or Json().dump("new", path))

    class Json:
        def dump(self, value: Any, folder: Path) -> None:
            (folder / "value").write_text(json.dumps(value))

        def load(self, folder: Path) -> Any:
            value = json.loads((folder / "value").read_text())
            if not anew and why != "invalid":
                keep_anew()
                if why == "damaged":
                    raise ValueError("it is not what was written")
            return value

    def validate(value: Any) -> bool:
        if not anew and why == "invalid":
            keep_anew()
        return bool(value == "new")

    said = {"validate": validate} if why == "invalid" else {}

    @warm(maxsize=0, disk=tier, name="load", code=False, codec=Json(), **said)
    def load() -> str:
        calls.append(True)
        return "old"

    load()
    monkeypatch.setattr(worth.Worth, "has_read", lambda *_, instead_of: why == "slower")
    assert ("old" if why == "slower" else "new") == load()
    assert 1 == len(calls) and 1 == tier.stats().entries


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")],
    ids=["host", "device"],
)
@pytest.mark.parametrize("codec", ["pickle", "own"])
def test_what_there_is_no_memory_to_read_stays(
    codec: Any, error: Exception, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next time there may be some."""
    full = [False]
    value = Large()

    def read() -> Large:
        if full[0]:
            raise error
        return value

    class Own:
        def dump(self, value: Any, folder: Path) -> None: ...

        def load(self, folder: Path) -> Any:
            return read()

    monkeypatch.setattr("test_kept_anew._read", read)
    said = {"disk": tier, "name": "load", "code": False, "maxsize": 0}
    load = warm(codec=Own() if codec == "own" else "pickle", **said)(lambda: value)
    load()
    full[0] = True
    with no_load(), pytest.raises(WarmMissError):
        load()
    assert (0, 1) == (tier.stats().damaged, tier.stats().entries)
    assert 1 == sum(tier.stats().failures.values())
    full[0] = False
    with no_load():
        assert value is load()


class Large:
    """A value that is made where it is unpickled."""

    def __reduce__(self) -> Any:
        return _make, ()


def _make() -> Any:
    return _read()


def _read() -> Any: ...
