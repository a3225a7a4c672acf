"""Signed pickles: ``<magic> <signature, 32 bytes> <pickle>``.

A pickle can do anything as it is read, so nothing of it is, until the signature is seen to be this
user's, made for this key. It is read into memory first, and checked and unpickled from there: a
file that changes in between changes nothing.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from io import BytesIO
from pathlib import Path
from typing import Any

from warmcache._disk.signing import SIZE, Seal

from .coder import INLINE, is_of_the_disk, opened, unreadable, unwritable

_MAGIC = b"wcP1"
_HEAD = len(_MAGIC) + SIZE
_PROTOCOL = 5  # which every Python reads that we run on
_CHUNK = 2**20


class _TooLarge(Exception):  # noqa: N818  # no error, but an answer
    pass


class _Signed:
    """A file to pickle to, which signs what goes through it, and may have an end."""

    def __init__(self, file: Any, seal: Seal, most: float) -> None:
        self._file, self._hash, self._left = file, seal.begin(), most

    def write(self, data: Any) -> None:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise _TooLarge
        self._hash.update(data)
        self._file.write(data)

    def signature(self) -> bytes:
        return self._hash.digest()


class Pickled:
    """Pickles under one key, signed by ``seal``."""

    name = "pickle"
    safe = False

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def size_of(self, value: object, /) -> None:
        return None

    def dumps(self, value: object, /) -> bytes | None:
        file = BytesIO()
        try:
            self._write(value, file, INLINE - _HEAD)
        except _TooLarge:
            return None
        return file.getvalue()

    def dump(self, value: object, path: Path, /) -> None:
        with path.open("xb") as file:
            self._write(value, file, float("inf"))

    def _write(self, value: object, file: Any, most: float) -> None:
        file.write(_MAGIC + bytes(SIZE))  # which no seal gives: half a file is none
        signed = _Signed(file, self._seal, most)
        try:
            pickle.Pickler(signed, _PROTOCOL).dump(value)
        except (MemoryError, _TooLarge):
            raise
        except Exception as error:
            if is_of_the_disk(error):
                raise
            raise unwritable(self.name, value, error) from error
        file.seek(len(_MAGIC))
        file.write(signed.signature())

    def loads(self, data: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        payload = memoryview(data)[_HEAD:]
        signing = self._seal.begin()
        signing.update(payload)
        return self._checked(data[:_HEAD], signing.digest(), payload)

    def load(self, path: Path, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        signing = self._seal.begin()
        with opened(path) as file:
            head = file.read(_HEAD)
            payload = memoryview(bytearray(max(0, os.fstat(file.fileno()).st_size - _HEAD)))
            at = 0
            while got := file.readinto(payload[at : at + _CHUNK]):
                signing.update(payload[at : at + got])
                at += got
        return self._checked(head, signing.digest(), payload[:at])

    def _checked(self, head: bytes, signature: bytes, payload: memoryview) -> Any:
        if not head.startswith(_MAGIC) or not compare_digest(head[len(_MAGIC) :], signature):
            raise unreadable(self.name, "it is not signed by this user for this key")
        try:
            return pickle.loads(payload)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise unreadable(self.name, error) from error
