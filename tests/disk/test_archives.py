"""What is exported is whole, whatever others do meanwhile; what is imported was looked at first."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    FOLDER,
    HEADER,
    INLINE,
    KINDS,
    LARGE,
    bytes_of,
    commit_file,
    expected,
    files,
    key_of,
    payload_file,
    read,
    value_of,
    write,
)

from warmcache._disk import exporting
from warmcache._disk.archive import RefusedArchiveError
from warmcache._disk.commit_file import MOST, pack
from warmcache._disk.exporting import Exported, export
from warmcache._disk.filters import ALL, Filter
from warmcache._disk.importing import Import, Imported, Room
from warmcache._disk.records import Header
from warmcache._disk.store import DiskStore

NOW = 10_000.0


def exported(store: DiskStore, archive: Path, only: Filter = ALL) -> Exported:
    return export(store.folder, archive, lambda header: only.takes(header, NOW))


def imported(
    store: DiskStore, archive: Path, only: Filter = ALL, tell: Any = lambda *of: None
) -> Imported:
    with archive.open("rb") as raw:
        found = Import(raw, lambda header: only.takes(header, NOW), NOW, tell)
        found.look(Room.of(store))
        return found.write(store)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "all.tar"


@pytest.fixture
def other(tmp_path: Path) -> Any:
    store = DiskStore(tmp_path / "other")
    yield store
    store.close()


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.tgz"])
def test_what_was_exported_is_imported_as_it_was(
    name: str, folder: Path, store: DiskStore, other: DiskStore, tmp_path: Path
) -> None:
    said = dict(tags=("x", "y"), version="2", code="c", codec="npy", signature="s", more={"z": 1})
    for number, kind in enumerate(KINDS):
        write(store, number, kind, **said)
    archive = tmp_path / name
    assert Exported(3, bytes_of(folder), 0) == exported(store, archive)
    assert Imported(3, bytes_of(folder), 0, 0) == imported(other, archive)
    for number, kind in enumerate(KINDS):
        assert expected(number, kind) == read(other, number)
        stored = other.read(key_of(number))
        assert stored is not None
        kept = stored.header._replace(payload="", size=0, crc=0, boot="")
        assert HEADER._replace(key=key_of(number), **said) == kept
    assert (3, bytes_of(folder), 0, 0) == other.check()
    assert 0o600 == archive.stat().st_mode & 0o777


def test_any_tar_lists_an_archive(store: DiskStore, archive: Path) -> None:
    write(store, 1, FOLDER)
    exported(store, archive)
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    place = commit_file(Path(), 1).as_posix()
    assert [place] == [name for name in names if "." not in name]
    assert ["inner/two", "one"] == [name.partition(".")[2][17:] for name in names[1:]]


@pytest.mark.parametrize("name", ["x" * 200, "größe", "\udcff", "a b", "inner/" * 30 + "deep"])
def test_files_of_a_payload_have_any_name(
    name: str, store: DiskStore, other: DiskStore, archive: Path
) -> None:
    def dump(path: Path) -> None:
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(b"found")
        (path / "empty").touch()

    assert store.write(key_of(1), HEADER, dump) is not None
    exported(store, archive)
    imported(other, archive)
    stored = other.read(key_of(1))
    assert stored is not None and stored.path is not None
    assert (b"found", b"") == (
        (stored.path / name).read_bytes(),
        (stored.path / "empty").read_bytes(),
    )


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two/inner"), ("größe", "two.x", "two/x")])
def test_folders_without_files_come_back(
    names: tuple[str, ...], store: DiskStore, other: DiskStore, archive: Path
) -> None:
    def dump(path: Path) -> None:
        path.mkdir()
        for name in names:
            (path / name).mkdir(parents=True)
        (path / "three").write_bytes(b"value")

    assert store.write(key_of(1), HEADER, dump if names else Path.mkdir) is not None
    exported(store, archive)
    with tarfile.open(archive) as tar:
        assert len(names) == sum(each.isdir() for each in tar)
    imported(other, archive)
    stored = other.read(key_of(1))
    assert stored is not None and stored.path is not None and stored.path.is_dir()
    assert all((stored.path / name).is_dir() for name in names)
    assert (0, 0) == other.check()[2:]


def test_a_folder_that_is_gone_shows_as_a_file_does(tmp_path: Path, opened: Any) -> None:
    store = opened(verify="always")

    def dump(path: Path) -> None:
        (path / "empty").mkdir(parents=True)

    store.write(key_of(1), HEADER, dump)
    assert store.read(key_of(1)) is not None
    (payload_file(store.path, 1) / "empty").rmdir()
    assert store.read(key_of(1)) is None
    assert 1 == store.counts.damaged


def test_what_is_meant_is_exported_and_imported_and_nothing_else(
    store: DiskStore, other: DiskStore, archive: Path
) -> None:
    write(store, 1, loader="a", tags=("x", "y"), made=NOW - 100)
    write(store, 2, loader="a", tags=("x",), made=NOW - 100)
    write(store, 3, loader="b", tags=("x", "y"), made=NOW - 100)
    write(store, 4, loader="a", tags=("x", "y"), made=NOW - 10)
    assert 1 == exported(store, archive, Filter("a", ("y", "x"), 50)).entries
    assert 4 == exported(store, archive).entries
    assert 2 == imported(other, archive, Filter("a", ("y",))).entries
    assert {key_of(1), key_of(4)} == {each.key for each in other.entries()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_left_out_of_an_archive(
    kind: str, folder: Path, store: DiskStore, other: DiskStore, archive: Path
) -> None:
    write(store, 1, kind)
    write(store, 2, kind)
    path = commit_file(folder, 1) if kind == INLINE else payload_file(folder, 1)
    path = path / "one" if kind == FOLDER else path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert (1, 1) == exported(store, archive)[::2]
    assert 1 == imported(other, archive).entries


@pytest.mark.race
@pytest.mark.parametrize("kind", [FILE, FOLDER])
@pytest.mark.parametrize("how", ["remove", "replace"])
def test_what_goes_while_it_is_read_is_in_the_archive_whole_or_not_at_all(
    how: str,
    kind: str,
    store: DiskStore,
    other: DiskStore,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(store, 1, kind)
    copy, calls = exporting._copy, [0]

    def first_goes(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] == 1:
            store.remove(key_of(1)) if how == "remove" else write(store, "new", kind, key=1)
        return copy(*arguments)

    monkeypatch.setattr(exporting, "_copy", first_goes)
    done = exported(store, archive)
    assert 0 == done.left_out
    imported(other, archive)
    whole = [expected(1, kind), expected("new", kind) if how == "replace" else None]
    assert read(other, 1) in whole
    assert done.entries == len([*other.entries()])


def test_an_archive_has_its_name_once_it_is_whole(
    store: DiskStore, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write_text("what was there before")
    write(store, 1)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(store.folder, archive, lambda header: True, interrupt)
    assert "what was there before" == archive.read_text()
    assert [archive] == [each for each in archive.parent.iterdir() if each.is_file()]


def test_an_archive_that_is_called_like_none_is_refused(store: DiskStore, tmp_path: Path) -> None:
    for name in ("all.zip", "all", ".tar", "all.tar.xz"):
        with pytest.raises(ValueError, match="must end in .tar, .tar.gz, .tgz"):
            exported(store, tmp_path / name)
    assert [] == [each.name for each in tmp_path.iterdir() if each.is_file()]


# -- what is there already -----------------------------------------------------------------------


def test_what_was_loaded_as_late_or_later_is_not_overwritten(
    store: DiskStore, other: DiskStore, archive: Path
) -> None:
    for number in range(3):
        write(store, f"archived {number}", key=number, made=100.0)
    exported(store, archive)
    for number, made in enumerate((99.0, 100.0, 101.0)):
        write(other, f"there {number}", key=number, made=made)
    assert (1, 2) == imported(other, archive)[::2]
    there = [expected(name, INLINE) for name in ("archived 0", "there 1", "there 2")]
    assert there == [read(other, number) for number in range(3)]


def test_what_is_damaged_is_overwritten(store: DiskStore, other: DiskStore, archive: Path) -> None:
    write(store, 1)
    exported(store, archive)
    write(other, 1, made=5_000.0)
    commit_file(other.path, 1).write_bytes(b"WARM")
    assert 1 == imported(other, archive).entries
    assert expected(1, INLINE) == read(other, 1)


def test_nothing_was_loaded_after_it_is_imported(
    store: DiskStore, other: DiskStore, archive: Path
) -> None:
    write(store, 1, made=NOW + 10**9)
    exported(store, archive)
    imported(other, archive)
    assert [NOW] == [each.made for each in other.entries()]
    assert 0 == imported(other, archive).entries


# -- limits --------------------------------------------------------------------------------------


def test_the_limits_of_the_tier_hold(store: DiskStore, archive: Path, tmp_path: Path) -> None:
    for number in range(3):
        write(store, number, FILE)
    exported(store, archive)
    limited = DiskStore(tmp_path / "limited", maxsize=4.5 * LARGE)
    for number in range(4, 8):
        write(limited, number, FILE, seconds=0.1)
    assert 3 == imported(limited, archive).entries
    assert bytes_of(limited.path) <= 4.5 * LARGE
    assert [expected(number, FILE) for number in range(3)] == [read(limited, n) for n in range(3)]
    limited.close()


@pytest.mark.parametrize("limit", [{"maxsize": 2.5 * LARGE}, {"maxitems": 2}])
def test_what_cannot_all_have_room_is_refused_before_anything_goes(
    limit: Any, store: DiskStore, archive: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write(store, number, FILE)
    exported(store, archive)
    limited = DiskStore(tmp_path / "limited", **limit)
    write(limited, 5)
    with pytest.raises(RefusedArchiveError, match="3 entries of 147.* KiB to import, and at most"):
        imported(limited, archive)
    assert [key_of(5)] == [each.key for each in limited.entries()]
    limited.close()


def test_what_is_to_be_left_free_is_not_filled(
    store: DiskStore, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write(store, number, FILE)
    exported(store, archive)
    limited = DiskStore(tmp_path / "limited", min_free=10 * LARGE)
    monkeypatch.setattr(limited.folder, "free", lambda: 13 * LARGE - bytes_of(limited.path))
    with pytest.raises(RefusedArchiveError, match="3 entries of 147.* and at most 146.* have room"):
        imported(limited, archive)
    assert [] == files(limited.path)
    monkeypatch.setattr(limited.folder, "free", lambda: 14 * LARGE - bytes_of(limited.path))
    write(limited, 5, FILE)  # which can go for it
    write(limited, 6, FILE)
    assert 3 == imported(limited, archive).entries
    assert bytes_of(limited.path) < 4 * LARGE
    limited.close()


def test_what_is_there_already_needs_no_room(
    store: DiskStore, archive: Path, tmp_path: Path
) -> None:
    limited = DiskStore(tmp_path / "limited", maxsize=3.5 * LARGE)
    for number in range(4):
        write(store, number, FILE)
        write(limited, number, FILE)
    exported(store, archive)
    assert Imported(1, 0, 3, 0)[::2] == imported(limited, archive)[::2]
    limited.close()


def test_what_the_disk_has_no_room_for_is_refused(
    store: DiskStore, other: DiskStore, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1, FILE)
    exported(store, archive)
    monkeypatch.setattr(other.folder, "free", lambda: LARGE)
    with pytest.raises(RefusedArchiveError, match="at most 48.8 KiB have room"):
        imported(other, archive)
    assert [] == files(other.path)


@pytest.mark.race
@pytest.mark.parametrize("when", ["before the end", "at the end"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_another_import_writes_meanwhile_is_there_already_once_it_is(
    fails: bool,
    when: str,
    store: DiskStore,
    other: DiskStore,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(2):
        write(store, number, FILE)
    exported(store, archive)
    first, second = sorted(range(2), key=key_of)
    began, goes_on = threading.Event(), threading.Event()
    theirs = DiskStore(other.path)

    def dump(path: Path) -> None:
        path.write_bytes(value_of(first, LARGE))
        began.set()
        assert goes_on.wait(5)
        if fails:
            raise ValueError

    def write_the_first() -> None:
        with contextlib.suppress(ValueError):
            theirs.write(key_of(first), HEADER, dump, LARGE)

    writing = threading.Thread(target=write_the_first)

    def end(*_: object) -> None:
        goes_on.set()
        writing.join(5)

    def takes(header: Header) -> bool:
        if header.key == key_of(second) and when == "before the end" and began.is_set():
            end()
        return True

    monkeypatch.setattr("warmcache._disk.importing.time.sleep", end)
    with archive.open("rb") as raw:
        found = Import(raw, takes, NOW)
        found.look(Room.of(other))
        writing.start()
        assert began.wait(5)
        done = found.write(other)
    assert (1, int(not fails), int(fails)) == (done.entries, done.known, done.no_room)
    assert not writing.is_alive()
    theirs.close()


# -- from an enemy -------------------------------------------------------------------------------


KEY = key_of("enemy's")
PLACE = f"o/{KEY[:2]}/{KEY}"
WRITER = "0123456789abcdef"
BEFORE = key_of("good")


def header_of(data: bytes = b"", **said: Any) -> Header:
    known: dict[str, Any] = dict(key=KEY, size=len(data), crc=zlib.crc32(data))
    return HEADER._replace(**{**known, **said})


def commit(data: bytes = b"value", **said: Any) -> bytes:
    return pack(header_of(data, **said), data)


def beside(size: int = 5, crc: int = zlib.crc32(b"value"), end: str = "") -> bytes:
    return pack(header_of(payload=f"{KEY}.{WRITER}{end}", size=size, crc=crc))


def crc_of(**named: bytes) -> int:
    crc = 0
    for name, data in named.items():
        crc = zlib.crc32(data, zlib.crc32(name.encode(), crc))
    return crc


def member(name: str, data: bytes = b"", *, form: int = tarfile.PAX_FORMAT, **said: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for attribute, value in said.items():
        setattr(info, attribute, value)
    block = info.tobuf(form, "utf-8", "surrogateescape")
    return block + data + bytes(-len(data) % 512)


def pax(records: bytes, **said: Any) -> bytes:
    """Return a header that tells of the next, as it is."""
    info = tarfile.TarInfo("pax")
    info.size, info.type = said.get("size", len(records)), tarfile.XHDTYPE
    block = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    return block + records + bytes(-len(records) % 512)


def record(name: str, value: str) -> bytes:
    line = f" {name}={value}\n"
    length = len(line) + 1
    while len(f"{length}{line}") != length:
        length += 1
    return f"{length}{line}".encode()


def spoilt(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _behind_a_good_one(parts: bytes) -> bytes:
    good = member(f"o/{BEFORE[:2]}/{BEFORE}", pack(header_of(b"good", key=BEFORE), b"good"))
    return good + parts


FILE_AT = f"{PLACE}.{WRITER}"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "above": (member("../../etc/cron.d/x", b"x"), "is no name of an entry"),
    "above in its place": (member(f"o/{KEY[:2]}/../../{KEY}", commit()), "is no name"),
    "absolute": (member("/etc/passwd", b"x"), "is no name of an entry"),
    "drive": (member("C:\\Windows\\x", b"x"), "is no name of an entry"),
    "index": (member("index.db", b"x"), "is no name of an entry"),
    "tmp": (member(f"tmp/{KEY}.{WRITER}", b"x"), "is no name of an entry"),
    "lock": (member(f"locks/{KEY}", b"x"), "is no name of an entry"),
    "another shard": (member(f"o/zz/{KEY}", commit()), "is no name of an entry"),
    "wrong shard": (member(f"o/{'00' if KEY[:2] != '00' else '11'}/{KEY}", commit()), "is no name"),
    "no digest": (member("o/ab/abXYZ", commit()), "is no name of an entry"),
    "a line more": (member(f"{PLACE}\n", commit()), "is no name of an entry"),
    "symbolic link": (
        member(PLACE, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "is a symbolic link",
    ),
    "hard link": (member(PLACE, type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
    "device": (member(PLACE, type=tarfile.CHRTYPE, devmajor=1, devminor=5), "is a device"),
    "block device": (member(PLACE, type=tarfile.BLKTYPE), "is a device"),
    "pipe": (member(PLACE, type=tarfile.FIFOTYPE), "is a pipe"),
    "folder": (member(f"o/{KEY[:2]}", type=tarfile.DIRTYPE), "is a folder"),
    "sparse": (member(PLACE, commit(), type=tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    "long name of GNU": (member("x", b"../x\0", type=tarfile.GNUTYPE_LONGNAME), "is of type"),
    "headers for all": (member("x", b"9 size=1\n", type=tarfile.XGLTYPE), "is of type"),
    "a name told apart": (pax(record("path", "../../x")) + member(PLACE, commit()), "is no name"),
    "a size told apart": (pax(record("size", "-50")) + member(PLACE, commit()), "is no number"),
    "a huge header": (pax(b"", size=2**33 - 1), "a header says that it has 8,589,934,591"),
    "half a header": (pax(b"99 path=x\n") + member(PLACE, commit()), "a header is not whole"),
    "another key's": (
        member(f"o/{key_of(7)[:2]}/{key_of(7)}", commit()),
        "is damaged: it is another key's",
    ),
    "no commit file": (member(PLACE, b"x" * 100), "is damaged: it is no commit file"),
    "another format": (member(PLACE, b"WARMDSK9" + bytes(8)), "another version's"),
    "wrong header": (member(PLACE, spoilt(commit(), 30)), "is damaged: its header is not whole"),
    "wrong value": (member(PLACE, spoilt(commit(), -1)), "is damaged: its payload is not whole"),
    "huge commit file": (member(PLACE, bytes(MOST + 1)), "more than any commit file"),
    "payload elsewhere": (
        member(PLACE, pack(header_of(payload=f"{KEY}.{WRITER}/../../../x", size=1))),
        "is damaged: its payload is somewhere else",
    ),
    "no time": (member(PLACE, commit(made=float("nan"))), "it says what cannot be"),
    "endless load": (member(PLACE, commit(seconds=float("inf"))), "it says what cannot be"),
    "load of less than nothing": (member(PLACE, commit(seconds=-1.0)), "it says what cannot be"),
    "number of no float": (member(PLACE, commit(made=10**400)), "it says what cannot be"),
    "size below nothing": (member(PLACE, beside(-1)), "it says what cannot be"),
    "no payload": (member(PLACE, beside()), "is not all there"),
    "short payload": (member(PLACE, beside()) + member(FILE_AT, b"val"), "is not all there"),
    "long payload": (member(PLACE, beside()) + member(FILE_AT, b"values"), "is more than the 5 by"),
    "wrong payload": (member(PLACE, beside()) + member(FILE_AT, b"eulav"), "not what was written"),
    "payload of another": (
        member(PLACE, beside()) + member(f"{PLACE}.{WRITER[::-1]}", b"value"),
        "is not all there",
    ),
    "payload linked": (
        member(PLACE, beside()) + member(FILE_AT, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "is a symbolic link",
    ),
    "payload without entry": (member(FILE_AT, b"value"), "is no name of an entry"),
    "declared too large": (
        member(PLACE, beside(2**49)) + member(FILE_AT, b"value"),
        "is not all there",
    ),
    "says to be larger than it is": (
        member(PLACE, beside()) + member(FILE_AT, b"value", size=2**40),
        "is more than",
    ),
    "above its payload": (
        member(PLACE, beside(5, end="/")) + member(f"{FILE_AT}/../../../x", b"value"),
        "leaves its entry",
    ),
    "from the root": (
        member(PLACE, beside(5, end="/")) + member(f"{FILE_AT}//etc/x", b"value"),
        "leaves its entry",
    ),
    "a name that ends": (
        member(PLACE, beside(5, end="/")) + pax(record("path", f"{FILE_AT}/a\0b")) + member("x"),
        "leaves its entry",
    ),
    "twice": (
        member(PLACE, beside(10, end="/")) + 2 * member(f"{FILE_AT}/one", b"value"),
        "is there twice",
    ),
    "another order": (
        member(PLACE, beside(10, crc_of(two=b"value", one=b"value"), "/"))
        + member(f"{FILE_AT}/two", b"value")
        + member(f"{FILE_AT}/one", b"value"),
        "not where it should be",
    ),
    "a file in a folder without any": (
        member(PLACE, beside(5, crc_of(**{"one/": b"", "one/two": b"value"}), "/"))
        + member(f"{FILE_AT}/one/", type=tarfile.DIRTYPE)
        + member(f"{FILE_AT}/one/two", b"value"),
        "is there twice",
    ),
    "a folder with bytes": (
        member(PLACE, beside(5, crc_of(**{"one/": b"value"}), "/"))
        + member(f"{FILE_AT}/one/", b"value", type=tarfile.DIRTYPE),
        "is a folder",
    ),
    "a folder in a file": (
        member(PLACE, beside()) + member(f"{FILE_AT}/one/", type=tarfile.DIRTYPE),
        "is not all there",
    ),
    "a folder above its payload": (
        member(PLACE, beside(0, crc_of(**{"../": b""}), "/"))
        + member(f"{FILE_AT}/../", type=tarfile.DIRTYPE),
        "leaves its entry",
    ),
    "another archive behind it": (
        member(PLACE, commit()) + bytes(1024) + _behind_a_good_one(b""),
        "there is more behind its end",
    ),
    "less than nothing": (
        member(PLACE, size=-1, form=tarfile.GNU_FORMAT) + commit(),
        "says that it has -1 bytes",
    ),
    "a file and a folder": (
        member(PLACE, beside(10, end="/"))
        + member(f"{FILE_AT}/one", b"value")
        + member(f"{FILE_AT}/one/two", b"value"),
        "is there twice",
    ),
    "cut off": (member(PLACE, commit())[:700], "is cut off"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "gz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_with_anything_that_is_not_as_it_should_be_is_refused_and_nothing_written(
    name: str, packed: bool, other: DiskStore, archive: Path, tmp_path: Path
) -> None:
    parts, why = HOSTILE[name]
    data = _behind_a_good_one(parts) + (b"" if name == "cut off" else bytes(1024))
    archive.write_bytes(gzip.compress(data) if packed else data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RefusedArchiveError, match=why):
        imported(other, archive)
    assert [] == files(other.path) + files(other.path, "tmp") + files(other.path, "locks")
    assert before == sorted(tmp_path.rglob("*"))


def test_what_the_table_spoils_is_imported_where_it_is_not_spoilt(
    other: DiskStore, archive: Path
) -> None:
    inner = crc_of(one=b"value", two=b"value")
    kinds = [
        member(PLACE, commit()),
        member(PLACE, beside()) + member(FILE_AT, b"value"),
        member(PLACE, beside(10, inner, "/"))
        + member(f"{FILE_AT}/one", b"value")
        + member(f"{FILE_AT}/two", b"value"),
    ]
    for parts in kinds:
        other.evict()
        archive.write_bytes(_behind_a_good_one(parts) + bytes(1024))
        assert 2 == imported(other, archive).entries


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut off, or no archive"),
        (b"x" * 2_000, "it is no archive"),
        (b"\x1f\x8b" + b"x" * 2_000, "is not whole"),
        (gzip.compress(member(PLACE, commit()) + bytes(1024))[:-20], "is not whole|cut off"),
        (gzip.compress(b"x" * 2_000), "it is no archive"),
        (member(PLACE, commit()), "is cut off"),
    ],
    ids=["nothing", "no tar", "no gzip", "half a gzip", "gzip of no tar", "without an end"],
)
def test_what_is_no_archive_is_refused(
    data: bytes, why: str, other: DiskStore, archive: Path
) -> None:
    archive.write_bytes(data)
    with pytest.raises(RefusedArchiveError, match=why):
        imported(other, archive)
    assert [] == files(other.path)


def test_an_archive_that_is_changed_while_it_is_imported_brings_nothing_unseen(
    store: DiskStore, other: DiskStore, archive: Path
) -> None:
    write(store, 1, FILE)
    exported(store, archive)
    data = archive.read_bytes()
    told: list[int] = []

    def spoil(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 1:
            archive.write_bytes(spoilt(data, len(data) - 2_000))

    with pytest.raises(RefusedArchiveError, match="not what was written"):
        imported(other, archive, tell=spoil)
    assert [] == files(other.path) + files(other.path, "tmp")
    assert (0, 0) == other.totals()


def test_it_is_told_how_far_an_import_is(store: DiskStore, other: DiskStore, archive: Path) -> None:
    write(store, 1, FILE)
    exported(store, archive)
    told: list[tuple[int, int]] = []
    imported(other, archive, tell=lambda *of: told.append(of))
    assert sorted(told) == told
    assert {2 * archive.stat().st_size} == {total for _, total in told}
    assert told[-1][0] <= told[-1][1]


def test_no_more_is_in_memory_than_a_piece_of_what_is_read(
    other: DiskStore, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(8 * 2**20)
    parts = member(PLACE, beside(len(data), zlib.crc32(data))) + member(FILE_AT, data)
    archive.write_bytes(gzip.compress(parts + bytes(1024)))
    most, read_from = [0], gzip.GzipFile.read

    def watched(self: Any, size: int | None = -1) -> bytes:
        assert size is not None and size >= 0
        most.append(size)
        return read_from(self, size)

    monkeypatch.setattr(gzip.GzipFile, "read", watched)
    assert 1 == imported(other, archive).entries
    assert max(most) <= 2**20


@pytest.mark.race
def test_what_somebody_else_is_writing_is_left_to_that_one(
    store: DiskStore, other: DiskStore, archive: Path
) -> None:
    write(store, "archived", key=1)
    exported(store, archive)
    within: list[Imported] = []

    def dump(path: Path) -> None:
        path.write_bytes(value_of("new", LARGE))
        within.append(imported(other, archive))

    assert other.write(key_of(1), HEADER, dump, LARGE) is not None
    assert [Imported(0, 0, 0, 1)] == within
    assert {"": value_of("new", LARGE)} == read(other, 1)


def test_many_threads_write_while_all_is_exported(
    folder: Path, opened: Callable[..., DiskStore], other: DiskStore, archive: Path
) -> None:
    store, stop = opened(maxitems=8), threading.Event()

    def work(who: int) -> None:
        number = who
        while not stop.is_set():
            number += 1
            write(store, f"{number % 12}", KINDS[number % 3])

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    for each in threads:
        each.start()
    try:
        for _ in range(10):
            assert 0 == exported(store, archive).left_out
            other.evict()
            imported(other, archive)
            for number in range(12):
                assert read(other, number) in (None, expected(number, KINDS[number % 3]))
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert 0 == other.counts.damaged
