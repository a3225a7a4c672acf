"""What tasks on Dask load and do in the tests; workers import it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from bodies import Gate
from distributed import Event, Future, get_worker, worker_client

import warmcache
import warmcache.dask as wd
from warmcache import warm

CAP = 20  # seconds, after which something hangs

loads: list[str] = []
torn_down: list[str] = []


class Model:
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False


def tear_down(model: Model) -> None:
    model.closed = True
    torn_down.append(model.name)
    if "WARM_JOURNAL" in os.environ:
        with Path(os.environ["WARM_JOURNAL"]).open("a") as journal:
            journal.write(f"{model.name} {threading.current_thread().name}\n")
    if model.name.startswith("hangs "):
        Gate.enter(model.name.split()[1], "gate")


@warm(policy="lru", maxsize=2, teardown=tear_down)
def load(name: str) -> Model:
    loads.append(name)
    if name.startswith("bad"):
        raise LookupError(name)
    return Model(name)


@warm(policy="lru", maxsize=1, teardown=tear_down)
def load_single(name: str) -> Model:
    loads.append(name)
    return Model(name)


@warm(policy="lru", maxsize=2)
async def fetch(name: str) -> Model:
    loads.append(name)
    return Model(name)


def loaded() -> list[str]:
    return loads


def waits() -> int:
    return load_single.cache.stats().waits


def mind_sigterm() -> None:
    warmcache.close_on_sigterm(patience=3)


def where(name: str, *_: Any) -> str:
    """Use a model, and return the worker's address."""
    assert not load(name).closed
    return str(get_worker().address)


def single(name: str, *_: Any) -> str:
    return load_single(name).name


async def fetched(name: str) -> str:
    assert fetch.contains(name)
    return (await fetch(name)).name


def evict(name: str) -> int:
    return len(load.evict(name))


def begin_and_wait(name: str, begun: str, go: str) -> tuple[str, int]:
    """Say so, wait to be let go, and return the worker's address and pid."""
    load(name)
    Event(begun).set()
    assert Event(go).wait(CAP)
    return get_worker().address, os.getpid()


def wait_holding(name: str, begun: str, go: str) -> bool:
    """Return whether the model is intact once we are let go."""
    model = load_single(name)
    Event(begun).set()
    assert Event(go).wait(CAP)
    return not model.closed


def hold(name: str, folder: str) -> bool:
    """Return whether the model is intact when the gate of ``folder`` opens."""
    model = load_single(name)
    Gate.enter(folder, "gate")
    return not model.closed


def meet(name: str, mine: str, other: str) -> str:
    """Go on once a task that runs elsewhere at the same time is there too."""
    load(name)
    Event(mine).set()
    assert Event(other).wait(CAP)
    return str(get_worker().address)


def fail_once(name: str, flag: str) -> str:
    load(name)
    if not Event(flag).is_set():
        Event(flag).set()
        raise OSError(flag)
    return str(get_worker().address)


def ask_others(names: list[str]) -> list[str]:
    """Have other tasks run from within this one, and wait for them."""
    with worker_client() as client:
        futures: list[Future] = wd.map(client, where, names, warm=marks(names), pure=False)
        return list(client.gather(futures))


def marks(names: list[str]) -> list[Any]:
    from functools import partial

    return [partial(load, name) for name in names]
