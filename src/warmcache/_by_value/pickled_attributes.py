"""The attributes of a warm function, and of a pickler's copy of one.

They are a function's ``__dict__``, of which cloudpickle takes the items and which dill
pickles as it is: the two places where a function that is pickled by value can have a say.
With both goes the loader as it arrives elsewhere. As that is unpickled, the copy is
redirected to it: its code becomes one that calls the loader of the process it came to. So
it does not matter what else a copy is made of. The hit path's tables travel empty.

Tried, and rejected: to make a loader an object that is called, which could say how it is
pickled. A hit would take a third longer, on Python 3.11 two thirds. A bound method would
not, but hides how it is pickled from cloudpickle and dill.
"""

from __future__ import annotations

import types
import weakref
from typing import Any, NamedTuple

from warmcache._code_flags import COROUTINE
from warmcache._loaders.calls import API, Caller

from .arrived_loader import ArrivedLoader, as_arrived
from .local_loader import LocalLoader
from .stand_ins import LaterAsyncCaller, LaterCache, LaterCaller, calling

_SHOWN = "_ipython_display_"  # by notebooks
_OURS = {*API, _SHOWN, "cache", "__wrapped__", "__warm_digest__", "__dask_tokenize__"}


class PickledAttributes(dict[str, Any]):
    """The attributes of a warm function. Pickled, they are its loader."""

    __slots__ = ("_function", "_loader")

    def __init__(self, function: types.FunctionType, loader: LocalLoader | ArrivedLoader) -> None:
        super().__init__(function.__dict__)
        self._function = weakref.ref(function)
        self._loader = loader
        function.__dict__ = self

    def show(self, caller: Caller, cache: Any) -> None:
        """Have all that a loader can do as attributes."""
        self.update((name, getattr(caller, name)) for name in (*API, _SHOWN))
        self["cache"] = cache
        self["__warm_digest__"] = self["__dask_tokenize__"] = self._loader.token

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return dict(self)

    def items(self) -> Any:
        """Return what cloudpickle takes."""
        kept = {name: self[name] for name in self if name not in _OURS}
        if "__wrapped__" in self:
            kept["__wrapped__"] = self["__wrapped__"]
        kept["__warm__"] = Redirection(self._function(), self._loader)
        return kept.items()

    def __reduce__(self) -> Any:
        # For dill, which leaves out globals of the main module: bytes that cloudpickle made.
        return _attributes_of, (self._function(), as_arrived(self._loader).in_bytes())


class Redirection(NamedTuple):
    """What has a copy of a function redirected as it is unpickled."""

    function: Any
    loader: LocalLoader | ArrivedLoader

    def __reduce__(self) -> Any:
        return redirect, (self.function, self.loader)


def redirect(copy: types.FunctionType, arrived: ArrivedLoader) -> None:
    """Have ``copy``, which a pickler has built or is building, call the loader that arrived."""
    if isinstance(copy.__dict__, PickledAttributes):
        return  # it is no copy: pickled by name, it is the loader of this process
    copy.__globals__["_warm_loader"] = arrived
    is_async = bool(copy.__code__.co_flags & COROUTINE)
    code = calling(copy.__code__.co_freevars, is_async)
    copy.__code__ = code.replace(co_name=copy.__name__, co_qualname=copy.__qualname__)
    caller = LaterAsyncCaller(arrived, copy) if is_async else LaterCaller(arrived, copy)
    PickledAttributes(copy, arrived).show(caller, LaterCache(arrived))
    arrived.copies.append(weakref.ref(copy))


def _attributes_of(copy: types.FunctionType, arrived: ArrivedLoader) -> Any:
    redirect(copy, arrived)
    return copy.__dict__
