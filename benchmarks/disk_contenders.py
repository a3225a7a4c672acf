"""How results are kept on disk by each library, as its own documentation says.

Those that have a store are asked for what that does, the others for a call of a decorated function.
What a library cannot do it does not define. :meth:`Kept.call` is a decorated function of each.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import warmcache
from warmcache._disk.records import Header
from warmcache.tiers.disk_tier import DiskCall

LOAD = 3600.0  # seconds that our store is told that a load took: so everything is worth keeping


class Kept:
    """One way to keep results, in a folder of its own."""

    name: ClassVar[str]
    module: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    @classmethod
    def installed(cls) -> bool:
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls) -> str:
        return importlib.metadata.version(cls.module)

    def open(self) -> None:
        """Make what is needed."""

    def write(self, key: str, value: Any) -> None:
        """Keep a value."""
        raise NotImplementedError

    def read(self, key: str) -> Any:
        """Return a value that was kept."""
        raise NotImplementedError

    def read_mapped(self, key: str) -> Any:
        """Return an array that was kept, mapped from its file."""
        return None

    def write_bytes(self, key: str, value: bytes) -> None:
        """Keep bytes as they are, where that is something else than to keep a value."""
        self.write(key, value)

    def read_bytes(self, key: str) -> bytes | None:
        """Return bytes that were kept as they are."""
        found: bytes | None = self.read(key)
        return found

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        """Return the function decorated."""
        raise NotImplementedError

    def forget_in_memory(self) -> None:
        """Have the next call look on disk."""

    def close(self) -> None:
        """Leave nothing open."""


class Warmcache(Kept):
    name = module = "warmcache"
    _loader: Any = None

    def open(self) -> None:
        self.tier = warmcache.DiskTier(self.folder)
        self._store = self.tier._store

    def write_bytes(self, key: str, value: bytes) -> None:
        self._store.write(_digest(key), _HEADER, value)

    def read_bytes(self, key: str) -> bytes | None:
        found = self._store.read(_digest(key))
        assert found is not None
        return found.data

    def write(self, key: str, value: Any) -> None:
        if self.tier._keep(_call(key), value, "auto", LOAD) is None:
            raise RuntimeError(f"it was not kept: {self.tier.stats()}")

    def read(self, key: str) -> Any:
        found = self.tier._fetch(_call(key), "auto", oldest=None, again=False)
        assert found is not None
        return found.value

    def read_mapped(self, key: str) -> Any:
        return self.read(key)

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        self._loader = warmcache.warm(disk=self.tier, maxsize=None, name="load")(function)
        return self._loader  # type: ignore[no-any-return]

    def forget_in_memory(self) -> None:
        self._loader.cache_clear()

    def close(self) -> None:
        self.tier.close()


_HEADER = Header(text="load('value')", loader="load", codec="bytes", seconds=LOAD)


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=20).hexdigest()


def _call(key: str) -> DiskCall:
    return DiskCall(_digest(key), lambda: f"load({key!r})", "load", "", "", (), (key,), {})


class Diskcache(Kept):
    name = module = "diskcache"

    def open(self) -> None:
        import diskcache

        self._cache = diskcache.Cache(str(self.folder), size_limit=2**50)

    def write(self, key: str, value: Any) -> None:
        self._cache[key] = value

    def read(self, key: str) -> Any:
        return self._cache[key]

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        return self._cache.memoize()(function)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._cache.close()


class Joblib(Kept):
    name = module = "joblib"

    def open(self) -> None:
        import joblib

        self._values: dict[str, Any] = {}
        self._memory = joblib.Memory(str(self.folder), verbose=0)
        self._mapped = joblib.Memory(str(self.folder), verbose=0, mmap_mode="r")

        def value(key: str) -> Any:
            return self._values.pop(key)

        value.__module__ = __name__
        self._cached = self._memory.cache(value)
        self._cached_mapped = self._mapped.cache(value)

    def write(self, key: str, value: Any) -> None:
        self._values[key] = value
        self._cached(key)

    def read(self, key: str) -> Any:
        return self._cached(key)

    def read_mapped(self, key: str) -> Any:
        return self._cached_mapped(key)

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        return self._memory.cache(function)  # type: ignore[no-any-return]


class Permacache(Kept):
    name = module = "permacache"

    def open(self) -> None:
        from permacache.locked_shelf import IndividualFileLockedStore

        self._store = IndividualFileLockedStore(str(self.folder))

    def write(self, key: str, value: Any) -> None:
        with self._store as files:
            files[key] = value

    def read(self, key: str) -> Any:
        with self._store as files:
            return files[key]

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        from permacache import permacache

        return permacache(str(self.folder / "calls"), shelf_type="individual-file")(function)  # type: ignore[no-any-return]


class Cachier(Kept):
    name = module = "cachier"

    def open(self) -> None:
        self._values: dict[str, Any] = {}

        def value(key: str) -> Any:
            return self._values.pop(key)

        self._cached = self.call(value)

    def write(self, key: str, value: Any) -> None:
        self._values[key] = value
        self._cached(key)

    def read(self, key: str) -> Any:
        return self._cached(key)

    def call(self, function: Callable[[str], Any]) -> Callable[[str], Any]:
        from cachier import cachier

        how: Any = dict(backend="pickle", separate_files=True, wait_for_calc_timeout=5)
        return cachier(cache_dir=str(self.folder), **how)(function)  # type: ignore[no-any-return]


ALL: tuple[type[Kept], ...] = (Warmcache, Diskcache, Joblib, Permacache, Cachier)
OURS = Warmcache.name
NAMES = [kind.name for kind in ALL]


def installed() -> list[type[Kept]]:
    """Return the contenders that are there."""
    return [kind for kind in ALL if kind.installed()]
