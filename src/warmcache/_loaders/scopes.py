"""``disabled()`` and ``no_load()``: scopes in which loaders behave differently.

A scope is seen through a context variable: what is called from inside is inside, in a task or by
``asyncio.to_thread`` as well, and a thread that is begun there is not. The generated hit paths do
not look at it (that would cost every hit): while any scope object is alive, in whatever context,
all hit paths are emptied and kept empty, and every call takes the slow path, which does look.

``disabled(everywhere=True)`` is seen by all threads instead; ``WARMCACHE=off`` is one without end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident

from warmcache import _checks as checks
from warmcache._core.state.by_call import ByCall
from warmcache._core.state.hot_paths import switch_off_for
from warmcache._process.after_fork import in_child


class _Scope:
    """One entered scope; contexts copied from inside it keep it alive."""

    __slots__ = ("__weakref__", "disabled", "no_load")

    def __init__(self, *, disabled: bool, no_load: bool) -> None:
        self.disabled = disabled
        self.no_load = no_load


_current: ByCall[_Scope | None] = ByCall("warmcache_scope", None)
# Those that all are inside of, and whose thread ends each.
_everywhere: list[tuple[_Scope, int | None]] = []


def disabled_here() -> bool:
    """Whether the caller is inside :func:`disabled`."""
    scope = _current.get()
    return bool(_everywhere) or (scope is not None and scope.disabled)


def loading_forbidden_here() -> bool:
    """Whether the caller is inside :func:`no_load`."""
    scope = _current.get()
    return scope is not None and scope.no_load


def leave_all() -> None:
    """Be in no scope from now on, in a context that goes on after what it was begun for."""
    _current.set(None)


@contextmanager
def _entered(*, disabled: bool = False, no_load: bool = False) -> Iterator[None]:
    outer = _current.get()
    scope = _Scope(
        disabled=disabled or (outer is not None and outer.disabled),
        no_load=no_load or (outer is not None and outer.no_load),
    )
    switch_off_for(scope)
    token = _current.set(scope)
    del scope
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def _entered_everywhere() -> Iterator[None]:
    entered = _Scope(disabled=True, no_load=False), get_ident()
    switch_off_for(entered[0])
    try:
        _everywhere.append(entered)
        yield
    finally:
        if entered in _everywhere:  # or it was interrupted before
            _everywhere.remove(entered)


@in_child
def _leave_those_of_other_threads() -> None:
    """Leave what nobody would end, for its thread is the parent's."""
    _everywhere[:] = [each for each in _everywhere if each[1] in (None, get_ident())]


def disabled(*, everywhere: bool = False) -> AbstractContextManager[None]:
    """Switch caching off for what is called from here: every call loads afresh.

    That goes for tasks and ``asyncio.to_thread`` too, but not for threads that begin in here;
    with ``everywhere``, for all threads of the process, those that run already included, until the
    block ends. To set ``WARMCACHE=off`` in the environment does the same for good.

    Nothing is looked up and nothing is stored; the caller owns the value, and no
    teardown runs for it. A lease taken in here tears its value down when it ends; what
    fails then is logged, as it is everywhere.
    What a generator loader yields is torn down when the process ends.

    Raises:
        TypeError: ``everywhere`` is neither True nor False.
    """
    checks.flag("everywhere", everywhere)
    return _entered_everywhere() if everywhere else _entered(disabled=True)


def no_load() -> AbstractContextManager[None]:
    """Forbid loading to what is called from here: a miss raises :class:`WarmMissError`."""
    return _entered(no_load=True)


_OFF, _ON = ("off", "0", "false", "no"), ("on", "1", "true", "yes")
_ALSO_OFF, _ALSO_ON = ("disabled", "disable", "none"), ("enabled", "enable", "")


def _obey_environment() -> None:
    """Be disabled everywhere, for good, if ``WARMCACHE`` says so.

    Raises:
        ValueError: it says something that is neither on nor off.
    """
    said = os.environ.get("WARMCACHE", "")
    if said.strip().lower() in (*_OFF, *_ALSO_OFF):
        scope = _Scope(disabled=True, no_load=False)
        switch_off_for(scope)
        _everywhere.append((scope, None))
    elif said.strip().lower() not in (*_ON, *_ALSO_ON):
        problem = (
            f"the environment says WARMCACHE={said!r}, which is neither on nor off: set it to "
            f"{', '.join(_OFF)}, and nothing is kept warm; to {', '.join(_ON)}, or leave it out"
        )
        if _is_the_command():  # nobody could catch it there
            raise SystemExit(f"warmcache: {problem}")
        raise ValueError(problem)


def _is_the_command() -> bool:
    """Whether it is for the ``warmcache`` command that this is imported."""
    by_module = sys.orig_argv[1:3] == ["-m", "warmcache"]
    return by_module or sys.argv[0].rpartition(os.sep)[2].partition(".")[0] == "warmcache"


_obey_environment()
