"""Which coder keeps a value, and which one reads what was kept: the loader says, no file does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmcache import _checks as checks
from warmcache._disk.signing import Seal
from warmcache._signatures import not_async

from .built_in import NAMES, BuiltIn, parts_of, why_not
from .coder import Codec, Coder
from .of_users import OfUsers
from .pickled import Pickled
from .tree import NotKept
from .with_files import WithFiles, without_files

__all__ = ["check_codec", "coder_for", "coder_named", "why_not"]


def check_codec(codec: Any) -> str | Codec:
    """Check a loader's option ``codec=``, and return it.

    Raises:
        TypeError: it is no codec, or an asynchronous one.
        ValueError: it is a text that names none.
    """
    if isinstance(codec, str):
        if codec not in ("auto", "pickle"):
            raise checks.value_error("codec", "'auto', 'pickle' or a codec", codec)
        return codec
    if isinstance(codec, type):
        raise checks.type_error("codec", "an object", codec, f"write codec={codec.__name__}(...)")
    if not all(callable(getattr(codec, name, None)) for name in ("dump", "load")):
        must_be = "'auto', 'pickle' or an object with dump and load"
        raise checks.type_error("codec", must_be, codec, "see warmcache.Codec")
    for name in ("dump", "load"):
        not_async(f"codec.{name}", getattr(codec, name))
    return codec  # type: ignore[no-any-return]


def coder_for(
    value: object,
    codec: str | Codec = "auto",
    seal: Seal | None = None,
    files: Mapping[str, Path] | None = None,
) -> Coder | None:
    """Return what keeps ``value``; None where nothing does exactly.

    With ``"pickle"`` that is a pickle for what ``"auto"`` cannot keep, and for nothing else.

    Args:
        value: what is to be kept. The coder is for that, and for now.
        codec: the loader's option, checked.
        seal: what signs pickles, for the key that the value is kept under; needed for those.
        files: where those are that are to be kept beside it, by name.

    Raises:
        RuntimeError: the value was changed meanwhile by somebody else.
    """
    coder = _coder_of(value, codec, seal)
    return coder if coder is None or files is None else WithFiles(coder, files)


def _coder_of(value: object, codec: str | Codec, seal: Seal | None) -> Coder | None:
    if not isinstance(codec, str):
        return OfUsers(codec)
    try:
        name, parts = parts_of(value)
    except NotKept:
        return None if codec == "auto" else _pickled(seal)
    return BuiltIn(name, value, parts)


def coder_named(
    name: str,
    codec: str | Codec = "auto",
    seal: Seal | None = None,
    files: Mapping[str, Path] | None = None,
) -> Coder | None:
    """Return what reads what the coder of that name has written; None where the loader has none.

    So a file that says of itself that it is a pickle is not unpickled, unless its loader does that.
    What was kept beside a value is copied to ``files``.
    """
    if files is not None:
        inner = without_files(name)
        coder = None if inner is None else coder_named(inner, codec, seal)
        return None if coder is None else WithFiles(coder, files)
    if not isinstance(codec, str):
        mine = OfUsers(codec)
        return mine if name == mine.name else None
    if name in NAMES:
        return BuiltIn(name)
    return _pickled(seal) if name == codec == "pickle" else None


def _pickled(seal: Seal | None) -> Pickled:
    if seal is None:
        raise ValueError("codec='pickle' needs what signs it")
    return Pickled(seal)
