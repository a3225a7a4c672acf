"""Who writes a file knows its checksum already, and it is not read again for that."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disk_stores import (
    HEADER,
    commit_file,
    expected,
    key_of,
    payload_file,
    value_of,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from warmcache._disk import checksum as checksums
from warmcache._disk import payload, writer
from warmcache._disk.checksum import BLOCK, CRC, SUMS
from warmcache._disk.codecs import coder_for
from warmcache._disk.commit_file import pack
from warmcache._disk.exporting import export
from warmcache._disk.importing import Import
from warmcache._disk.payload import Checked, checksum
from warmcache._disk.store import DiskStore
from warmcache._disk.writer import Writer

PARTS = {
    "none": [],
    "empty": [b""],
    "few bytes": [b"one", b"", bytearray(b"two")],
    "two": [b"x" * 100_000, memoryview(b"y" * 9)],
    "over blocks": [b"head", value_of(1, BLOCK), b"", value_of(2, 3 * BLOCK + 5), value_of(3, 7)],
    "blocks": [value_of(1, BLOCK), value_of(2, 2 * BLOCK)],
    "many in one": [value_of(name, 1_001) for name in range(300)],
}


@pytest.mark.parametrize("kind", [CRC, SUMS])
@pytest.mark.parametrize("parts", PARTS)
def test_the_checksum_of_what_is_written_is_that_of_the_file(
    parts: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_LARGE", 0 if kind == SUMS else 10**9)
    found = payload.write(tmp_path / "file", PARTS[parts])
    data = (tmp_path / "file").read_bytes()
    assert b"".join(map(bytes, PARTS[parts])) == data
    assert Checked(len(data), checksum(tmp_path / "file", kind), kind) == found


def test_sums_are_the_same_without_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * BLOCK + value_of(1, BLOCK + 3))
    found = checksum(path, SUMS)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert found == checksum(path, SUMS)


def test_what_is_not_loaded_is_not_loaded_for_a_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (CRC, SUMS) == (checksums.kind_of(2**23 - 1), checksums.kind_of(2**23))
    monkeypatch.delitem(sys.modules, "numpy")
    assert CRC == checksums.kind_of(2**30)


@pytest.mark.parametrize("kind", [CRC, SUMS])
@given(data=st.data())
def test_whatever_is_torn_shows(data: st.DataObject, kind: str) -> None:
    """A byte, a page that is zeros or another's, two blocks in each other's place, a cut."""
    whole = bytearray(value_of("whole", 2 * BLOCK + 12_345))
    for at in range(0, len(whole), 4096):  # no two pages are alike
        whole[at : at + 4] = at.to_bytes(4, "little")
    torn, page = bytearray(whole), 4096 * data.draw(st.integers(0, len(whole) // 4096 - 1))
    how = data.draw(st.sampled_from(["byte", "zeros", "other", "blocks", "cut"]))
    if how == "byte":
        at = data.draw(st.one_of(st.just(len(whole) - 1), st.integers(0, len(whole) - 1)))
        torn[at] ^= data.draw(st.integers(1, 255))
    elif how == "zeros":
        torn[page : page + 4096] = bytes(4096)
    elif how == "other":
        torn[page : page + 4096] = value_of("other", 4096)
    elif how == "blocks":
        torn[:BLOCK], torn[BLOCK : 2 * BLOCK] = whole[BLOCK : 2 * BLOCK], whole[:BLOCK]
    else:
        torn = torn[:page]
    assert _checksum_of(whole, kind) != _checksum_of(torn, kind)


def _checksum_of(data: bytearray, kind: str) -> int:
    crc = 0
    for block in checksums.blocks([memoryview(data)]):
        crc = checksums.step(kind)(block, crc)
    return crc


@pytest.mark.parametrize("packed", ["all.tar", "all.tar.gz"])
def test_what_has_sums_is_exported_imported_and_checked(
    packed: str, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_LARGE", 50_000)
    store, other = opened(verify="always"), DiskStore(tmp_path / "other", verify="always")
    value = np.arange(100_000.0)
    coder = coder_for(value)
    assert coder is not None
    dump = lambda path: coder.dump(value, path)  # noqa: E731
    assert SUMS == store.write(key_of(1), HEADER, dump, coder.size_of(value)).checksum
    assert 1 == export(store.folder, tmp_path / packed, lambda header: True).entries
    with (tmp_path / packed).open("rb") as raw:
        assert 1 == Import(raw, lambda header: True, 1e12).write(other).entries
    stored = other.read(key_of(1))
    assert stored is not None and SUMS == stored.header.checksum
    assert 0 == other.check().damaged
    with payload_file(other.path, 1).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    assert 1 == other.check().damaged
    other.close()


def test_a_checksum_of_another_version_is_left_alone(opened: Any, folder: Path) -> None:
    store = opened()
    write(store, 1)
    path = commit_file(folder, 1)
    header = store.header(key_of(1))
    path.write_bytes(pack(header._replace(checksum="later"), value_of(1, 1_000)))
    assert store.read(key_of(1)) is None
    assert path.exists() and 0 == store.counts.damaged


def test_what_is_written_is_all_there_is_room_for(opened: Any, monkeypatch: Any) -> None:
    """What is said of a size before holds with either kind of checksum: room is made once."""
    monkeypatch.setattr(checksums, "_LARGE", 50_000)
    store, asked = opened(), []
    reserve = Writer.reserve
    monkeypatch.setattr(Writer, "reserve", lambda *of: asked.append(of) or reserve(*of))
    coder = coder_for(value := np.zeros(10_000))
    assert coder is not None
    for length in range(64):  # of which the header's is a multiple
        header = HEADER._replace(text="x" * length)
        store.write(key_of(1), header, partial(coder.dump, value), coder.size_of(value))
    assert 64 == len(asked)


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
    def fail(path: Path, kind: str) -> int:
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
