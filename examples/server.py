"""A web server whose models stay warm: FastAPI, under uvicorn or prefork gunicorn.

From the folder that this file is in::

    uvicorn server:app --limit-concurrency 200
    WEB_CONCURRENCY=2 gunicorn server:app --worker-class asgi

Then ``curl localhost:8000/answer/ada``. Each worker keeps its own models, in its share of the
budget, and tears them down when it gets SIGTERM. Where ``SERVER_JOURNAL`` names a file, each
worker writes there what it loads and tears down.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

import warmcache
from warmcache import CapacityError, warm

MIB = 2**20
WORKERS = int(os.environ.get("WEB_CONCURRENCY", "1"))  # which gunicorn and uvicorn read, too
BUDGET = 16 * MIB // WORKERS
FIRST = ["ada"]  # loaded before a worker takes requests
MODELS = {"ada": 2, "bob": 3, "eve": 2, "max": 4, "big": 64}  # and their sizes in MiB


def note(*words: object) -> None:
    """Write a line to the journal: a single write, so that those of workers do not mix."""
    if path := os.environ.get("SERVER_JOURNAL"):
        with Path(path).open("ab", buffering=0) as journal:
            journal.write((" ".join(map(str, [os.getpid(), *words])) + "\n").encode())


class Model:
    """What stands for a model: weights, an answer, and an end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.weights: bytearray | None = bytearray(weight(name))
        note("loaded", name)

    def answer(self, text: str) -> str:
        """Return what the model makes of ``text``; it must not be closed meanwhile."""
        if self.weights is None:
            raise RuntimeError(f"{self.name} is closed")
        return f"{self.name} says {text[::-1]}"

    def close(self) -> None:
        """Give the weights back."""
        self.weights = None
        note("closed", self.name)


def weight(name: str) -> int:
    """Return what a model takes, in bytes, before it is loaded."""
    return MODELS[name] * MIB


# With a GPU: budget=BUDGET, device=0, and no sizes: what a model takes of it is measured.
# A request waits a second for room that others lease; then it is refused.
@warm(
    policy="cost",
    maxsize=BUDGET,
    size=lambda model: weight(model.name),
    size_hint=weight,
    teardown="close",
    wait=1,
)
def load(name: str) -> Model:
    """Return the model called ``name``."""
    return Model(name)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load what the first requests want, and leave nothing behind."""
    await asyncio.to_thread(load.warm_up, FIRST)
    yield
    await warmcache.clear_all_async()


app = FastAPI(lifespan=lifespan)


async def model(name: str) -> AsyncIterator[Model]:
    """Lease the model that a request asks for until its response is sent."""
    if name not in MODELS:
        raise HTTPException(404, f"there is no model {name!r}")
    async with load.alease(name) as leased:
        yield leased


@app.get("/answer/{name}")
def answer(model: Annotated[Model, Depends(model)], text: str = "hello") -> dict[str, str]:
    """Answer with a model that nobody can close meanwhile; in a thread, for it computes."""
    return {"answer": model.answer(text)}


@app.exception_handler(CapacityError)
async def no_room(request: Request, error: CapacityError) -> JSONResponse:
    """Say that it is worth trying again, if it is."""
    if error.needed > error.limit:
        return JSONResponse({"detail": "this model is too large for this server"}, 507)
    return JSONResponse({"detail": "all models are in use"}, 503, {"Retry-After": "1"})


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer as long as the event loop does: it waits for no model, and asks for none."""
    return {"status": "ok"}


@app.get("/stats")
def stats() -> dict[str, Any]:
    """Say what this worker has warm, and how often that was of use."""
    warm = [entry.as_dict() for entry in load.cache.entries()]
    counts = load.cache.stats().as_dict()
    return {"pid": os.getpid(), "limit": load.cache.maxsize, "counts": counts, "warm": warm}
