"""Warm on Ray: a pool of actors that routes calls to what is warm, and actors that tear down.

::

    with WarmActorPool(4, num_gpus=1) as pool:
        future = pool.submit(answer, "a", question, warm=partial(load, "a"))
        answers = pool.map(answer, names, questions, warm=[partial(load, n) for n in names])

``load`` is a loader, and ``answer`` a function that calls it. It takes the extra
``pip install "warmcache[ray]"``, on workers too.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from . import _checks as checks
from ._engines.routed_executor import RoutedExecutor
from ._engines.submitted_call import SubmittedCall
from ._engines.wanted import Wanted
from ._engines.worker_side import Answer, Report, serve, warm_here
from ._extras import brought_by
from ._public import list_public
from .caches.all_caches import close_all

with brought_by("ray", "ray", what=__name__):
    import ray as _ray  # pyright: ignore[reportMissingImports]
    from ray.core.generated.gcs_pb2 import (  # pyright: ignore[reportMissingImports]
        ActorTableData,
    )
    from ray.exceptions import RayActorError, RayError  # pyright: ignore[reportMissingImports]

ray: Any = _ray  # for checkers that take it for this module
__all__ = ["WarmActor", "WarmActorPool"]

list_public(globals())


class WarmActor:
    """A base for actors: what their process has warm is torn down as they end.

    Ray calls ``__ray_shutdown__`` when an actor goes out of scope or is told to terminate;
    nothing is called when it is killed by ``ray.kill`` or the out-of-memory monitor.
    """

    def __ray_shutdown__(self) -> None:
        close_all()


class _Slot(WarmActor):
    """The actor of a slot."""

    def hello(self) -> Report:
        return Report(warm_here())

    def serve(
        self, wanted: Wanted | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Answer:
        return serve(wanted, function, *args, **kwargs)

    def close(self) -> None:
        close_all()


class WarmActorPool(RoutedExecutor):
    """An executor of actors, each of which keeps warm what it has loaded.

    ``submit`` and ``map`` are those of ``concurrent.futures``, with ``warm=``; an argument that
    is an ``ObjectRef`` arrives as the object. What a call returns comes to this process:
    return ``ray.put(result)`` where it is to stay in the object store.

    An actor takes part once it runs; those that the cluster has no room for keep nobody
    waiting. When one dies, the call that it was running, or had just been sent, fails with
    ``RayActorError``, another takes its place, and all other calls go on. Shut down, the
    actors tear down what they have warm and end.

    Args:
        max_workers: how many actors.
        options: as for ``ray.remote``: ``num_gpus``, ``resources``, ``runtime_env``, ...
    """

    _slots_have = "serve"

    def __init__(self, max_workers: int, **options: Any) -> None:
        checks.count("max_workers", max_workers)
        self._actor: Any = ray.remote(**options)(_Slot) if options else ray.remote(_Slot)
        super().__init__([self._actor.remote() for _ in range(max_workers)])

    def _join(self, slot: int) -> None:
        self._ask(slot, lambda: self._slots[slot].hello.remote().future())

    def _replace(self, slot: int) -> None:
        self._slots[slot] = self._actor.remote()
        self._join(slot)

    def _send(self, slot: int, call: SubmittedCall) -> Future[Any]:
        actor = self._slots[slot]
        if _is_known_dead(actor):
            raise BrokenExecutor(f"{actor} has died")
        reference = actor.serve.remote(call.wanted, call.function, *call.args, **call.kwargs)
        future: Future[Any] = reference.future()
        return future

    def _has_ended(self, slot: int, error: BaseException | None) -> bool:
        return isinstance(error, RayActorError)

    def _close(self, *, wait: bool) -> None:
        with self._lock:  # or one might join meanwhile
            came = [self._slots[slot] for slot in self._backlog.workers] if wait else []
        try:
            for reference in [actor.close.remote() for actor in came]:
                _wait_for(reference)
        finally:
            for actor in self._slots:
                actor.__ray_terminate__.remote()
            self._slots.clear()


def _wait_for(reference: Any) -> None:
    try:
        ray.get(reference)
    except RayError:  # it has died
        pass


def _is_known_dead(actor: Any) -> bool:
    """Tell if Ray has told this process that an actor has died, as it may have while idle."""
    told = getattr(actor, "_get_local_state", None)  # which Ray's own pools ask; not documented
    return told is not None and told() == ActorTableData.ActorState.DEAD
