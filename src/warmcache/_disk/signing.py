"""Who may be trusted with what is unpickled: the user whose secret it is signed with.

The secret lies outside of the folders that it protects: in a file of the user's state, made once,
or it is given, so that several machines share one. A signature is a keyed BLAKE2b over the key of
the entry and then the payload, so it is worth nothing under another key.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from warmcache import _checks as checks
from warmcache._private_files import not_followed, private

if TYPE_CHECKING:
    from hashlib import blake2b

SIZE = 32  # bytes of a signature, and of a secret
_LEAST = 16
_VARIABLE = "WARMCACHE_SIGNING_KEY"
_PERSON = b"warmcache"  # what is signed for something else is not signed for this


class Seal:
    """What signs payloads of one entry."""

    __slots__ = ("_hash",)

    def __init__(self, secret: bytes, key: str) -> None:
        self._hash = hashlib.blake2b(key=secret, digest_size=SIZE, person=_PERSON)
        name = key.encode()
        self._hash.update(len(name).to_bytes(8, "little") + name)

    def begin(self) -> blake2b:
        """Return what hashes one payload; its digest is the signature."""
        return self._hash.copy()


class Signer:
    """A user's secret. It shows nowhere, and is pickled nowhere."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.blake2b(secret, digest_size=SIZE, person=_PERSON).digest()

    def seal(self, key: str) -> Seal:
        """Return what signs what is kept under ``key``."""
        return Seal(self._secret, key)

    def __reduce__(self) -> str:
        raise TypeError("a signing key does not travel; the other process has its own")


def signer(signing_key: str | bytes | None = None) -> Signer:
    """Return who signs by ``signing_key``, else by ``$WARMCACHE_SIGNING_KEY``, else by one's own.

    Raises:
        TypeError: the key is neither a text nor bytes.
        ValueError: it is too short; or there is no folder for one's own.
        PermissionError: the file of one's own key is not one's own, or not alone.
        OSError: it cannot be made, or read.
    """
    given = signing_key if signing_key is not None else os.environ.get(_VARIABLE)
    if given is None:
        return Signer(_own(key_file()))
    option = "signing_key" if signing_key is not None else _VARIABLE
    if not isinstance(given, str | bytes):
        raise checks.type_error(option, "a text or bytes", type(given))
    secret = given.encode() if isinstance(given, str) else given
    if len(secret) < _LEAST:  # which is not shown
        how = 'write the output of python -c "import secrets; print(secrets.token_hex())"'
        raise ValueError(f"{option} must have {_LEAST} bytes or more, got {len(secret)}; {how}")
    return Signer(secret)


def key_file() -> Path:
    """Return where one's own key lies, or will: ``warmcache/signing-key`` in the user's state.

    Raises:
        ValueError: nobody knows where that is.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "warmcache" / "signing-key"
    try:
        return Path.home() / ".local" / "state" / "warmcache" / "signing-key"
    except RuntimeError as error:
        raise ValueError(
            f"there is no folder for a signing key: {error}; set {_VARIABLE}"
        ) from None


def _own(path: Path) -> bytes:
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    # Whole before it has its name, and the name is given once: who comes second takes that one.
    made = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with open(made, "xb", opener=private) as file:
            file.write(secrets.token_bytes(SIZE))
        try:
            os.link(made, path)
        except FileExistsError:
            pass
    finally:
        made.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=not_followed) as file:
        found = os.fstat(file.fileno())
        wrong = _wrong(found)
        secret = file.read(SIZE + 1) if wrong is None else b""
    if wrong is None and len(secret) != SIZE:
        wrong = f"has {len(secret)} bytes, not {SIZE}"
    if wrong:
        how = "remove it, and what it has signed is loaded anew"
        raise PermissionError(errno.EPERM, f"the signing key {path} {wrong}; {how}")
    return secret


def _wrong(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "is no file"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, and this is user {os.geteuid()}"
    if found.st_mode & 0o077:
        return f"can be read by others (mode {stat.S_IMODE(found.st_mode):o})"
    return None
