"""What runs in a worker: a body under the lease it wants, and what is warm there then."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from warmcache._process.sigterm import close_on_sigterm_by_default

from .shipping import arrived
from .wanted import Wanted

_known: dict[str, Wanted] = {}  # what is warm here, of what was wanted here


@contextmanager
def leased(wanted: Wanted | None) -> Iterator[float | None]:
    """Have what is wanted warm and leased while a body runs.

    What ``with`` gives are the seconds that it took to load; None if it was warm, or if nothing
    is wanted. Whom that is told is for each engine to say.
    """
    if wanted is None:
        yield None
        return
    began, cold = time.monotonic(), not wanted.is_warm()
    with wanted.lease():
        yield time.monotonic() - began if cold else None


@asynccontextmanager
async def leased_async(wanted: Wanted) -> AsyncIterator[float | None]:
    """Do the same for an ``async`` loader."""
    began, cold = time.monotonic(), not wanted.is_warm()
    async with wanted.lease():
        yield time.monotonic() - began if cold else None


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says with each answer.

    ``warm`` are the names of all it has warm, of what it was ever asked for: a report says
    all, so none is missed if one is lost. ``seconds`` the request took, ``loading`` of them to
    load what it wanted, None if that was warm.
    """

    warm: tuple[str, ...]
    seconds: float = 0.0
    loading: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a body returned, and the report."""

    value: Any
    report: Report


def serve(
    wanted: Wanted | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Answer:
    """Call ``function`` while what it wants is warm and leased; return an :class:`Answer`.

    What it raises is raised, with the report in the exception's ``__dict__``: engines have
    ways of their own to bring exceptions home, and these keep it.
    """
    began, loading = time.monotonic(), None
    try:
        wanted = wanted and arrived(wanted)
        with leased(wanted) as loading:
            if wanted is not None:
                _known[wanted.name] = wanted
            value = function(*args, **kwargs)
    except BaseException as error:
        _attach(error, _report(began, loading))
        raise
    return Answer(value, _report(began, loading))


def _report(began: float, loading: float | None) -> Report:
    return Report(warm_here(), time.monotonic() - began, loading)


def warm_here() -> tuple[str, ...]:
    """Return the names of what is warm in this process, of what was wanted here."""
    return still_warm(_known)


def still_warm(known: dict[str, Wanted]) -> tuple[str, ...]:
    """Drop from ``known`` what is warm no more, and return the names of the rest."""
    for name, wanted in [*known.items()]:
        if not wanted.is_warm():
            known.pop(name, None)  # another thread may have been faster
    return tuple(known)


def hello() -> Report:
    """Begin to work here: a SIGTERM closes what is warm. Return what is warm already."""
    close_on_sigterm_by_default()
    return Report(warm_here())


def report_of(error: BaseException | None) -> Report | None:
    """Return the report that came with an exception, if one did."""
    found = [
        getattr(e, "__dict__", {}).get(_REPORT) for e in (error, getattr(error, "cause", None))
    ]
    return next((report for report in found if isinstance(report, Report)), None)


_REPORT = "_warmcache_report"


def _attach(error: BaseException, report: Report) -> None:
    try:
        error.__dict__[_REPORT] = report
    except AttributeError:  # it has no __dict__, and the next report will do
        pass
