"""Context variables that are a caller's, and not those of who began its thread.

What is called in a copy of a context is still part of it: a task, and what ``asyncio.to_thread``
runs elsewhere. A thread is not: it goes its own way, and may run long after what it was begun
in has ended. But where Python has threads inherit the context (``-X thread_inherit_context``,
by default without the GIL), a variable alone does not tell the two apart.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar, Token
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_here: ContextVar[object] = ContextVar("warmcache_here")


class ByCall(Generic[T]):
    """A context variable whose value a thread does not inherit.

    ``restore(kept)`` sets back what ``keep()`` has given. Both are C code, so that nothing can
    interrupt a ``finally`` before it has done so.
    """

    __slots__ = ("_default", "_variable", "keep", "restore")

    def __init__(self, name: str, default: T) -> None:
        self._default = default
        self._variable: ContextVar[tuple[T, int] | None] = ContextVar(name, default=None)
        self.keep, self.restore = self._variable.get, self._variable.set

    def get(self) -> T:
        """Return the value, or the default."""
        found = self._variable.get()
        if found is None:
            return self._default
        value, thread = found
        if thread != threading.get_ident() and self._inherited():
            self._variable.set(None)  # now, so that what is called from here has not got it either
            return self._default
        return value

    def set(self, value: T) -> Token[Any]:
        """Have ``value`` until :meth:`reset`."""
        return self._variable.set((value, threading.get_ident()))

    def reset(self, token: Token[Any]) -> None:
        """Have what was had before."""
        self._variable.reset(token)

    def _inherited(self) -> bool:
        """Whether this runs in the context that this thread began with, and it had the value."""
        began_with: Any = getattr(threading.current_thread(), "_context", None)  # since 3.14
        if began_with is None:
            return False
        # A context is known by what is set in it, for Python does not say which one this is.
        token = _here.set(mark := object())
        try:
            return began_with.get(_here) is mark
        finally:
            _here.reset(token)
