"""``disabled()`` and ``no_load()``: scopes in which loaders behave differently.

A scope is seen through a context variable: what is called from inside is inside, in a task or by
``asyncio.to_thread`` as well, and a thread that is begun there is not. The generated hit paths do
not look at it (that would cost every hit): while any scope object is alive, in whatever context,
all hit paths are emptied and kept empty, and every call takes the slow path, which does look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from warmcache._core.state.by_call import ByCall
from warmcache._core.state.hot_paths import switch_off_for


class _Scope:
    """One entered scope; contexts copied from inside it keep it alive."""

    __slots__ = ("__weakref__", "disabled", "no_load")

    def __init__(self, disabled: bool, no_load: bool) -> None:
        self.disabled = disabled
        self.no_load = no_load


_current: ByCall[_Scope | None] = ByCall("warmcache_scope", None)


def disabled_here() -> bool:
    """Whether the caller is inside :func:`disabled`."""
    scope = _current.get()
    return scope is not None and scope.disabled


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
        disabled or (outer is not None and outer.disabled),
        no_load or (outer is not None and outer.no_load),
    )
    switch_off_for(scope)
    token = _current.set(scope)
    del scope
    try:
        yield
    finally:
        _current.reset(token)


def disabled() -> AbstractContextManager[None]:
    """Switch caching off for what is called from here: every call loads afresh.

    That goes for tasks and ``asyncio.to_thread`` too, but not for threads that begin in here.

    Nothing is looked up and nothing is stored; the caller owns the value, and no
    teardown runs for it. A lease taken in here tears its value down when it ends; what
    fails then is logged, as it is everywhere.
    What a generator loader yields is torn down when the process ends.
    """
    return _entered(disabled=True)


def no_load() -> AbstractContextManager[None]:
    """Forbid loading to what is called from here: a miss raises :class:`WarmMissError`."""
    return _entered(no_load=True)
