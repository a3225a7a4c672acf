"""Serves requests from warm models: what a server built on warmcache looks like."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import warmcache
from warmcache import policies
from warmcache._decorator import warm
from warmcache._warm_types.loaders import Warm
from warmcache.caches.cache import Cache
from warmcache.memory.device import trim_heap
from warmcache.tiers import DiskTier

from ._journal import Journal
from ._kept import SavedModels
from ._parked import Parking
from ._requests import Request
from ._spec import Answer, Model, Spec, served


class Server:
    """Models by name in one cache of ``budget`` bytes; any thread may ask it.

    A model is loaded when it is asked for and stays warm until another needs its
    room. While a request is being answered, what it uses is leased. With a ``node``, a
    folder, the budget is that of all processes that meet there. With a ``tier``, models that
    can be saved are kept in it. With ``host`` bytes of the machine's memory, who has to make room
    is parked there.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        policy: str,
        budget: int,
        journal: Journal,
        node: str | None = None,
        tier: DiskTier | None = None,
        host: int | None = None,
        teardown: str | Callable[[Model], object] = "close",
    ) -> None:
        self.specs = specs
        self.journal = journal
        kind = policies.registry[policy]
        of_memory = issubclass(kind, warmcache.MemoryCache)
        self.cache: Cache[Hashable, Model] = policies.create(
            kind,
            **{"budget" if of_memory else "maxsize": budget},
            teardown=teardown,
            reclaim=trim_heap,
            on_removal=journal.removed,
            **({} if node is None else {"node": node}),
            **({} if host is None else {"host": host}),
        )
        self.device = getattr(self.cache, "device", None) or "cpu"
        self._tier = tier
        self._parking = None if host is None else Parking(self.device, host, journal)
        self._loading = threading.Lock()
        self._loaders = {spec.name: self._loader(spec) for spec in specs}
        self._answers = {spec.name: spec.answer for spec in specs}
        self.names: dict[Hashable, str] = {
            loader.cache_key(name): name for name, loader in self._loaders.items()
        }
        journal.follow(self.cache, self.names)

    def _loader(self, spec: Spec) -> Warm[[str], Model]:
        codec, on_disk = self._kept(spec)

        def load(name: str) -> Model:
            self.journal.sample()
            # transformers builds a model under switches that are the whole process's.
            with self._loading:
                began = self.journal.now()
                model = spec.load(self.device)
                loaded = self.journal.loaded(name, began, model.weigh())
            if codec is not None:
                codec.seconds = loaded.seconds
            return model

        # The weight is a number, so its room is made before the load begins.
        parked = {} if self._parking is None else self._parking.options(spec)
        options: Any = dict(size=spec.weight, tags=[spec.name], **on_disk, **parked)
        loader: Warm[[str], Model] = warm(cache=self.cache, **options)(load)
        return loader

    def _kept(self, spec: Spec) -> tuple[SavedModels | None, dict[str, Any]]:
        """Return the codec of a model that is kept on disk, and its loader's options for that."""
        if self._tier is None or spec.saved is None:
            return None, {}
        codec = SavedModels(spec.saved, self.device, self.journal)
        # Its loader reads objects of this process, so the version tells of an edit, and no digest.
        version, name = spec.saved.version, f"warmcache demo: {spec.name}"
        return codec, dict(disk=self._tier, codec=codec, name=name, version=version, code=False)

    @contextmanager
    def lease(self, name: str) -> Iterator[Any]:
        """Lease the model, loading it if need be."""
        with self._loaders[name].lease(name) as model:
            if self._parking is not None:  # it may have come back, of which no loader knows
                self.journal.sample()
            yield model

    def answer(self, request: Request) -> Answer:
        """Serve one request."""
        answer = self._answers[request.model]
        assert answer is not None
        outcome = answer(self.lease, random.Random(request.seed))
        self.journal.answered(request.model, outcome)
        return outcome

    def rehearse(self) -> dict[str, Answer]:
        """Have every model answer once from cold, keep none in memory, and close the cache.

        What libraries do only once is done then, and no load of the stream is charged for it.
        """
        with self.cache:
            answers = {spec.name: self._rehearsed(spec) for spec in served(self.specs)}
        trim_heap()
        return answers

    def _rehearsed(self, spec: Spec) -> Answer:
        # Inside disabled() every lease loads afresh and tears down at its end, and passes the disk
        # by; so what is kept there is rehearsed without.
        with warmcache.disabled() if self._kept(spec)[0] is None else nullcontext():
            return self.answer(Request(spec.name, seed=0))
