"""Pickles: for who asks for them, and nothing is unpickled that is not signed for its key."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from coded import coder_of, through_bytes, through_file

from warmcache._disk.codecs import INLINE, CodecError, coder_for, coder_named
from warmcache._disk.signing import Seal, Signer

KEY = "a" * 40
SEAL = Signer(b"the secret of this user").seal(KEY)
HEAD = 36  # bytes before the pickle


class Point:
    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is Point and other.x == self.x


class Planted:
    """What writes a file as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "it ran")


class Unwilling:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


class Broken:
    def __setstate__(self, state: Any) -> None:
        raise KeyError("gone")

    def __getstate__(self) -> Any:
        return {"a": 1}


def reader(seal: Seal = SEAL) -> Any:
    return coder_named("pickle", "pickle", seal)


def test_what_auto_cannot_keep_is_pickled_where_that_is_asked_for(tmp_path: Path) -> None:
    for value in (Point(1), [Point("a")], Point(bytes(INLINE))):
        assert coder_for(value) is None
        assert "pickle" == coder_of(value, "pickle", SEAL).name
        assert value == through_file(value, tmp_path / str(id(value)), "pickle", SEAL)
    assert Point(1) == through_bytes(Point(1), "pickle", SEAL)


def test_what_auto_keeps_is_no_pickle() -> None:
    assert "json" == coder_of([1], "pickle", SEAL).name
    assert [1] == through_bytes([1], "pickle", SEAL)


def test_a_loader_that_asks_for_no_pickle_reads_none() -> None:
    assert coder_named("pickle") is None
    assert coder_named("pickle", "auto", SEAL) is None


def test_pickling_needs_who_signs() -> None:
    with pytest.raises(ValueError, match="needs what signs it"):
        coder_for(Point(1), "pickle")
    with pytest.raises(ValueError, match="needs what signs it"):
        coder_named("pickle", "pickle")


def test_a_large_one_is_written_to_a_file_and_no_more_than_it_is_made_for_asking() -> None:
    taken: list[int] = []

    class Counted:
        def __reduce__(self) -> Any:
            taken.append(1)
            return bytes, (bytes(10 * INLINE),)

    value = [Counted() for _ in range(50)]
    assert coder_of(value, "pickle", SEAL).dumps(value) is None
    assert len(taken) < 5


def planted(tmp_path: Path, seal: Seal | None = None) -> tuple[bytes, Path]:
    """Return a pickle that would write a file, as somebody who has no key would sign it."""
    ran = tmp_path / "ran"
    if seal is not None:
        data = coder_of(Planted(ran), "pickle", seal).dumps(Planted(ran))
        assert data is not None
        return data, ran
    return b"wcP1" + bytes(32) + pickle.dumps(Planted(ran)), ran


def refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(CodecError, match="not signed by this user for this key"):
        reader().loads(data, (), {})
    with pytest.raises(CodecError, match="not signed by this user for this key"):
        reader().load(tmp_path / "file", (), {})


def test_what_would_run_does_run_if_it_is_signed(tmp_path: Path) -> None:
    data, ran = planted(tmp_path, SEAL)  # or the tests below would show nothing
    reader().loads(data, (), {})
    assert "it ran" == ran.read_text()


def test_a_planted_pickle_is_never_run(tmp_path: Path) -> None:
    data, ran = planted(tmp_path)
    for each in (data, data[HEAD:], b"wcP1" + data[HEAD:], data[:HEAD], b"", b"wcP1"):
        refused(each, tmp_path)
    assert not ran.exists()


def test_nor_is_one_that_another_user_has_signed(tmp_path: Path) -> None:
    data, ran = planted(tmp_path, Signer(b"the secret of that user").seal(KEY))
    refused(data, tmp_path)
    assert not ran.exists()


def test_nor_is_one_that_was_signed_for_another_key(tmp_path: Path) -> None:
    data, ran = planted(tmp_path, Signer(b"the secret of this user").seal("b" * 40))
    refused(data, tmp_path)
    assert not ran.exists()


def test_a_key_and_a_payload_cannot_be_divided_in_another_way(tmp_path: Path) -> None:
    signer = Signer(b"the secret of this user")
    data, _ = planted(tmp_path, signer.seal("ab"))
    moved = data[:HEAD] + b"b" + data[HEAD:]
    with pytest.raises(CodecError, match="not signed"):
        reader(signer.seal("a")).loads(moved, (), {})


def test_each_changed_bit_is_seen_before_anything_runs(tmp_path: Path) -> None:
    data, ran = planted(tmp_path, SEAL)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(CodecError):
            reader().loads(bytes(changed), (), {})
    refused(data[:-1], tmp_path)
    refused(data + b"x", tmp_path)
    assert not ran.exists()


def test_what_was_cut_off_in_writing_is_not_signed(tmp_path: Path) -> None:
    class Ends:
        def __reduce__(self) -> Any:
            raise OSError(28, "no space")

    path = tmp_path / "file"
    with pytest.raises(OSError):
        coder_of([Ends()], "pickle", SEAL).dump([Point(bytes(10**6)), Ends()], path)
    refused(path.read_bytes(), tmp_path)


def test_what_is_unpickled_is_what_was_checked_though_the_file_changes_meanwhile(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    value = Point(bytes(3 * 2**20))
    coder_of(value, "pickle", SEAL).dump(value, path)
    whole = path.read_bytes()

    class Watched(Seal):
        """What has the file changed as soon as it has been read, before it is unpickled."""

        __slots__ = ("inner",)

        def __init__(self) -> None:
            pass

        def begin(self) -> Any:
            inner = SEAL.begin()

            class Watching:
                def update(self, data: Any) -> None:
                    inner.update(data)

                def digest(self) -> bytes:
                    path.write_bytes(b"\0" * len(whole))
                    return inner.digest()

            return Watching()

    assert value == reader(Watched()).load(path, (), {})


def test_an_error_of_pickling_says_which_codec_and_of_what_type(tmp_path: Path) -> None:
    for value in (Unwilling(), lambda: 1):
        with pytest.raises(CodecError, match=r"codec 'pickle' cannot write a value of type .*\w: "):
            coder_of(value, "pickle", SEAL).dumps(value)
        with pytest.raises(CodecError, match=type(value).__name__):
            coder_of(value, "pickle", SEAL).dump(value, tmp_path / type(value).__name__)


def test_a_class_that_is_gone_is_an_error_of_the_codec() -> None:
    data = coder_of(Broken(), "pickle", SEAL).dumps(Broken())
    with pytest.raises(CodecError, match="codec 'pickle' cannot read what is stored: KeyError"):
        reader().loads(data, (), {})


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CodecError, match="is no file"):
        reader().load(tmp_path / "pipe", (), {})
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OSError):
        reader().load(tmp_path / "link", (), {})


def test_pickles_are_not_safe_to_share() -> None:
    assert not reader().safe
    assert coder_of([1]).safe
