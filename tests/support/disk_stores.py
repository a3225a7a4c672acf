"""What the tests of the store on disk share: keys, and values that show whose they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmcache._disk.records import Header, Stored
from warmcache._disk.store import DiskStore

INLINE, FILE, FOLDER = "inline", "file", "folder"
KINDS = [INLINE, FILE, FOLDER]
SMALL, LARGE = 1_000, 50_000  # bytes: inside of the commit file, and beside it
HEADER = Header(text="load(1)", loader="app.load", seconds=0.5, made=1_000.0)


def key_of(name: object) -> str:
    return hashlib.blake2b(str(name).encode(), digest_size=20).hexdigest()


def value_of(name: object, size: int) -> bytes:
    """Return bytes in which a mix or a piece that is missing would show."""
    seed = hashlib.blake2b(str(name).encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def payload_of(name: object, kind: str) -> bytes | Callable[[Path], object]:
    """Return what to store: bytes that stay inside, or what writes a file or a folder."""
    if kind == INLINE:
        return value_of(name, SMALL)

    def file(path: Path) -> None:
        path.write_bytes(value_of(name, LARGE))

    def folder(path: Path) -> None:
        (path / "inner").mkdir(parents=True)
        (path / "one").write_bytes(value_of(f"{name} one", LARGE // 2))
        (path / "inner" / "two").write_bytes(value_of(f"{name} two", LARGE // 2))

    return file if kind == FILE else folder


def write(store: DiskStore, name: object, kind: str = INLINE, **said: Any) -> Header | None:
    """Store the value of ``name`` under the key of ``said["key"]``, or of ``name``."""
    key = key_of(said.pop("key", name))
    size = said.pop("size", None)
    return store.write(key, HEADER._replace(**said), payload_of(name, kind), size)


def content(stored: Stored | None) -> dict[str, bytes] | None:
    """Return all that was stored, by the names of files."""
    if stored is None:
        return None
    if stored.path is None:
        assert stored.data is not None
        return {"": stored.data}
    if stored.path.is_file():
        return {"": stored.path.read_bytes()}
    return {name: (stored.path / name).read_bytes() for name in ("one", "inner/two")}


def expected(name: object, kind: str) -> dict[str, bytes]:
    if kind == FOLDER:
        return {
            "one": value_of(f"{name} one", LARGE // 2),
            "inner/two": value_of(f"{name} two", LARGE // 2),
        }
    return {"": value_of(name, SMALL if kind == INLINE else LARGE)}


def read(store: DiskStore, name: object) -> dict[str, bytes] | None:
    """Read as a codec does: what is evicted in the midst of it is looked for again."""
    while True:
        try:
            return content(store.read(key_of(name)))
        except FileNotFoundError:
            pass


def files(path: Path, part: str = "o") -> list[str]:
    """Return the names of the files in a part of a store."""
    return sorted(
        each.relative_to(path).as_posix() for each in (path / part).rglob("*") if each.is_file()
    )


def bytes_of(path: Path) -> int:
    """Return what all entries of a store take; what goes while we look is not counted."""
    total = 0
    for folder, _, names in os.walk(path / "o"):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                pass
    return total


def commit_file(path: Path, name: object) -> Path:
    key = key_of(name)
    return path / "o" / key[:2] / key


def payload_file(path: Path, name: object) -> Path:
    [found] = commit_file(path, name).parent.glob(f"{key_of(name)}.*")
    return found


def flip(file: Path, at: int = -1) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def descriptors() -> int:
    """Return how many temporary files this process has open, but for a moment of others'."""
    return min(_open_now() for _ in range(5))


def _open_now() -> int:
    threading.Event().wait(0.0005)
    root, there = Path(tempfile.gettempdir()).resolve(), 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            there += descriptor.readlink().is_relative_to(root)
    return there
