"""What keeps values of exact types: as tagged JSON, as npy, and as both in a file of safetensors.

None of them runs anything that a file says. Each says of a value at once what its file will
consist of, without copying what is large, so its size is known before anything is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warmcache._disk.payload import Checked, write

from . import arrays, tensors
from .blob_file import packed, text_of_json, to_json, unpacked
from .coder import INLINE, imported, unreadable, unwritable, writable_bytes
from .tree import Decoder, Maker, NotKept, encode

_READERS = {**arrays.READERS, **tensors.READERS}


class BuiltIn:
    """One of them; made for a value, it knows that value's parts."""

    safe = True

    def __init__(self, name: str, value: object = None, parts: list[Any] | None = None) -> None:
        self.name = name
        self._read = _FORMATS[name]
        self._value = value
        self._parts = parts

    def size_of(self, value: object, /) -> int:
        return sum(map(len, self._parts_of(value)))

    def dumps(self, value: object, /) -> bytes | None:
        parts = self._parts_of(value)
        return b"".join(parts) if sum(map(len, parts)) <= INLINE else None

    def dump(self, value: object, path: Path, /) -> Checked:
        return write(path, self._parts_of(value))

    def loads(self, data: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        return self._value_of(memoryview(bytearray(data)))

    def load(self, path: Path, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        return self._value_of(writable_bytes(path))

    def _parts_of(self, value: object) -> list[Any]:
        if self._parts is not None and value is self._value:
            return self._parts
        name, parts = parts_of(value)
        if name != self.name:
            raise unwritable(self.name, value, f"that is what {name!r} keeps")
        return parts

    def _value_of(self, data: memoryview) -> Any:
        try:
            return self._read(data)
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable(self.name, error) from error


def parts_of(value: object) -> tuple[str, list[Any]]:
    """Return what keeps a value, and what its file consists of.

    Raises:
        NotKept: nothing keeps it exactly.
    """
    numpy, torch = imported("numpy"), imported("torch")
    if type(value) is getattr(numpy, "ndarray", None) and (npy := arrays.npy_parts(value)):
        return "npy", npy
    tree, blobs = encode(value, _makers(numpy is not None, torch is not None))
    return ("safetensors", packed(tree, blobs)) if blobs else ("json", [to_json(tree)])


def why_not(value: object) -> str | None:
    """Return which part of a value keeps it from being kept; None if nothing does."""
    try:
        parts_of(value)
    except NotKept as error:
        return str(error)
    return None


@functools.cache
def _makers(numpy: bool, torch: bool) -> Mapping[type, Maker]:
    return {**arrays.makers(), **tensors.makers()}


def _read_json(data: memoryview) -> Any:
    return Decoder({}, _READERS).decode(text_of_json(data))


def _read_safetensors(data: memoryview) -> Any:
    text, blobs = unpacked(data)
    return Decoder(blobs, _READERS).decode(text)


_FORMATS: dict[str, Callable[[memoryview], Any]] = {
    "json": _read_json,
    "npy": arrays.read_npy,
    "safetensors": _read_safetensors,
}
NAMES = frozenset(_FORMATS)
