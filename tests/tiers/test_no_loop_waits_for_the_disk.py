"""What an async loader does on disk is done in threads: no event loop waits for it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from warmcache import DiskTier, FreezeError, warm

PLANS: dict[str, dict[str, Any]] = {
    "at once": {"maxsize": 4},
    "by a plan": {"maxsize": 4, "size": lambda value: 1},
    "kept by no cache": {"maxsize": 0},
}


@pytest.fixture
def removed_by(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that remove entries from the tier."""
    remove, threads = tier._store.remove, list[int]()

    def note(*args: Any) -> bool:
        threads.append(threading.get_ident())
        return remove(*args)

    monkeypatch.setattr(tier._store, "remove", note)
    return threads


@pytest.mark.parametrize("how", ["call", "lease", "lease of what is not async"])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("found", [False, True], ids=["loaded", "read"])
async def test_for_a_task_it_is_removed_in_a_thread(
    plan: str, found: bool, how: str, tier: DiskTier, removed_by: list[int]
) -> None:
    async def load(name: str) -> Any:
        return [OrderedDict(a=name)]

    def loaded(name: str) -> Any:
        return [OrderedDict(a=name)]

    said: dict[str, Any] = {"disk": tier, "name": "load", "code": False, **PLANS[plan]}
    if found:
        await warm(**said)(load)("ada")
        assert 1 == tier.stats().entries
    with pytest.raises(FreezeError, match=r"result\[0\]"):
        if how == "call":
            await warm(freeze=True, **said)(load)("ada")
        elif how == "lease":
            await warm(freeze=True, **said)(load).lease("ada").__aenter__()
        else:
            await warm(freeze=True, **said)(loaded).alease("ada").__aenter__()
    assert (1, 0) == (tier.stats().writes, tier.stats().entries)
    assert 1 == len(removed_by) and threading.get_ident() not in removed_by


@pytest.mark.parametrize("maxsize", [4, 0])
@pytest.mark.parametrize("asked", ["several", "one"])
async def test_so_it_is_of_the_elements_of_a_batch(
    asked: str, maxsize: int, tier: DiskTier, removed_by: list[int]
) -> None:
    @warm(batch="names", disk=tier, name="load", code=False, freeze=True, maxsize=maxsize)
    async def load(names: list[str]) -> Any:
        return [OrderedDict(a=1) if name == "b" else 1 for name in names]

    with pytest.raises(FreezeError, match="for 'b' of names="):
        if asked == "several":
            await load(["a", "b"])
        else:
            await load.lease("b").__aenter__()
    assert (1 if asked == "several" else 0) == tier.stats().entries
    assert 1 == len(removed_by) and threading.get_ident() not in removed_by


async def test_what_is_not_valid_is_removed_in_a_thread(
    tier: DiskTier, removed_by: list[int]
) -> None:
    valid = [True]

    async def validate(value: object) -> bool:
        return valid[0]

    @warm(disk=tier, name="load", code=False, maxsize=0, validate=validate)
    async def load() -> str:
        return "value"

    await load()
    valid[0] = False
    await load()
    assert 1 == len(removed_by) and threading.get_ident() not in removed_by


@pytest.mark.parametrize("how", ["loaded", "read", "read in vain", "failed"])
async def test_private_folders_are_emptied_and_removed_in_a_thread(
    how: str, tier: DiskTier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid, threads = [True], list[int]()

    async def validate(value: object) -> bool:
        return valid[0]

    @warm(disk=tier, name="load", code=False, out_files="loc", validate=validate)
    async def load(loc: str) -> None:
        Path(loc).write_text("text")  # noqa: ASYNC240
        if how == "failed":
            raise ValueError

    if how != "loaded":
        with contextlib.suppress(ValueError):
            await load(str(tmp_path / "before.txt"))
    valid[0] = how != "read in vain"

    def there() -> set[str]:
        return {each.name for each in tmp_path.iterdir()}

    def note(method: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if ".warm-" in str(args[0]):
                threads.append(threading.get_ident())
            return method(*args, **kwargs)

        return noted

    monkeypatch.setattr(shutil, "rmtree", note(shutil.rmtree))
    monkeypatch.setattr(Path, "unlink", note(Path.unlink))
    with contextlib.suppress(ValueError):
        await load(str(tmp_path / "out.txt"))
    assert threads and threading.get_ident() not in threads
    assert (set() if how == "failed" else {"out.txt"}) == there() - {"before.txt", "tier"}
