"""What writes and reads values: ours, a :class:`Coder`, and a user's, a :class:`Codec`."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from warmcache._disk.payload import Checked
from warmcache._private_files import not_followed
from warmcache._texts import short_text_of

INLINE = 32 * 1024  # bytes: what is larger is never made as one text, but written to a file
# By these it is known that a write failed by the disk, whoever wrote.
OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
_MAPPED = 2**20  # bytes: below, reading costs less than a mapping and its descriptor


class CodecError(ValueError):
    """A codec could not write a value, or could not read what was written."""


class Codec(Protocol):
    """What users write for values that nothing else can keep: to a folder, and back."""

    def dump(self, value: Any, folder: Path, /) -> object:
        """Write ``value`` into ``folder``, which is there and empty."""
        ...

    def load(self, folder: Path, /, *args: Any, **kwargs: Any) -> Any:
        """Return what was written into ``folder``, for the call with these arguments."""
        ...


class Coder(Protocol):
    """One way to keep values. It raises :class:`CodecError`, or the OSError of a file."""

    name: str  # which is in the header of what it has written
    safe: bool  # reading it runs nobody's code, whoever wrote it

    def size_of(self, value: Any, /) -> int | None:
        """Return the bytes that ``value`` will take, before anything is written; None: unknown."""
        ...

    def dumps(self, value: Any, /) -> bytes | None:
        """Return ``value`` as bytes; None where it needs more than :data:`INLINE`, or a folder."""
        ...

    def dump(self, value: Any, path: Path, /) -> Checked | None:
        """Write ``value`` to ``path``, where nothing is yet: a file or a folder."""
        ...

    def loads(self, data: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Return what :meth:`dumps` was given."""
        ...

    def load(self, path: Path, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Return what :meth:`dump` was given. A large file is mapped where that can be."""
        ...


def imported(name: str) -> Any:
    """Return a module if somebody has imported it, and it is whole: else no value is of it."""
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module


def unreadable(name: str, error: BaseException | str) -> CodecError:
    """Return the error of a coder that cannot read what should be its own."""
    return CodecError(f"codec {name!r} cannot read what is stored: {_said(error)}")


def is_of_the_disk(error: BaseException) -> bool:
    """Whether it says that the disk cannot be written, whatever the value is."""
    return isinstance(error, OSError) and error.errno in OF_THE_DISK


def unwritable(name: str, value: object, error: BaseException | str) -> CodecError:
    """Return the error of a coder that cannot write ``value``."""
    kind = type(value)
    what = f"{kind.__module__}.{kind.__qualname__}"
    return CodecError(f"codec {name!r} cannot write a value of type {what}: {_said(error)}")


def _said(error: BaseException | str) -> str:
    return error if isinstance(error, str) else short_text_of(error)


def opened(path: Path) -> FileIO:
    """Open a file that is one: what was put there instead makes nobody wait, or read elsewhere.

    Raises:
        OSError: it is not there, or a symbolic link.
        CodecError: it is no file.
    """
    file = open(path, "rb", buffering=0, opener=not_followed)  # noqa: SIM115  # who asked closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise CodecError(f"{path} is no file")
    return file


def writable_bytes(path: Path) -> memoryview:
    """Return a file's bytes, to be written to as one likes: the file never changes by that.

    A large one is mapped, and what is written to it is copied, page by page. The mapping outlives
    the file's name, and ends with the last that refers to it.

    Raises:
        OSError: it is not there, or a symbolic link.
        CodecError: it is no file.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size >= _MAPPED:
            return memoryview(_mapping(file.fileno()))
        return memoryview(bytearray(file.read()))


def _mapping(descriptor: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):  # else each mapping keeps a descriptor of its own
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY, trackfd=False)
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
