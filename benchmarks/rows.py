"""The groups of rows by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from . import hits, imports, mappings, sizes, threads, weighing
from .timing import Line, Settings

GROUPS: dict[str, Callable[[Settings], list[Line]]] = {
    "hit-1": hits.hit_one,
    "hit-3": hits.hit_three,
    "hit-method": hits.hit_method,
    "hit-recording": hits.recording,
    "hit-async": hits.hit_async,
    "lease": hits.lease,
    "miss": hits.miss,
    "threads": threads.warm_key,
    "threads-own": threads.own_keys,
    "stampede": threads.stampede,
    "loading": threads.loading,
    "mapping": mappings.mapping,
    "insert": mappings.insert,
    "insert-telling": mappings.insert_telling,
    "insert-weighing": weighing.insert_weighing,
    "miss-weighing": weighing.miss_weighing,
    "memory": sizes.memory,
    "footprint": sizes.footprint,
    "import": imports.import_time,
}
