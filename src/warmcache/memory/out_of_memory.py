"""Running out of memory: how much was lacking."""

from __future__ import annotations

import math
import re

from warmcache._lack_of_memory import is_lack_of_memory
from warmcache._sizes import parse_size
from warmcache.probes.probe import Probe

_WANTED = re.compile(
    r"(?:tried|trying|failed|attempt\w*|unable) to allocate:?\s+"
    r"([\d,]*\.?\d+)\s*(bytes|[KMGT]i?B|B)?",
    re.IGNORECASE,
)


def lacked(error: BaseException, probe: Probe) -> float | None:
    """Return how many bytes ``error`` says it could not get; 0 when it does not say.

    Infinity means more than the device of ``probe`` has at all; None, that it is no lack
    of memory. What was raised from or while handling a lack of memory is one too.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if is_lack_of_memory(link):
            wanted, total = _wanted(str(link)), probe.sample().total
            return math.inf if total is not None and wanted > total else wanted
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return None


def _wanted(text: str) -> float:
    found = _WANTED.search(text)
    if found is None:
        return 0
    number, unit = found[1].replace(",", ""), found[2] or "B"
    return parse_size(f"{number} {'B' if unit.lower() == 'bytes' else unit}")
