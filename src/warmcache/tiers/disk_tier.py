"""The disk as a tier: what was loaded is there for the next process, and never in anybody's way.

The store below raises; this does not. Whatever fails on the disk makes a miss, or a value that is
not kept: it is counted, said in the log once for each kind, and the loader's caller gets the value
all the same. Only what is wrong from the start is refused: a folder that others may write to.

A value is kept where that pays (``worth.py``), and read where that is quicker than its load was:
else it is forgotten.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from warmcache import _checks as checks
from warmcache._disk.codecs import OF_THE_DISK, Codec, CodecError, Coder, coder_for, coder_named
from warmcache._disk.filters import Filter
from warmcache._disk.payload import OddPayloadError
from warmcache._disk.records import Header, Stored
from warmcache._disk.removing import WHATEVER
from warmcache._disk.signing import Signer, signer
from warmcache._disk.store import DiskStore
from warmcache._disk.tally import Tally
from warmcache._lack_of_memory import is_lack_of_memory
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._tracebacks import one_frame
from warmcache.errors import WarmcacheError

from .worth import Worth

T = TypeVar("T")
_PAUSE = 60.0  # seconds for which nothing is written once that has failed by what lasts:
_LASTING = OF_THE_DISK | {
    *(errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
    *(errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT),
}
# WarmcacheError: it has called a loader, whose value waits for it.
_OF_A_CODEC = CodecError, OddPayloadError, WarmcacheError
_MOST_LOCKS = 64  # of what is loaded together, each an open file


class DiskCall(NamedTuple):
    """One call of a loader, as the disk knows it.

    What it is ``called``, for people, is only made where somebody asks. ``files`` are where what
    it writes besides is taken from, and read to, by name. ``in_memory`` it has another key.
    """

    key: str  # its digest
    called: Callable[[], str]
    loader: str
    version: str
    code: str
    tags: tuple[str, ...]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    files: Mapping[str, Path] | None = None
    in_memory: Hashable = None

    @property
    def text(self) -> str:
        """What it is called."""
        return self.called()


class Found(NamedTuple):
    """What the disk had for a call."""

    value: Any
    seconds: float  # that it took to read
    header: Header

    @property
    def age(self) -> float:
        """The seconds since its load."""
        return max(0.0, time.time() - self.header.made)


class TierStats(NamedTuple):
    """What a tier has done in this process, and what lies in it.

    ``not_worth`` are values that load about as quickly as the disk reads, ``slower`` those that
    turned out to be so, ``unkept`` those that no codec keeps exactly. ``failures`` counts what
    failed, by kind: ``"read"``, ``"write"``, ``"remove"``, ``"lock"`` and ``"index"`` are of the
    disk, ``"codec"`` is a codec that raised, or wrote what is no file; what a codec cannot read,
    but for want of memory, is ``damaged``. ``bytes`` and ``entries`` are those of all processes.
    """

    hits: int
    misses: int
    writes: int
    not_worth: int
    slower: int
    unkept: int
    damaged: int
    refused: int
    expired: int
    evicted: int
    too_large: int
    failures: dict[str, int]
    entries: int
    bytes: int


class DiskTier:
    """Results of loaders in a folder of this machine, for all processes that name it.

    Args:
        path: the folder. It is made, for this user alone, and checked at once.
        maxsize: the most bytes to hold: a number, ``"50GiB"``, or None for no limit. It is
            enforced before an entry is there, over all processes.
        maxitems: the most entries to hold.
        min_free: bytes of the file system that are left free.
        ttl: seconds after its load for which an entry is used.
        policy: who goes first: ``"cost"``, by load seconds, uses and bytes, or ``"lru"``.
        wait: seconds to wait for another process that loads the same; then this loads itself.
        durable: whether an entry survives a loss of power from the moment that it is stored.
        verify: when the checksum of a large payload is looked at: ``"boot"``, the first time
            after the machine was started, or ``"always"``.
        signing_key: what pickles are signed with, instead of a secret of this user.
        shared: whether the folder's group shares it. Pickles are refused there.

    Raises:
        PermissionError: the folder is another user's, or others may write to it.
        ModuleNotFoundError: filelock is not installed: ``pip install 'warmcache[disk]'``.
        ValueError: an option is out of its range, or the path is no folder.
    """

    @one_frame
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        maxsize: float | str | None = None,
        maxitems: int | None = None,
        min_free: float | str = 0,
        ttl: float | None = None,
        policy: Literal["cost", "lru"] = "cost",
        wait: float = 60.0,
        durable: bool = False,
        verify: Literal["boot", "always"] = "boot",
        signing_key: str | bytes | None = None,
        shared: bool = False,
    ) -> None:
        self._wait = checks.seconds("wait", wait)
        self._shared = checks.flag("shared", shared)
        self._signer: Signer | None = None if signing_key is None else signer(signing_key)
        self._travels = signing_key is None
        limits: Any = dict(maxsize=maxsize, maxitems=maxitems, min_free=min_free, ttl=ttl)
        ways: Any = dict(policy=policy, durable=durable, verify=verify, shared=shared)
        self._options = {**limits, **ways, "wait": wait}
        self._store = DiskStore(Path(checks.path("path", path)).expanduser(), **limits, **ways)
        self._tally, self._failures = Tally(), Tally()
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Know nothing of what the disk costs, in a forked child."""
        self._worth = Worth()
        self._no_writes_before = 0.0

    @property
    def path(self) -> Path:
        """The folder."""
        return self._store.path

    @property
    def shared(self) -> bool:
        """Whether the folder's group shares it, and so nothing is unpickled."""
        return self._shared

    def stats(self) -> TierStats:
        """Return what was done in this process, and what there is."""
        own, store = self._tally.counts(), self._store.counts
        entries, nbytes = self._tried("index", self._store.totals, (0, 0))
        return TierStats(
            hits=own["hits"],
            misses=own["misses"],
            writes=store.writes,
            not_worth=own["not_worth"],
            slower=own["slower"],
            unkept=own["unkept"],
            damaged=store.damaged + own["damaged"],
            refused=store.refused + own["refused"],
            expired=store.expired,
            evicted=store.evicted,
            too_large=store.too_large,
            failures=dict(self._failures.counts()),
            entries=entries,
            bytes=nbytes,
        )

    def clear(self) -> None:
        """Remove everything that lies here.

        Raises:
            OSError: it cannot be removed.
        """
        self._store.evict()

    def close(self) -> None:
        """Write what was noted of uses, and close what is open; a later use opens it again."""
        self._tried("index", self._store.close, None)

    def __reduce__(self) -> Any:
        if not self._travels:
            raise TypeError("a tier with a signing_key= does not travel: say disk='name' instead")
        return _again, (str(self.path), self._options)

    def __repr__(self) -> str:
        return f"DiskTier({str(self.path)!r})"

    # -- what loaders ask: none of it raises but for interrupts --------------------------------

    def _fetch(
        self, call: DiskCall, codec: str | Codec, *, oldest: float | None, again: bool
    ) -> Found | None:
        """Return what is there for a call, loaded ``oldest`` seconds ago at most.

        Looked for ``again``, it was counted as a miss already.
        """
        began = time.perf_counter()
        found = self._tried("read", lambda: self._read(call, codec, oldest), None)
        if found is None:
            if not again:
                self._tally.add("misses")
            return None
        value, header = found
        seconds = time.perf_counter() - began
        self._tally.add("hits")
        slower = self._worth.has_read(header.size, seconds, instead_of=header.seconds)
        if call.files is None and slower:
            self._tally.add("slower")
            self._forget(call.key, header)
        else:
            self._tried("index", lambda: self._store.used(call.key), None)
        return Found(value, seconds, header)

    def _read(
        self, call: DiskCall, codec: str | Codec, oldest: float | None
    ) -> tuple[Any, Header] | None:
        stored = self._store.read(call.key)
        if stored is None:
            return None
        header = stored.header
        if oldest is not None and header.made < time.time() - oldest:
            return None  # what is loaded now takes its place
        coder = coder_named(header.codec, codec, self._seal(call.key, codec), call.files)
        if coder is None or not self._may_read(coder):
            return None
        try:
            return self._decoded(coder, stored, call), header
        except CodecError as error:
            if is_lack_of_memory(error.__cause__):  # which says nothing of the file
                raise
            self._tally.add("damaged")
            text = "%s is not what was written, and is removed: %s"
            self._tally.say("damaged", text, call.text, error)
            self._store.remove(call.key, header)
            return None

    def _decoded(self, coder: Coder, stored: Stored, call: DiskCall) -> Any:
        if stored.data is not None:
            return coder.loads(stored.data, call.args, call.kwargs)
        assert stored.path is not None
        return coder.load(stored.path, call.args, call.kwargs)

    def _may_read(self, coder: Coder) -> bool:
        if coder.safe or not self._shared:
            return True
        self._tally.add("refused")
        self._tally.say("refused", "%s is shared, and codec %r runs code", self.path, coder.name)
        return False

    def _keep(
        self, call: DiskCall, value: Any, codec: str | Codec, seconds: float, made: float = 0.0
    ) -> float | None:
        """Keep what took ``seconds`` to load; return those of reading it; None: it is not kept.

        It was ``made`` just now, or at that time.
        """
        if not self._pays(call, seconds, 0):
            return None
        if time.monotonic() < self._no_writes_before:
            return None
        return self._tried("write", lambda: self._write(call, value, codec, seconds, made), None)

    def _dump(
        self, call: DiskCall, value: Any, codec: str | Codec, seconds: float, made: float
    ) -> None:
        """Keep what leaves memory, and was ``made`` some time ago, unless that lies here already.

        So does what came from here, and what another process has dumped that has loaded it later.
        """
        there = self._tried("read", lambda: self._store.header(call.key), None)
        if there is None or there.made < made:
            self._keep(call, value, codec, seconds, made)

    def _pays(self, call: DiskCall, seconds: float, nbytes: float) -> bool:
        """Whether to keep what took ``seconds`` to load; files are asked for, and always kept."""
        pays = call.files is not None or self._worth.pays(seconds, nbytes)
        if not pays:
            self._tally.add("not_worth")
        return pays

    def _write(
        self, call: DiskCall, value: Any, codec: str | Codec, seconds: float, made: float
    ) -> float | None:
        coder = coder_for(value, codec, self._seal(call.key, codec), call.files)
        if coder is None or (self._shared and not coder.safe):
            self._tally.add("unkept")
            self._tally.say(
                f"unkept {call.loader}",
                "what %s gives is not kept on disk: no safe codec keeps %s exactly; pass codec=",
                *(call.loader, type(value).__qualname__),
            )
            return None
        size = coder.size_of(value)
        if not self._pays(call, seconds, size or 0):
            return None
        began = time.perf_counter()
        data = coder.dumps(value)
        header = Header(
            text=call.text,
            loader=call.loader,
            version=call.version,
            code=call.code,
            codec=coder.name,
            made=made,
            seconds=seconds,
            tags=call.tags,
        )
        payload: bytes | Callable[[Path], object]
        payload = data if data is not None else lambda path: coder.dump(value, path)
        written = self._store.write(call.key, header, payload, size)
        if written is None:
            return None
        self._worth.writing.took(written.size, time.perf_counter() - began)
        return self._worth.reading.of(written.size)

    @contextmanager
    def _alone(self, *keys: str) -> Iterator[None]:
        """Be alone with keys for a while, of all processes; not, where that cannot be had.

        Each is a lock, taken in an order that all processes have, and an open file. So of many
        keys it is the first few: who wants the same ones waits at the first of them.
        """
        ends = time.monotonic() + self._wait

        def take(key: str) -> bool:
            left = max(0.0, ends - time.monotonic())
            return held.enter_context(self._store.alone(key, left))

        with ExitStack() as held:
            for key in sorted({*keys})[:_MOST_LOCKS]:
                self._tried("lock", partial(take, key), False)
            yield

    def _forget(self, key: str, seen: Header = WHATEVER) -> bool:
        return self._tried("remove", lambda: self._store.remove(key, seen), False)

    def _forget_all(self, loader: str) -> None:
        self._tried("remove", lambda: self._store.evict(Filter(loader)), None)

    # -- what fails ------------------------------------------------------------------------------

    def _seal(self, key: str, codec: str | Codec) -> Any:
        if codec != "pickle":
            return None
        if self._signer is None:
            self._signer = signer()
        return self._signer.seal(key)

    def _tried(self, kind: str, work: Callable[[], T], instead: T) -> T:
        """Return what ``work`` returns; ``instead`` where it fails, which is counted and told."""
        try:
            return work()
        except Exception as error:
            by_codec = isinstance(error, _OF_A_CODEC)
            self._failures.add("codec" if by_codec else kind)
            if kind == "write" and isinstance(error, OSError) and error.errno in _LASTING:
                self._no_writes_before = time.monotonic() + _PAUSE
            who = "a codec" if by_codec else "the disk"
            text = "%s: %s could not %s: %s"
            self._tally.say(f"{who} {kind}", text, self, who, kind, error=error)
            return instead


def _again(path: str, options: dict[str, Any]) -> DiskTier:
    return DiskTier(path, **options)
