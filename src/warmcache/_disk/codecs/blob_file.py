"""A tree and its blobs in one file, of the format of safetensors: any reader of that finds them.

``<8 bytes: length of the header> <header: JSON> <blobs, without gaps>``. The header has the tree
as text among its metadata, and of each blob a name, a type, a shape and where it lies. Gaps are
not allowed, so a blob is aligned by the order: those that want most come first, and the header is
filled up with spaces. What the format has no type for, such as a text, is a row of bytes in it;
what it is, the tree says.

It is written and read here, and not by the package ``safetensors``, for three reasons: numpy's
arrays would need that too; it makes no copy; and what is read can be written to, without the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ALIGNED = 64  # bytes: where the blobs begin
_TREE = "warmcache"
_LENGTH = 8

_to_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def to_json(tree: Any) -> bytes:
    """Return JSON of what JSON can hold. A lone surrogate stays one, and a pair of them two."""
    return _to_json(tree).encode("utf-8", "surrogatepass")


def text_of_json(data: bytes | memoryview) -> str:
    """Return the text of what :func:`to_json` gave."""
    return str(data, "utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes, and what a reader of the format takes them for.

    ``span`` is from where to where in memory the value has them; None where nobody can change
    them, or have them twice. Strided ones are ``copied``, in another order than they lie there.
    """

    data: Any  # a buffer of bytes
    nbytes: int
    alignment: int = 1
    dtype: str | None = None  # of the format; None: it has none
    shape: tuple[int, ...] = ()
    span: tuple[int, int] | None = None
    copied: bool = False


def packed(tree: Any, blobs: Mapping[str, Blob]) -> list[Any]:
    """Return what a file consists of, one buffer after the other."""
    header: dict[str, Any] = {"__metadata__": {_TREE: _to_json(tree)}}
    ordered = sorted(blobs.items(), key=lambda each: -each[1].alignment)
    end = 0
    for name, blob in ordered:
        begin, end = end, end + blob.nbytes
        dtype, shape = (blob.dtype, blob.shape) if blob.dtype else ("U8", (blob.nbytes,))
        header[name] = {"dtype": dtype, "shape": [*shape], "data_offsets": [begin, end]}
    text = to_json(header)
    text += b" " * (-(_LENGTH + len(text)) % ALIGNED)
    return [len(text).to_bytes(_LENGTH, "little"), text, *(blob.data for _, blob in ordered)]


def unpacked(data: memoryview) -> tuple[str, dict[str, memoryview]]:
    """Return the tree's text and the blobs of a file.

    Raises:
        ValueError, LookupError, TypeError: it is none.
    """
    length = int.from_bytes(data[:_LENGTH], "little")
    blobs = data[_LENGTH + length :]
    header = json.loads(text_of_json(data[_LENGTH : _LENGTH + length]))
    tree: str = header.pop("__metadata__")[_TREE]
    return tree, dict(_places(blobs, header))


def _places(blobs: memoryview, header: dict[str, Any]) -> Iterable[tuple[str, memoryview]]:
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if not (type(begin) is type(end) is int and 0 <= begin <= end <= len(blobs)):
            raise ValueError(f"blob {name!r} lies outside of the file")
        yield name, blobs[begin:end]
