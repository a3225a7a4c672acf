"""Hit latency: sync, recorded, async and leases; and what a miss costs."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .contenders import OURS, Functools, ignore, installed
from .timing import Line, Settings, enough, interleave, looped, no_collector

FORMS = {
    "all positional": "f('bge', 'cuda', 'fp16')",
    "one by keyword": "f('bge', 'cuda', dtype='fp16')",
    "two by keyword": "f('bge', device='cuda', dtype='fp16')",
    "only one given": "f('bge')",
}


def _one() -> Callable[..., Any]:
    def load(name: str) -> object:
        return object()

    return load


def _with_method(cached: Callable[..., Any]) -> Any:
    class Models:
        @cached
        def load(self, name: str) -> object:
            return object()

    return Models()


def _three() -> Callable[..., Any]:
    def load(name: str, device: str = "cpu", dtype: str = "fp32") -> object:
        return object()

    return load


def _one_async() -> Callable[..., Any]:
    async def load(name: str) -> object:
        return object()

    return load


def hit_one(settings: Settings) -> list[Line]:
    """A hit with one positional argument."""
    title = "hit, one argument"
    return [_hits(settings, "hit-1", title, _one, "f('bge')")]


def hit_three(settings: Settings) -> list[Line]:
    """A hit with three arguments, in several forms of the call."""
    return [
        _hits(settings, f"hit-3-{number}", f"hit, three arguments, {form}", _three, call)
        for number, (form, call) in enumerate(FORMS.items())
    ]


def hit_method(settings: Settings) -> list[Line]:
    """A hit of a method, which is bound to its object at each call."""
    title = "hit, a method with one argument"
    objects = {c.name: _with_method(c.cached_method) for c in installed()}
    timed = {
        name: looped("o.load('bge')", {"o": each})
        for name, each in objects.items()
        if each.load is not None
    }
    samples = _measured(settings, title, timed)
    return [Line.beside("hit-method", title, Functools.name, samples)]


def _hits(settings: Settings, id: str, title: str, make: Callable[[], Any], call: str) -> Line:
    cached = {c.name: c.cached(make()) for c in installed()}
    timed = {name: looped(call, {"f": f}) for name, f in cached.items() if f is not None}
    return Line.beside(id, title, Functools.name, _measured(settings, title, timed))


def _measured(
    settings: Settings, title: str, timed: dict[str, Callable[[int], float]]
) -> dict[str, list[float]]:
    with no_collector():
        measures = {
            name: partial(one, enough(one, settings.seconds)) for name, one in timed.items()
        }
        return interleave(measures, settings.rounds, tick=partial(settings.tick, title))


def recording(settings: Settings) -> list[Line]:
    """A hit of a cache that is being recorded, against another's that is not.

    What is recorded is written between the measurements: the buffer never runs over.
    """
    title = "hit while recording"
    plain, recorded = (_ours().cached(_one()) for _ in range(2))

    def written(n: int) -> float:
        seconds = timed_recorded(n)
        writing.flush()
        return seconds

    timed_recorded = looped("f('bge')", {"f": recorded})
    timed = {"plain": looped("f('bge')", {"f": plain}), "recorded": written}
    with tempfile.TemporaryDirectory() as folder:
        with recorded.cache.record(Path(folder, "hits.csv")) as writing:
            samples = _measured(settings, title, timed)
    ours, reference = {OURS: samples["recorded"]}, {OURS: samples["plain"]}
    return [Line("hit-recording", title, "its own when not recorded", ours, reference)]


def _ours() -> Any:
    return next(contender for contender in installed() if contender.name == OURS)


def hit_async(settings: Settings) -> list[Line]:
    """An awaited hit, all in one running loop."""
    title = "async hit, one argument"
    cached = {c.name: c.cached_async(_one_async()) for c in installed()}
    with asyncio.Runner() as runner:
        timed = {
            name: _on(runner, looped("await f('bge')", {"f": f}))
            for name, f in cached.items()
            if f is not None
        }
        samples = _measured(settings, title, timed)
    against = "async-lru" if "async-lru" in samples else OURS
    return [Line.beside("hit-async", title, against, samples)]


def _on(runner: asyncio.Runner, timed: Callable[[int], Any]) -> Callable[[int], float]:
    return lambda n: runner.run(timed(n))


def lease(settings: Settings) -> list[Line]:
    """A warm lease, entered and left: only warmcache has any; beside it, a bare hit."""
    hit: Any = Functools().cached(_one())
    load: Any = _ours().cached(_one())
    load_async: Any = _ours().cached_async(_one_async())
    bare = {Functools.name: looped("f('bge')", {"f": hit})}
    with asyncio.Runner() as runner:
        held = looped("async with lease('bge'): pass", {"lease": load_async.lease})
        timed = {OURS: looped("with lease('bge'): pass", {"lease": load.lease}), **bare}
        timed_async = {OURS: _on(runner, held), **bare}
        title, title_async = "lease, entered and left", "async lease, entered and left"
        return [
            Line.beside("lease", title, Functools.name, _measured(settings, title, timed)),
            Line.beside(
                "lease-async",
                title_async,
                Functools.name,
                _measured(settings, title_async, timed_async),
            ),
        ]


def miss(settings: Settings) -> list[Line]:
    """A call that loads (at once) and evicts: what the library itself costs.

    With a teardown, too; the others tear nothing down.
    """
    cached = {c.name: c.cached(_one()) for c in installed()}
    torn_down = {**cached, OURS: _ours().cached_telling(_one(), ignore)}
    lines = []
    settings = _longer(settings)
    for id, title, functions in [
        ("miss", "miss with eviction, nothing to tear down", cached),
        ("miss-telling", "miss with eviction and, of ours, a teardown", torn_down),
    ]:
        timed = {
            name: looped("f(next(keys))", {"f": f, "keys": itertools.count()})
            for name, f in functions.items()
            if f is not None
        }
        lines.append(Line.beside(id, title, Functools.name, _measured(settings, title, timed)))
    return [*lines, _miss_async(settings)]


def _longer(settings: Settings) -> Settings:
    """Return settings under which a measurement takes as long as one of a mapping."""
    return replace(settings, seconds=settings.mapping_seconds, rounds=settings.mapping_rounds)


def _miss_async(settings: Settings) -> Line:
    title = "async miss with eviction, nothing to tear down"
    cached = {c.name: c.cached_async(_one_async()) for c in installed()}
    with asyncio.Runner() as runner:
        timed = {
            name: _on(runner, looped("await f(next(keys))", {"f": f, "keys": itertools.count()}))
            for name, f in cached.items()
            if f is not None
        }
        samples = _measured(settings, title, timed)
    return Line.beside(
        "miss-async", title, "async-lru" if "async-lru" in samples else OURS, samples
    )
