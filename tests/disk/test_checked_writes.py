"""Who writes a file knows its checksum already, and it is not read again for that."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from disk_stores import HEADER, expected, key_of, value_of, write

from warmcache._disk import payload
from warmcache._disk.payload import Checked, checksum


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "parts", [[], [b""], [b"one", b"", bytearray(b"two")], [b"x" * 100_000, memoryview(b"y" * 9)]]
)
def test_the_checksum_of_what_is_written_is_that_of_the_file(
    parts: list[Any], large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "_LARGE", 0 if large else 10**9)
    before = threading.active_count()
    found = payload.write(tmp_path / "file", parts)
    data = (tmp_path / "file").read_bytes()
    assert b"".join(map(bytes, parts)) == data
    assert Checked(len(data), checksum(tmp_path / "file")) == found
    assert before == threading.active_count()


def test_what_is_large_is_written_where_no_thread_can_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(payload, "_LARGE", 0)
    monkeypatch.setattr(threading.Thread, "start", fail)
    found = payload.write(tmp_path / "file", [b"data"])
    assert Checked(4, checksum(tmp_path / "file")) == found


def test_a_file_that_cannot_be_written_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "_LARGE", 0)
    before = threading.active_count()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        payload.write(tmp_path / "file", [b"data"])
    assert before == threading.active_count()


def test_what_is_known_of_a_file_is_believed_if_it_is_of_that_file(opened: Any) -> None:
    store, data = opened(verify="always"), value_of(1, 50_000)

    def said(of: Checked) -> Any:
        def dump(path: Path) -> Checked:
            path.write_bytes(data)
            return of

        return dump

    right = Checked(50_000, payload.checksum_of_bytes(data))
    assert store.write(key_of(1), HEADER, said(right)) is not None
    assert {"": data} == {"": store.read(key_of(1)).path.read_bytes()}
    assert store.write(key_of(1), HEADER, said(right._replace(size=1, crc=7))) is not None
    assert store.read(key_of(1)) is not None
    assert store.write(key_of(1), HEADER, said(right._replace(crc=7))) is not None
    assert store.read(key_of(1)) is None
    assert 1 == store.counts.damaged


def test_a_folder_is_read_for_its_checksum(opened: Any) -> None:
    store = opened(verify="always")

    def dump(path: Path) -> Checked:
        path.mkdir()
        (path / "one").write_bytes(b"data")
        return Checked(4, 7)

    assert store.write(key_of(1), HEADER, dump) is not None
    assert store.read(key_of(1)) is not None
    write(store, 2)
    assert expected(2, "inline") == {"": store.read(key_of(2)).data}


def test_an_array_is_not_read_again_once_it_is_written(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from warmcache._disk import writer
    from warmcache._disk.codecs import coder_for

    def fail(path: Path) -> int:
        raise AssertionError("it is read")

    value = np.arange(100_000.0)
    coder = coder_for(value)
    assert coder is not None
    store = opened(verify="always")
    with monkeypatch.context() as patched:
        patched.setattr(writer, "checksum", fail)
        dump = lambda path: coder.dump(value, path)  # noqa: E731
        assert store.write(key_of(1), HEADER, dump, coder.size_of(value)) is not None
    assert store.read(key_of(1)) is not None
    assert 0 == store.check().damaged
