"""The commit file of an entry: an entry is there once this file has its name.

It has a magic number, the length and the checksum of a header, the header, and the payload if that
is small. A header is JSON, for later versions to add to: what this one does not know it keeps, and
what an older one did not write has a default. A file of another format is neither read nor removed.

What is read here may have been written by anybody, so nothing in it is trusted: not the key, which
must be the one that was asked for, nor the payload's name, which must be a name of that key.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from .checksum import KINDS
from .records import NOTHING, Header

INLINE = 32 * 1024  # bytes of a payload that is still inside
MOST = INLINE + 2**20  # bytes of a commit file
_SURE = MOST // 8  # bytes of a header that is no longer than may be, however it was written
_STEP = 64  # bytes: a header is as long as it was expected to be, but for its checksum's digits
_MAGIC, _FORMAT = b"WARMDSK", b"1"
_START = struct.Struct("<8sII")
_TYPES: dict[str, type | tuple[type, ...]] = {  # of the fields, in their order
    **dict.fromkeys(("key", "text", "loader", "version", "code", "codec"), str),
    **dict.fromkeys(("size", "crc"), int),
    **dict.fromkeys(("made", "seconds"), (int, float)),
    "tags": list,
    **dict.fromkeys(("boot", "payload", "signature", "checksum"), str),
}
assert Header._fields == (*_TYPES, "more")
_DEFAULTS = Header()._asdict()
del _DEFAULTS["more"]
_TAGS = [*_TYPES].index("tags")
# What is added up and compared: seconds of millions of years, bytes of a pebibyte. So it is finite.
_numbers = itemgetter("size", "made", "seconds")
_END_OF_NUMBERS = 2**50
_values = itemgetter(*_TYPES)
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_of_json = json.JSONDecoder().raw_decode
_PAYLOAD = re.compile(r"[0-9a-f]{16}/?")


class DamagedError(Exception):
    """A file is not what it should be."""


class OtherFormatError(Exception):
    """A file was written by a version that is not known here."""


def pack(header: Header, inline: bytes = b"") -> bytes:
    """Return the contents of a commit file.

    Raises:
        ValueError: what the header says of the call is more than a mebibyte.
    """
    said = dict(zip(_TYPES, header, strict=False))
    if header.more:
        said = {**header.more, **said}
    text = _to_json(said).encode("ascii")
    text = text.ljust(-(-len(text) // _STEP) * _STEP)
    if len(text) > MOST - INLINE - _START.size:
        raise ValueError(f"the header of {header.key} has {len(text):,} bytes: more than 1 MiB")
    return _START.pack(_MAGIC + _FORMAT, len(text), zlib.crc32(text)) + text + inline


def unpack(key: str, data: bytes) -> tuple[Header, bytes | None]:
    """Return what a commit file says, and the payload if it is inside.

    Raises:
        DamagedError: it is not whole, or another key's.
        OtherFormatError: it may be whole, and cannot be read.
    """
    if len(data) < _START.size:
        raise DamagedError("it is too short")
    magic, length, crc = _START.unpack_from(data)
    if magic[:-1] != _MAGIC:
        raise DamagedError("it is no commit file")
    if magic[-1:] != _FORMAT:
        raise OtherFormatError(magic[-1:].decode("ascii", "replace"))
    end = _START.size + length
    text = data[_START.size : end]
    if len(text) != length or zlib.crc32(text) != crc:
        raise DamagedError("its header is not whole")
    header = _header(key, text)
    if header.checksum not in KINDS:
        raise OtherFormatError(f"checksum {header.checksum[:20]!r}")
    if header.payload:
        if end != len(data):
            raise DamagedError("there is more than a header")
        return header, None
    inline = data[end:]
    if len(inline) != header.size or zlib.crc32(inline) != header.crc:
        raise DamagedError("its payload is not whole")
    return header, inline


def _header(key: str, text: bytes) -> Header:
    try:
        said: dict[str, Any] = {**_DEFAULTS, "tags": [], **_of_json(str(text, "utf-8"))[0]}
        values = [*_values(said)]
        if not all(map(isinstance, values, _TYPES.values())):
            raise TypeError("something is of another kind")
        if not all(0 <= number < _END_OF_NUMBERS for number in _numbers(said)):
            raise DamagedError("it says what cannot be of sizes and times")
        values[_TAGS] = tuple(map(str, values[_TAGS]))
        header = Header._make([*values, _more(said)])
        if header.more or len(text) > _SURE:  # an export writes it again, which has to be possible
            pack(header._replace(more={"deeper": {"than": {"there": dict(header.more)}}}))
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError("its header cannot be read") from error
    if header.key != key:
        raise DamagedError("it is another key's")
    named = header.payload.startswith(f"{key}.") and _PAYLOAD.fullmatch(
        header.payload, len(key) + 1
    )
    if header.payload and not named:
        raise DamagedError("its payload is somewhere else")
    return header


def _more(said: dict[str, Any]) -> Mapping[str, Any]:
    """Return the fields of later versions."""
    if len(said) == len(_TYPES):
        return NOTHING
    return {name: value for name, value in said.items() if name not in _TYPES}
