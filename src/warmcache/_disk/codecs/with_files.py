"""A value and the files that were written beside it, as one folder.

What a reader gets are copies: what becomes of them, nobody who comes later sees.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import IO, Any

from .coder import Coder, opened, unreadable

_NAME = "+files"
_CHUNK = 2**20
_FICLONE = 0x40049409  # which module fcntl names only since 3.12


class WithFiles:
    """Another coder, and files that lie beside its value.

    Args:
        coder: what keeps the value.
        files: the files by name: where they are to be kept from, and where to when it is read.
    """

    def __init__(self, coder: Coder, files: Mapping[str, Path]) -> None:
        self.name = coder.name + _NAME
        self.safe = coder.safe
        self._coder = coder
        self._files = files

    def size_of(self, value: object, /) -> int:
        files = sum(file.stat().st_size for file in self._files.values())
        return files + (self._coder.size_of(value) or 0)

    def dumps(self, value: object, /) -> None:
        return None

    def dump(self, value: object, path: Path, /) -> None:
        (path / "files").mkdir(parents=True)
        self._coder.dump(value, path / "value")
        for name, file in self._files.items():
            with file.open("rb") as read:
                _copy(read, path / "files" / name)

    def loads(self, data: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        raise unreadable(self.name, "it writes folders, and there is none")

    def load(self, path: Path, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        for name, file in self._files.items():
            with opened(path / "files" / name) as read:
                file.unlink(missing_ok=True)
                _copy(read, file)
        return self._coder.load(path / "value", args, kwargs)


def without_files(name: str) -> str | None:
    """Return which coder a :class:`WithFiles` of that name is about, if it is one."""
    return name.removesuffix(_NAME) if name.endswith(_NAME) else None


def _copy(read: IO[bytes] | FileIO, to: Path) -> None:
    """Copy the contents of a file to a new one, with which it shares them where that can be."""
    with to.open("xb") as written:
        if not _is_cloned(read.fileno(), written.fileno()):
            shutil.copyfileobj(read, written, _CHUNK)


def _is_cloned(read: int, written: int) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(written, _FICLONE, read)
    except OSError:  # the file system does not do that, or there are two
        return False
    return True
