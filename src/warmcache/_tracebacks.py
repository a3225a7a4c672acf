"""What a traceback shows: the frames of whoever calls and is called, and one of ours between them.

An error of a loader goes through a dozen frames of this package, which say nothing to who reads
it. They are dropped once, where the error leaves: so IPython, pytest, a log and whatever else
renders tracebacks show the same. ``WARMCACHE_TRACEBACK=full`` in the environment keeps all.

It is done in an ``except`` clause that ends in a bare ``raise``, which does not add the frame that
it is in once more. A ``try`` costs nothing where nothing is raised; a decorator would cost each
call one more frame, of which recursive loaders have only so many. So what is called for every
miss or lease has the clause itself, and the rest of what is public is decorated.

Only the *leading* frames of ours are dropped: whatever the user's code has called in turn stays,
be it ours, for that error has left us before by another of these places. Causes, contexts and
notes are left alone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from types import FrameType, TracebackType
from typing import Any, TypeVar

import cachetools

from ._code_flags import COROUTINE
from ._ours import is_ours

F = TypeVar("F", bound=Callable[..., Any])

_ON_THE_WAY = {"contextlib", "threading"}  # which users' code was called by, or has called us by
_CACHETOOLS = cachetools.Cache.__missing__.__code__  # which only raises


def drop_frames(error: BaseException) -> None:
    """Drop the frame that catches ``error``, and those of ours that it has called.

    For what is called by a frame of ours that is to be seen, such as that of a hit path.
    """
    trace = error.__traceback__
    if trace is not None and not _all_wanted():
        error.__traceback__ = _after_ours(trace.tb_next)


def drop_leading_frames(error: BaseException) -> None:
    """Drop the frames of ours that ``error`` begins with, for who only writes it down."""
    if not _all_wanted():
        error.__traceback__ = _after_ours(error.__traceback__)


def drop_inner_frames(error: BaseException) -> None:
    """Drop the frames of ours that the frame which catches ``error`` has called."""
    trace = error.__traceback__
    if trace is not None and not _all_wanted():
        trace.tb_next = _after_ours(trace.tb_next)


def one_frame(function: F) -> F:
    """Have ``function`` be the one frame of ours in the traceback of what it raises."""

    @wraps(function)
    def entered(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            _leave_one(error)
            raise

    @wraps(function)
    async def entered_async(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            _leave_one(error)
            raise

    code: Any = getattr(function, "__code__")  # noqa: B009 - F need not be a plain function
    return entered_async if code.co_flags & COROUTINE else entered  # type: ignore[return-value]


def _leave_one(error: BaseException) -> None:
    """Drop the first frame, which is a decorator's, and those after the second."""
    trace = error.__traceback__
    if trace is not None and trace.tb_next is not None and not _all_wanted():
        error.__traceback__ = trace.tb_next
        drop_inner_frames(error)


def _all_wanted() -> bool:
    return os.environ.get("WARMCACHE_TRACEBACK", "").strip().lower() == "full"


def _after_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return what comes after the frames of ours, and those by which these call each other."""
    left = trace
    while trace is not None and (_is_ours(trace) or _is_between(trace)):
        ours, trace = _is_ours(trace), trace.tb_next
        if ours:
            left = trace
    return left


def _is_between(trace: TracebackType) -> bool:
    return trace.tb_frame.f_globals.get("__name__") in _ON_THE_WAY


def _is_ours(trace: TracebackType) -> bool:
    frame = trace.tb_frame
    return is_ours(frame.f_globals.get("__name__")) or frame.f_code is _CACHETOOLS


def called_from() -> str:
    """Return where users' code has called what is running, ``at file:line``; else which thread."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and (
        is_ours(name := frame.f_globals.get("__name__")) or name in _ON_THE_WAY
    ):
        frame = frame.f_back
    if frame is None:
        return f"in thread {threading.current_thread().name!r}"
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"
