"""What of a process' memory is mapped from files, so that the system can drop it by itself.

Weights that are mapped, as by safetensors, ``torch.load(mmap=True)`` or ``numpy.memmap``, lie in
the page cache: where memory is short their pages are dropped, and read again when they are used.
So they are no reason to tear anything down. What cannot be dropped is not among them: pages of a
private mapping that were written to, and files that lie in memory themselves, such as those of
``/dev/shm``, by which processes share tensors.

Only Linux tells all that. Elsewhere, and where it cannot be read, nothing counts as mapped: what is
unknown weighs.
"""

from __future__ import annotations

import mmap
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

from .address_ranges import Range

_PAGE = mmap.PAGESIZE
# Start, end, whether it is private, and the path of what has an inode.
_FILE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ...([ps]) \S+ \S+ [1-9]\d* +(/.*)$", re.MULTILINE)
_IN_MEMORY = (b"tmpfs", b"ramfs", b"devtmpfs", b"hugetlbfs")
_NO_FILES = (b"/memfd:", b"/SYSV", b"/dev/")
# A page's entry in pagemap is eight bytes, and the last has what is asked for: whether the page is
# there (128), swapped out (64), and of a file (32). What is there and of none was written to.
_WRITTEN = bytes(bool(flags & 192) and not flags & 32 for flags in range(256))


def apart_from_files(ranges: Sequence[Range]) -> tuple[Sequence[Range], int]:
    """Return what of some ``ranges``, sorted, is not mapped from files, and how many bytes are."""
    mappings = _mappings() if ranges else []
    edges = [edge for start, end, *_ in mappings for edge in (start, end)]
    first = map(bisect_right, repeat(edges), map(itemgetter(0), ranges))
    last = map(bisect_left, repeat(edges), map(itemgetter(1), ranges))
    # As most values lie in no file, this is done in C for all of their ranges.
    met = [at for at, each in enumerate(zip(first, last)) if each[0] != each[1] or each[0] & 1]  # noqa: B905
    if not met:
        return ranges, 0
    kept, mapped = list(ranges), 0
    in_memory = _mounts_in_memory()
    for at in reversed(met):
        start, end, owner = ranges[at]
        pieces: list[Range] = []
        for piece in _kept(start, end, mappings, in_memory):
            if pieces and pieces[-1][1] == piece[0]:
                pieces[-1] = pieces[-1][0], piece[1], owner
            else:
                pieces.append((*piece, owner))
        mapped += end - start - sum(last - first for first, last, _ in pieces)
        kept[at : at + 1] = pieces
    return kept, mapped


_Mapping: TypeAlias = tuple[int, int, bool, bytes]


def _mappings() -> list[_Mapping]:
    """Return what of this process is mapped from files, in the order of its addresses."""
    return [
        (int(start, 16), int(end, 16), private == b"p", path)
        for start, end, private, path in _FILE.findall(_read("/proc/self/maps"))
    ]


def _kept(
    start: int, end: int, mappings: Sequence[_Mapping], in_memory: Sequence[tuple[bytes, bool]]
) -> Iterator[tuple[int, int]]:
    """Yield what of a range the system cannot drop, in order."""
    at = start
    for first, last, private, path in mappings:
        first, last = max(first, start), min(last, end)
        if first >= last:
            continue
        if at < first:
            yield at, first
        at = last
        if _is_in_memory(path, in_memory):
            yield first, last
        elif private:
            yield from _written(first, last)
    if at < end:
        yield at, end


def _is_in_memory(path: bytes, in_memory: Sequence[tuple[bytes, bool]]) -> bool:
    """Whether a mapped file, or what looks like one, lies in memory itself."""
    if path.startswith(_NO_FILES):
        return True
    return next((held for point, held in in_memory if path.startswith(point)), False)


def _mounts_in_memory() -> list[tuple[bytes, bool]]:
    """Return what is mounted, with whether it lies in memory, the deepest first."""
    found = []
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(b" - ")
        point = before.split()[4].replace(b"\\040", b" ").rstrip(b"/") + b"/"
        found.append((point, after.split()[0] in _IN_MEMORY))
    return sorted(found, key=lambda mount: -len(mount[0]))


def _written(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what of a private mapping was written to; all of it where that is not told."""
    page = start // _PAGE
    count = -(-end // _PAGE) - page
    flags = _page_flags(page, count)
    if len(flags) != count:
        yield start, end
        return
    written, at = flags.translate(_WRITTEN), 0
    while (begin := written.find(1, at)) >= 0:
        at = written.find(0, begin)
        at = count if at < 0 else at
        yield max((page + begin) * _PAGE, start), min((page + at) * _PAGE, end)


def _page_flags(page: int, count: int) -> bytes:
    """Return the flags of ``count`` pages, a byte for each; fewer where they cannot be read."""
    try:
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            return os.pread(file.fileno(), 8 * count, 8 * page)[7::8]
    except OSError:
        return b""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
