"""Files of learned sizes: only their owner may read them, and links stay what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from warmcache.memory.learned_sizes import Learned

H100 = "GPU 0 (NVIDIA H100); torch 2.13.0"


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_only_the_owner_may_read_what_was_learned(tmp_path: Path) -> None:
    path = tmp_path / "sizes.json"
    Learned(path, H100).note("a", 1, 0)
    assert 0o600 == mode(path)
    path.chmod(0o644)
    Learned(path, H100).note("a", 1, 0)
    assert 0o600 == mode(path), "one that others could read is replaced by one that they cannot"


def test_it_is_the_owners_alone_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int]] = []
    replace = Path.replace

    def look(self: Path, target: Path) -> Path:
        seen.append((self.suffix, mode(self), self.stat().st_size))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    Learned(tmp_path / "sizes.json", H100).note("a", 1, 0)
    ((suffix, bits, size),) = seen
    assert (".part", 0o600) == (suffix, bits) and size


def test_only_the_owner_may_read_what_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "sizes.json"
    path.write_text("nothing")
    assert 0o666 == mode(path)
    Learned(path, H100)
    assert 0o600 == mode(tmp_path / "sizes.json.broken")


@pytest.mark.parametrize("there", [None, "{}", "nothing"], ids=["not yet", "sound", "broken"])
def test_a_symbolic_link_is_followed(there: str | None, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "there.json", tmp_path / "sizes.json"
    if there is not None:
        target.write_text(there)
    link.symlink_to(target)
    Learned(link, H100).note("a", 7, 0)
    assert link.is_symlink() and 7 == Learned(target, H100).weight("a")
    assert 0o600 == mode(target)
    assert {"kept", "sizes.json"} == {file.name for file in tmp_path.iterdir()}


def test_a_link_that_leads_back_to_itself_is_left_alone_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "sizes.json"
    link.symlink_to(link)
    learned = Learned(link, H100)
    learned.note("a", 1, 0)
    assert link.is_symlink() and 1 == learned.weight("a")
    assert "sizes are not kept" in caplog.text


def test_a_file_that_may_not_be_read_any_more_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sizes.json"
    learned = Learned(path, H100)
    learned.note("a", 1, 0)

    def forbidden(self: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", forbidden)
        learned.note("b", 2, 0)
    assert [1, None] == [Learned(path, H100).weight(key) for key in "ab"]
