"""A value through a coder, both ways that there are: as bytes, and as a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from warmcache._disk.codecs import CodecError, coder_for, coder_named
from warmcache._disk.signing import Seal


def coder_of(value: Any, codec: Any = "auto", seal: Seal | None = None) -> Any:
    coder = coder_for(value, codec, seal)
    assert coder is not None
    return coder


def through_bytes(value: Any, codec: Any = "auto", seal: Seal | None = None) -> Any:
    coder = coder_of(value, codec, seal)
    data = coder.dumps(value)
    assert data is not None
    assert coder.size_of(value) in (None, len(data))
    return _reader(coder.name, codec, seal).loads(data, (), {})


def through_file(value: Any, path: Path, codec: Any = "auto", seal: Seal | None = None) -> Any:
    coder = coder_of(value, codec, seal)
    coder.dump(value, path)
    assert coder.size_of(value) in (None, path.stat().st_size)
    return _reader(coder.name, codec, seal).load(path, (), {})


def _reader(name: str, codec: Any, seal: Seal | None) -> Any:
    reader = coder_named(name, codec, seal)
    assert reader is not None
    return reader


def read(name: str, data: bytes) -> Any:
    """Read ``data`` as coder ``name`` does, from memory and from a file; None: neither could.

    What one can read, the other can.
    """
    reader = _reader(name, "auto", None)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        for get in (lambda: reader.loads(data, (), {}), lambda: reader.load(path, (), {})):
            try:
                found.append(get())
            except CodecError:
                pass
    assert len(found) in (0, 2)
    return found[0] if found else None
