"""One's own signing key: made once, for its owner alone, outside of what it protects."""

from __future__ import annotations

import os
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from warmcache._disk import signing
from warmcache._disk.signing import Signer, key_file, signer


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("WARMCACHE_SIGNING_KEY", raising=False)


def signature(by: Signer) -> str:
    return by.seal("key").begin().hexdigest()


def test_it_is_made_once_and_its_owner_s_alone() -> None:
    first = signature(signer())
    assert 0o600 == key_file().stat().st_mode & 0o777
    assert 0o700 == key_file().parent.stat().st_mode & 0o777
    assert 32 == key_file().stat().st_size
    assert first == signature(signer())
    assert [key_file().name] == os.listdir(key_file().parent)  # noqa: PTH208


def test_another_one_signs_otherwise() -> None:
    first = signature(signer())
    key_file().unlink()
    assert first != signature(signer())


def test_who_comes_first_makes_it_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made, first = secrets.token_bytes, list[str]()

    def while_another_comes_first(size: int) -> bytes:
        monkeypatch.setattr(secrets, "token_bytes", made)
        first.append(signature(signer()))
        return made(size)

    monkeypatch.setattr(secrets, "token_bytes", while_another_comes_first)
    assert [signature(signer())] == first
    assert [signature(signer())] == first
    assert [key_file().name] == os.listdir(key_file().parent)  # noqa: PTH208


def test_a_key_can_be_given() -> None:
    given = signature(signer("the same on both machines"))
    assert given == signature(signer(b"the same on both machines"))
    assert given != signature(signer("another for the third one"))
    assert not key_file().exists()


def test_or_the_environment_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMCACHE_SIGNING_KEY", "the same on both machines")
    assert signature(signer("the same on both machines")) == signature(signer())
    assert signature(signer("another for the third one")) != signature(signer())
    assert not key_file().exists()


@pytest.mark.parametrize("key", ["", "short", b"short", "x" * 15])
def test_a_short_one_is_refused_and_not_shown(key: str | bytes) -> None:
    with pytest.raises(ValueError, match="signing_key must have 16 bytes or more") as error:
        signer(key)
    assert not key or repr(key).strip("b'") not in str(error.value)


def test_so_is_an_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMCACHE_SIGNING_KEY", "")
    with pytest.raises(ValueError, match="WARMCACHE_SIGNING_KEY must have 16 bytes"):
        signer()


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(TypeError, match="signing_key must be a text or bytes"):
        signer(5)  # type: ignore[arg-type]


def link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


WRONG: list[tuple[str, Callable[[Path], object]]] = [
    (r"can be read by others \(mode 640\)", lambda path: path.chmod(0o640)),
    (r"can be read by others \(mode 602\)", lambda path: path.chmod(0o602)),
    ("has 5 bytes, not 32", lambda path: path.write_bytes(b"short")),
    ("has 33 bytes, not 32", lambda path: path.write_bytes(bytes(33))),
    ("is no file", pipe),
]


@pytest.mark.parametrize(("said", "spoil"), WRONG, ids=lambda it: str(it)[:20])
def test_a_file_that_others_may_have_touched_is_refused(
    said: str, spoil: Callable[[Path], object]
) -> None:
    signer()
    spoil(key_file())
    with pytest.raises(PermissionError, match=said):
        signer()


def test_a_link_in_its_place_is_not_followed() -> None:
    signer()
    link(key_file())
    with pytest.raises(OSError):
        signer()


def test_nor_is_another_user_s_file(monkeypatch: pytest.MonkeyPatch) -> None:
    signer()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(PermissionError, match=f"belongs to user {me}, and this is user {me + 1}"):
        signer()


def test_without_a_variable_it_lies_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    for state in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", state)
        assert Path("/somewhere/.local/state/warmcache/signing-key") == key_file()


def test_where_there_is_no_home_it_is_to_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setattr(signing.Path, "home", nowhere)
    with pytest.raises(ValueError, match="set WARMCACHE_SIGNING_KEY"):
        signer()


def test_a_secret_shows_nowhere_and_does_not_travel() -> None:
    secret = "the same on both machines"
    assert secret not in repr(signer(secret)) + repr(signer(secret).seal("key"))
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(signer(secret))


def test_another_process_of_this_user_signs_the_same() -> None:
    program = """
from warmcache._disk.signing import signer
print(signer().seal("key").begin().hexdigest())
"""
    there = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
        for _ in "ab"
    ]
    assert {signature(signer())} == {each.stdout.strip() for each in there}
