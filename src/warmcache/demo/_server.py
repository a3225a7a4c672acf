"""Serves requests from warm models: what a server built on warmcache looks like."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import warmcache
from warmcache import policies
from warmcache._decorator import warm
from warmcache._warm_types.loaders import Warm
from warmcache.caches.cache import Cache
from warmcache.memory.device import trim_heap

from ._journal import Journal
from ._requests import Request
from ._spec import Answer, Model, Spec, served


class Server:
    """Models by name in one cache of ``budget`` bytes; any thread may ask it.

    A model is loaded when it is asked for and stays warm until another needs its
    room. While a request is being answered, what it uses is leased. With a ``node``, a
    folder, the budget is that of all processes that meet there.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        policy: str,
        budget: int,
        journal: Journal,
        node: str | None = None,
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
        )
        self.device = getattr(self.cache, "device", None) or "cpu"
        self._loading = threading.Lock()
        self._loaders = {spec.name: self._loader(spec) for spec in specs}
        self._answers = {spec.name: spec.answer for spec in specs}
        self.names: dict[Hashable, str] = {
            loader.cache_key(name): name for name, loader in self._loaders.items()
        }
        journal.follow(self.cache, self.names)

    def _loader(self, spec: Spec) -> Warm[[str], Model]:
        # The weight is a number, so its room is made before the load begins.
        @warm(cache=self.cache, size=spec.weight, tags=[spec.name])
        def load(name: str) -> Model:
            self.journal.sample()
            # transformers builds a model under switches that are the whole process's.
            with self._loading:
                began = self.journal.now()
                model = spec.load(self.device)
                self.journal.loaded(name, began, model.weigh())
            return model

        return load

    def lease(self, name: str) -> AbstractContextManager[Any]:
        """Return a context manager that holds the model, loading it if need be."""
        return self._loaders[name].lease(name)

    def answer(self, request: Request) -> Answer:
        """Serve one request."""
        answer = self._answers[request.model]
        assert answer is not None
        outcome = answer(self.lease, random.Random(request.seed))
        self.journal.answered(request.model, outcome)
        return outcome

    def rehearse(self) -> dict[str, Answer]:
        """Have every model answer once from cold, and keep nothing.

        Inside ``disabled()`` every lease loads afresh and tears down at its end. What
        libraries do only once is done then, and no load of the stream is charged for
        it.
        """
        with warmcache.disabled():
            answers = {
                spec.name: self.answer(Request(spec.name, seed=0)) for spec in served(self.specs)
            }
        trim_heap()
        return answers
