"""A loader that came by value, and which loader of this process it is then.

What can be imported travels as its name. The rest, defined in ``__main__``, in a notebook's
cell or in another function, picklers such as cloudpickle and dill take apart, and ship
again with every task. Were each that comes a loader of its own, each task would load anew.

Invariant: unpickling makes nothing, changes nothing and runs no code of the user's, for
schedulers unpickle too. It gives copies, redirected to an ``ArrivedLoader``. Only when one
is used, that looks for its counterpart, the loader of this process, or makes it.

What travels is the loader's name; the digest of what it means, see ``digest.py``; its
origin, the process that it is defined in; and its parts. When a copy is used, this process
has, of that name and digest,

- a loader that came by value: it is that one;
- one that is defined here, and another origin asks: this process has run the same script, or
  was forked. It is that one, and it shares its name from now on with those that come;
- one that is defined here, and this is the origin: the copy is back. It is that one, and
  nothing else changes;
- none: it is made, and shares its name with those that came, and were edited since.
  One of its name that is only defined here is left alone.

What it is to share a name, says ``loader_names.py``.

Tried, and rejected:

- To leave alone what is defined here, whoever asks. A worker that ran the script kept the
  old model beside that of the edited loader; hence the origin.
- To make loaders under a lock. To unpack parts is to import modules. A thread that imported
  one of these, and stood at a ``@warm`` in it, waited for the lock, and the thread with the
  lock for the import.
- To give a method that is static a second loader, as a function. Sent by the one and by the
  other, it was two of one name, and they tore down each other's values.
"""

from __future__ import annotations

import copyreg
import types
import weakref
from collections.abc import Callable
from typing import Any

from warmcache._tracebacks import drop_frames

from .loader_names import loader_name
from .local_loader import LocalLoader, this_process
from .packing import packed
from .parts import Parts


class ArrivedLoader:
    """A loader as it travels: what finds it in any process, or else makes it there."""

    __slots__ = (
        *("_counterpart", "_packed", "_parts"),
        *("copies", "digest", "hit", "name", "origin"),
    )

    def __init__(
        self,
        name: tuple[str, str],
        digest: str,
        origin: str,
        packed: bytes | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.name = name
        self.digest = digest
        self.origin = origin
        self._packed = packed
        self._parts = parts
        self._counterpart: Any = None
        self.copies: list[weakref.ref[types.FunctionType]] = []
        self.hit: Callable[..., Any] = self._first_call  # what the copies call

    @property
    def parts(self) -> Parts:
        """What the loader is made of."""
        if self._parts is None:
            assert self._packed is not None
            from pickle import loads

            self._parts = loads(self._packed)
        assert self._parts is not None
        return self._parts

    def token(self) -> tuple[str, ...]:
        """Return what stands for the loader in Dask's keys."""
        return "warmcache", *self.name, self.digest

    def counterpart(self) -> Any:
        """Return the loader of this process, which is made if there is none."""
        thing = self._counterpart
        if thing is None:
            self._counterpart = self.hit = thing = self._found_or_made()
            for copy in self.copies:
                function = copy()
                if function is not None:
                    # The lease knows it, also of a method that is static.
                    function.__dict__.update(thing.lease.__self__.function().__dict__)
        return thing

    @property
    def cache(self) -> Any:
        """The cache of the loader of this process."""
        return self.counterpart().cache

    def shorten(self, error: BaseException) -> None:
        """Drop the frame of a copy, if that of the counterpart is there to be seen."""
        trace = error.__traceback__
        drop_frames(error)
        if error.__traceback__ is None:
            error.__traceback__ = trace

    def _first_call(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.counterpart()(*args, **kwargs)

    def _found_or_made(self) -> Any:
        name = loader_name(self.name)
        found = name.find(self.digest)
        if found is None:
            parts = self.parts
            return name.publish(*parts.make(parts, name.cache_of(parts.recipe), self))
        local, thing = found
        if self.origin != this_process():
            name.join(local, thing)
        return thing

    def in_bytes(self) -> ArrivedLoader:
        """Return the same with its parts as bytes, which every pickler can carry."""
        data = packed(self._parts) if self._packed is None else self._packed
        return ArrivedLoader(self.name, self.digest, self.origin, data)

    def __reduce__(self) -> Any:
        # With the parts as state, so that the pickler shares its memo with them, and a
        # loader may reach itself.
        if self._parts is None:
            return ArrivedLoader, (self.name, self.digest, self.origin, self._packed)
        return ArrivedLoader, (self.name, self.digest, self.origin), self._parts

    def __setstate__(self, parts: Parts) -> None:
        self._parts = parts


def as_arrived(loader: LocalLoader | ArrivedLoader) -> ArrivedLoader:
    """Return what ``loader`` is in another process."""
    if isinstance(loader, ArrivedLoader):
        return loader
    return ArrivedLoader(loader.name, loader.digest(), loader.origin(), parts=loader.parts)


def _reduced(local: LocalLoader) -> Any:
    return as_arrived(local).__reduce__()


copyreg.pickle(LocalLoader, _reduced)  # said here, for there it would be a circle
