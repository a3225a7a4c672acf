"""Records what a cache is asked for, as a trace that ``warmcache simulate`` replays."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import Flight
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import Removal
from warmcache._core.state.store import Store
from warmcache._log import log
from warmcache._private_files import private
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.at_exit import ExitJob, close_at_exit, register_exit
from warmcache._process.janitor import janitor
from warmcache.errors import CapacityError
from warmcache.keys import shown

COLUMNS = ("t_s", "key", "size_bytes", "load_s")  # of the file
BUFFER = 2**20  # requests that may wait to be written: 8 MB, for keys are shared
_PERIOD = 0.25  # seconds between two writes
_LONGEST = 200  # characters of a key
_running: set[Recording] = set()  # or one would be collected together with its cache


class _Stored:
    """That an entry was loaded, and when all those who wanted it asked."""

    __slots__ = ("asked", "at", "key", "seconds", "weight")

    def __init__(self, entry: Entry) -> None:
        self.at = time.monotonic()
        self.asked = [record.since for record in entry.leases] or [self.at]
        self.key, self.weight, self.seconds = entry.key, entry.weight, entry.provenance.seconds


class _Buffer(deque[Any]):
    """What is to be written. It travels empty with a hit path that is pickled."""

    def __reduce__(self) -> Any:
        return _Buffer, ()


class Recording:
    """A recording under way: ``stop()`` ends it, as does leaving a ``with`` block.

    A hit puts its key into a buffer, and no more. The janitor thread writes the buffer
    to the file a few times a second, as do :meth:`stop` and the end of the process;
    then hits are dated evenly between loads, whose times are known, and writes. The
    buffer is bounded: what does not fit is dropped, oldest first, and the log says how
    much. A process that is forked off records nothing. Only the file's owner may read it.

    Attributes:
        path: the file, with ``{pid}`` replaced.
        written: how many requests are in it.
        dropped: how many are not, as near as can be told.
    """

    __module__ = "warmcache"  # where it is found

    def __init__(self, store: Store, path: str | os.PathLike[str], *, lazily: bool = False) -> None:
        self._pid = os.getpid()
        self.path = Path(str(os.fspath(path)).replace("{pid}", str(self._pid)))
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self.path.parent} to record in")
        self.written = self.dropped = 0
        self._store = weakref.ref(store, lambda _: janitor.defer(self.stop))
        self._buffer = _Buffer(maxlen=BUFFER)
        self._begun = self._stopped = False
        self._start = self._written_at = time.monotonic()
        self._loads = 0
        self._known: dict[Hashable, tuple[float, float]] = {}
        self._rows: dict[Hashable, str] = {}  # all of a row but its time
        self._names: dict[str, Hashable] = {}
        self._writing = threading.RLock()  # a signal's handler may want it, too
        with store.lock:
            store.check_open()
            for other in store.observers.all:
                if isinstance(other, Recording):
                    raise RuntimeError(f"this cache is being recorded already, in {other.path}")
            self._counted = self._requests(store)
            _running.add(self)
            store.observers.add(self)
        if not lazily:
            self._begin_file()
        begins_anew_in_child(self)
        close_at_exit(self)
        register_exit()
        janitor.watch(self, _PERIOD)

    def _begin_file(self) -> None:
        """Replace what was there, with no lock of the cache's held: a file may open slowly.

        What is asked for meanwhile is in the buffer.
        """
        try:
            with self._writing:
                self._append([])
        except BaseException:
            self._stopped = True
            self._detach()
            raise

    # -- what a cache tells --------------------------------------------------------

    @property
    def hit(self) -> Callable[[Hashable], object]:
        """What the generated hit paths call with a key: C code, which takes no lock."""
        return self._buffer.append

    def used(self, key: Hashable) -> None:
        """Note a hit off the hit path."""
        self._buffer.append(key)

    def stored(self, entry: Entry) -> None:
        """Note that ``entry`` was loaded for all who hold it, or was handed in."""
        stored = _Stored(entry)
        self._loads += len(stored.asked)
        self._buffer.append(stored)

    def removed(self, removal: Removal) -> None:
        """Ignore it, as what follows: a trace is what was asked for."""

    def waited(self, what: Claim | Flight) -> None: ...
    def refused(self, error: CapacityError) -> None: ...

    def closed(self) -> None:
        """Note that nothing more will be asked for."""
        self.stop()

    # -- writing -------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is in the buffer."""
        with self._writing:
            full = len(self._buffer) == BUFFER
            events = [self._buffer.popleft() for _ in range(len(self._buffer))]
            if full:
                self._count_dropped(events)
            if events:
                self._append(self._dated(events))

    def _count_dropped(self, events: list[Any]) -> None:
        store = self._store()
        if store is not None:
            with store.lock:
                requests = self._requests(store)
            there = sum(len(e.asked) if type(e) is _Stored else 1 for e in events)
            missing = requests - self._counted - self.written - there - self.dropped
            if missing > 0:
                self.dropped += missing
                log().warning(
                    "the recording in %s fell behind: about %d requests are missing",
                    *(self.path, missing),
                )

    def _requests(self, store: Store) -> int:
        return self._loads + store.counts.past_hits + int(sum(e.hits.number for e in store.alive()))

    def _dated(self, events: list[Any]) -> Iterator[tuple[float, Hashable]]:
        """Yield the time and key of each request."""
        before = self._written_at
        hits: list[Hashable] = []
        for event in events:
            if type(event) is _Stored:
                asked = min(event.asked)  # most often, all those hits came before
                yield from _spread(hits, before, asked if asked > before else event.at)
                before, hits = event.at, []
                self._known[event.key] = event.weight, event.seconds
                self._rows.pop(event.key, None)
                for asked in event.asked:
                    yield asked, event.key
            else:
                hits.append(event)
        self._written_at = now = time.monotonic()
        yield from _spread(hits, before, now)

    def _append(self, requests: Iterable[tuple[float, Hashable]]) -> None:
        start, rows = self._start, self._rows
        lines = [] if self._begun else [",".join(COLUMNS) + "\n"]
        for at, key in requests:
            lines.append(f"{max(0.0, at - start):.6f},{rows.get(key) or self._row(key)}")
        data = "".join(lines).encode()
        if self.path.suffix == ".gz":
            data = gzip.compress(data, 6)  # a member of its own: what is there is whole
        with open(self.path, "ab" if self._begun else "wb", opener=private) as file:
            file.write(data)
        self.written += len(lines) - (not self._begun)
        self._begun = True
        if len(rows) > BUFFER:
            for each in (rows, self._known, self._names):
                each.clear()

    def _row(self, key: Hashable) -> str:
        """Return what a row says of ``key``; of one that nothing is known of, its name."""
        store = self._store()
        if key not in self._known and store is not None:
            with store.lock:
                entry = store.live.get(key)
                if entry is not None:
                    self._known[key] = entry.weight, entry.provenance.seconds
        text = io.StringIO()
        weight, seconds = self._known.get(key, (None, None))
        figures = ["", ""] if weight is None else [f"{weight:.17g}", f"{seconds:.6f}"]
        csv.writer(text, lineterminator="\n").writerow([self._name(key), *figures])
        self._rows[key] = row = text.getvalue()
        return row

    def _name(self, key: Hashable) -> str:
        """Return a text for ``key``, and another for each other key."""
        try:
            text = key if isinstance(key, str) else shown(key)
        except Exception:
            text = f"<{type(key).__name__}>"
        if not text.isprintable():
            text = text.encode("unicode_escape").decode("ascii")
        if len(text) > _LONGEST:
            digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
            text = f"{text[:_LONGEST]}...{digest}"
        name, number = text, 1
        while self._names.setdefault(name, key) != key:
            number += 1
            name = f"{text} #{number}"
        return name

    # -- ending --------------------------------------------------------------------

    def stop(self) -> None:
        """Write what is left, and end the recording. Stopping twice is fine."""
        if self._stopped:
            return
        self._stopped = True
        self._detach()
        self.flush()

    def _detach(self) -> None:
        _running.discard(self)
        store = self._store()
        if store is not None:
            # Nobody is to be told of its end any more, least of all as the interpreter ends.
            self._store = weakref.ref(store)
            with store.lock:
                store.observers.remove(self)

    def begin_anew(self) -> None:
        """End it in a forked child: the file is the parent's."""
        self._stopped = True
        self._writing = threading.RLock()
        self._buffer.clear()
        _running.discard(self)  # and its store, whose lock may be held, is left behind

    def expire_now(self) -> float | None:
        """Write, for the janitor; return the seconds until the next time."""
        if self._stopped:
            return None
        try:
            self.flush()
        except OSError as error:
            log().error("the recording in %s failed, and ends: %s", self.path, error)
            self._stopped = True
            self._detach()
            return None
        return _PERIOD

    def warm_at_exit(self, patience: float) -> Iterable[Any]:
        return ()

    def close_at_exit(self, patience: float, by: str) -> Iterable[ExitJob]:
        return ()

    def finish_at_exit(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recording in {self.path}{', stopped' if self._stopped else ''}>"


def _spread(keys: list[Hashable], begin: float, end: float) -> Iterator[tuple[float, Hashable]]:
    """Yield ``keys`` with times evenly between ``begin`` and ``end``."""
    apart = (end - begin) / (len(keys) + 1)
    for number, key in enumerate(keys, 1):
        yield begin + number * apart, key
