"""What runs in a worker: a body under the lease it wants, and what is warm there then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from warmcache._by_value.digest import importable, module_of
from warmcache._by_value.task import Task, task
from warmcache._process.sigterm import close_on_sigterm_by_default

from .wanted import Wanted

_known: dict[str, Wanted] = {}  # what is warm here, of what was wanted here


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
        with ExitStack() as lease:
            if wanted is not None:
                arrived = _arrived(wanted)
                cold = not arrived.is_warm()
                lease.enter_context(arrived.lease())
                loading = time.monotonic() - began if cold else None
                _known[arrived.name] = arrived
            value = function(*args, **kwargs)
    except BaseException as error:
        _attach(error, _report(began, loading))
        raise
    return Answer(value, _report(began, loading))


def _report(began: float, loading: float | None) -> Report:
    return Report(warm_here(), time.monotonic() - began, loading)


def warm_here() -> tuple[str, ...]:
    """Return the names of what is warm in this process, of what was wanted here."""
    for name, wanted in [*_known.items()]:
        if not wanted.is_warm():
            _known.pop(name, None)
    return tuple(_known)


def hello() -> Report:
    """Begin to work here: a SIGTERM closes what is warm. Return what is warm already."""
    close_on_sigterm_by_default()
    return Report(warm_here())


def report_of(error: BaseException | None) -> Report | None:
    """Return the report that came with an exception, if one did."""
    report = getattr(error, "__dict__", {}).get(_REPORT)
    return report if isinstance(report, Report) else None


_REPORT = "_warmcache_report"


def _attach(error: BaseException, report: Report) -> None:
    try:
        error.__dict__[_REPORT] = report
    except AttributeError:  # it has no __dict__, and the next report will do
        pass


# -- for picklers that know functions only by their names ----------------------------


def portable(thing: Any) -> Any:
    """Return ``thing``, or what plain pickle can ship in its place if that is a function."""
    if isinstance(thing, FunctionType) and not (importable(thing) or _in_script(thing)):
        return task(thing)
    return thing


def portable_wanted(wanted: Wanted) -> Wanted:
    """Do the same with the loader of what is wanted."""
    return replace(wanted, loader=portable(wanted.loader))


def _arrived(wanted: Wanted) -> Wanted:
    loader = wanted.loader
    return replace(wanted, loader=loader.__wrapped__) if isinstance(loader, Task) else wanted


def _in_script(thing: Any) -> bool:
    """Whether ``thing`` is found in a script, which multiprocessing runs in children too."""
    main = sys.modules["__main__"]
    if module_of(thing) != "__main__" or not hasattr(main, "__file__"):
        return False
    found: Any = main
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing
