"""What one call is, on disk: a digest that is the same in any process, and no other call's.

Finer than the key of a cache in memory is allowed, coarser never is: ``1`` and ``1.0`` are one key
there and two here, for what comes back was loaded for another value. What has no encoding, see
``encoder.py``, is refused.

A class or function is its name. In a script or notebook that is another's, too, and so it is what
its code means besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from warmcache._named import module_of
from warmcache.keys import DROPPED

from .code_digest import code_digest
from .encoder import Encoder, leaf, node

_VERSION = b"warmcache call 1"  # of the encoding: what another one gave is not found


class _Canonical(Encoder):
    def named(self, thing: Any) -> bytes:
        name = super().named(thing)
        if module_of(thing) == "__main__":
            return node("of main", [name, leaf("code", code_digest(thing))])
        return name


def encode(value: Any, where: str = "value") -> bytes:
    """Return the canonical encoding of ``value``, which ``where`` names in errors.

    Raises:
        KeyingError: it has none, or something in it; it says where in there.
    """
    return _Canonical(where).of(value)


def call_digest(loader: str, version: Any, code: str, arguments: Mapping[str, Any]) -> str:
    """Return the digest of a call, 40 hex digits.

    Args:
        loader: its name on disk.
        version: its ``version=``, of anything that has an encoding.
        code: the digest of its code.
        arguments: the arguments by name, defaults applied; one that was dropped leaves nothing.

    Raises:
        KeyingError: an argument cannot be told from others in another process.
    """
    given = {name: value for name, value in arguments.items() if value is not DROPPED}
    pairs = sorted(leaf("str", name) + encode(value, name) for name, value in given.items())
    parts = [leaf("str", loader), encode(version, "version"), leaf("str", code)]
    encoding = node("call", [*parts, node("arguments", pairs)])
    return hashlib.blake2b(encoding, digest_size=20, person=_VERSION).hexdigest()
