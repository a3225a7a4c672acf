"""How a value lies in a file: so that what comes back equals what went in, or not at all.

::

    choice          which coder can keep a value, which one reads what was kept
    pickled         signed pickles, for who asks for them
    of_users        a codec that users write
    with_files      any of these, and files that lie beside the value
    built_in        what is safe: tagged JSON, npy, and both in a file of safetensors
    tree            a value as a tree of exact types, whose large parts are blobs
    arrays tensors  numpy's and torch's part of that
    leaves          types without parts: dates, numbers, paths
    blob_file       the file of safetensors that holds a tree and its blobs
    coder           what all of them are, and their error
"""

from __future__ import annotations

from .choice import check_codec, coder_for, coder_named, why_not
from .coder import INLINE, OF_THE_DISK, Codec, CodecError, Coder

__all__ = [
    "INLINE",
    "OF_THE_DISK",
    "Codec",
    "CodecError",
    "Coder",
    "check_codec",
    "coder_for",
    "coder_named",
    "why_not",
]
