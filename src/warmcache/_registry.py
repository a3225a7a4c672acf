"""A registry: names to factories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ._process.fork_safe_lock import ForkSafeLock
from ._signatures import signature_of
from ._suggestions import nearest, nearest_option
from ._tracebacks import one_frame

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Callable[..., Any])
D = TypeVar("D")

__all__ = ["Registry"]


class Registry(Mapping[str, F]):
    """Names to factories: classes or functions that :meth:`create` calls.

    It is a mapping that only :meth:`register` and :meth:`unregister` change; its names come
    sorted. Every registry is its own: nothing is shared between two of them. Use one for
    your loaders too::

        loaders = Registry("loader")

        @loaders.register("llama")
        def load_llama(checkpoint, size="8b"): ...

        loaders.create("llama", "llama.bin", size="70b")
        loaders["llama"]  # the function; KeyError, with the names that exist, if there is none

    Args:
        kind: what is registered, for messages: ``"policy"``.
        check: called with what is to be registered; raises TypeError to refuse it.
        group: an entry point group whose entry points are registered too, loaded
            when first asked for. A name registered here wins over an entry point.
        lazy: names to ``"module:attribute"``, imported when first asked for.
    """

    def __init__(
        self,
        kind: str,
        *,
        check: Callable[[Any], None] | None = None,
        group: str | None = None,
        lazy: Mapping[str, str] | None = None,
    ) -> None:
        self._kind = kind
        self._check = check
        self._group = group
        self._lazy = dict(lazy or {})
        self._factories: dict[str, F] = {}
        self._forgotten: set[str] = set()  # names of entry points
        self._lock = ForkSafeLock()

    def register(self, name: str, *, override: bool = False) -> Callable[[T], T]:
        """Return a decorator that registers a factory under ``name``.

        Raises:
            ValueError: the name is taken, and not ``override``.
            TypeError: the factory is of the wrong kind.
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"a {self._kind}'s name must be a text, got {name!r}")

        def add(factory: T) -> T:
            self._refuse_wrong(factory)
            with self._lock.lock:
                if name in {*self._factories, *self._lazy} and not override:
                    taken = self._factories.get(name) or self._lazy[name]
                    raise ValueError(
                        f"{self._kind} {name!r} is registered already, as {taken!r}; "
                        f"pass override=True to replace it"
                    )
                self._factories[name] = factory  # type: ignore[assignment]
                self._forgotten.discard(name)
            return factory

        return add

    def unregister(self, name: str) -> None:
        """Forget ``name``. Raises ValueError when it is not registered."""
        if name not in self.names():
            raise ValueError(self._unknown(name))
        with self._lock.lock:
            self._factories.pop(name, None)
            self._lazy.pop(name, None)
            self._forgotten.add(name)

    def names(self) -> list[str]:
        """Return all names, those of entry points included, sorted."""
        return sorted({*self._factories, *self._lazy, *self._entry_points()})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        """Whether there is such a name; what it means is not imported for that."""
        return name in self._factories or name in self._lazy or name in self._entry_points()

    def __getitem__(self, name: str) -> F:
        try:
            return self._factories[name]
        except KeyError:
            if name not in self:
                raise KeyError(self._unknown(name)) from None
        return self._imported(name)

    @overload
    def get(self, name: str, default: None = None, /) -> F | None: ...
    @overload
    def get(self, name: str, default: F | D, /) -> F | D: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the factory called ``name``, or ``default`` when there is none."""
        if name not in self:
            return default
        return self[name]  # where a KeyError of what is imported is none of ours

    def options(self, name: str) -> set[str] | None:
        """Return the names of the options of ``name``; None when it takes any.

        Raises:
            ValueError: there is no such name.
        """
        return options_of(self._found(name))

    @one_frame
    def create(self, name: str, /, *args: Any, **options: Any) -> Any:
        """Call the factory called ``name`` with ``args`` and ``options``.

        Raises:
            ValueError: there is no such name.
            TypeError: an option is unknown, or missing, or there are too many arguments;
                nothing was called.
        """
        factory = self._found(name)
        known = options_of(factory)
        if known is not None:
            for option in options:
                if option not in known:
                    raise TypeError(
                        f"{self._kind} {name!r} has no option {option!r}"
                        + nearest_option(option, known)
                    )
            try:
                signature_of(factory).bind(*args, **options)
            except TypeError as error:
                raise TypeError(f"{self._kind} {name!r}: {error}") from None
        return factory(*args, **options)

    def _found(self, name: str) -> F:
        """Return the factory called ``name``. Raises ValueError when there is none."""
        if name not in self:
            raise ValueError(self._unknown(name))
        return self[name]

    def _imported(self, name: str) -> F:
        """Return the factory called ``name``, which is somewhere else, and keep it."""
        if name in self._lazy:
            from importlib import import_module

            module, _, attribute = self._lazy[name].partition(":")
            factory = getattr(import_module(module), attribute)
            self._refuse_wrong(factory)
        else:
            factory = self._of_entry_point(self._entry_points()[name])
        with self._lock.lock:  # another thread may have been faster
            return self._factories.setdefault(name, factory)

    def _of_entry_point(self, point: Any) -> Any:
        """Return what an entry point means. What is wrong with it says whose it is."""
        distribution = getattr(point, "dist", None)
        of = f"{distribution.name} {distribution.version}" if distribution else "an unknown package"
        whose = f"{self._kind} {point.name!r} is {point.value!r} of the distribution {of}"
        remedy = "repair or uninstall that, or register another under this name"
        try:
            factory = point.load()
        except Exception as error:
            kind = ModuleNotFoundError if isinstance(error, ModuleNotFoundError) else ImportError
            reason = f"{type(error).__name__}: {error}"
            raise kind(f"{whose}, and cannot be imported: {reason}; {remedy}") from error
        try:
            self._refuse_wrong(factory)
        except TypeError as error:
            raise TypeError(f"{whose}, and cannot be one: {error}; {remedy}") from None
        return factory

    def _refuse_wrong(self, factory: Any) -> None:
        if not callable(factory):
            raise TypeError(f"a {self._kind} must be callable, got {factory!r}")
        if self._check is not None:
            self._check(factory)

    def _entry_points(self) -> dict[str, Any]:
        if self._group is None:
            return {}
        from importlib.metadata import entry_points  # takes longer to import than all of this

        points = entry_points(group=self._group)
        return {point.name: point for point in points if point.name not in self._forgotten}

    def _unknown(self, name: str) -> str:
        return f"there is no {self._kind} {name!r}" + nearest(name, self.names())

    def __repr__(self) -> str:
        return f"Registry({self._kind!r}: {', '.join(self.names())})"


def options_of(factory: Callable[..., Any]) -> set[str] | None:
    """Return the names of the options that ``factory`` takes; None when it takes any."""
    known: set[str] = set()
    initializers = (
        [vars(base)["__init__"] for base in factory.__mro__ if "__init__" in vars(base)]
        if isinstance(factory, type)
        else [factory]
    )
    for initializer in initializers:
        try:
            parameters = signature_of(initializer).parameters.values()
        except (TypeError, ValueError):
            return None
        known |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        rest = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest:
            return known - {"self"}
        if "Unpack" in str(rest[0].annotation):  # all of them are declared
            return (known | set(getattr(factory, "__warm_options__", ()))) - {"self"}
    return None
