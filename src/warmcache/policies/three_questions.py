"""Who goes first, how much, how long: the three questions that a cache answers, by option.

They combine freely. *Who goes first* is a policy: a name or a cache class. *How much* is
``maxsize=``, or a ``budget=`` of the memory of a ``device=``: then a memory cache is made whose
entries go in the order of that policy. *How long*, ``ttl=`` and ``idle_ttl=``, every cache takes.

Which classes these memory caches are, the :class:`Policies` are told by name: memory lies above.
They are imported only where somebody asks for one, for that takes a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import cachetools

from warmcache import _checks as checks
from warmcache import caches
from warmcache._registry import Registry, options_of
from warmcache._signatures import signature_of
from warmcache._suggestions import nearest_option
from warmcache._tracebacks import one_frame

OF_MEMORY = ("budget", "device", "probe")  # any of these says that a device limits the cache
_MUST_BE = "the name of a policy, or a cache class"
_FIND_NAMES = "warmcache.policies.names() has the names"


class Making:
    """Which class makes a cache, and of which options; ``known`` are all it takes, None: any."""

    __slots__ = ("kind", "known", "options")

    def __init__(
        self,
        kind: type[caches.Cache[Any, Any]],
        options: dict[str, Any],
        known: Collection[str] | None,
    ) -> None:
        self.kind = kind
        self.options = options
        self.known = known


class Policies(Registry[type[caches.Cache[Any, Any]]]):
    """Names to cache classes, and to caches of three options.

    Args:
        kind: what is registered, for messages, as of every Registry; so are ``options``.
        memories: the classes that a device's memory limits: of a ``"gpu"``, of the machine
            (``"ram"``), of either (``"auto"``), of what a ``"probe"`` reads.
    """

    def __init__(self, kind: str, *, memories: Mapping[str, Any], **options: Any) -> None:
        super().__init__(kind, **options)
        self._memories = memories

    def find(self, policy: Any, option: str = "policy") -> type[caches.Cache[Any, Any]]:
        """Return the cache class that a name, or the class itself, means.

        Raises:
            TypeError: it is neither.
            ValueError: there is no such name.
        """
        if isinstance(policy, str):
            return self._found(checks.text(option, policy, _MUST_BE, _FIND_NAMES))
        if not (isinstance(policy, type) and issubclass(policy, caches.Cache)):
            raise checks.type_error(option, _MUST_BE, policy, _remedy(policy))
        check_class(policy)
        return policy

    def order(self, order: Any) -> type[caches.Cache[Any, Any]]:
        """Return the class in whose order the entries of a memory cache are to go.

        Raises:
            TypeError: it is no name and no cache class.
            ValueError: there is no such name, or it is a memory cache itself.
        """
        kind = self.find(order, "order")
        if kind._of_memory:
            remedy = "order='lru' or a class; a memory cache is what it is an order of"
            raise checks.value_error("order", "a policy without a memory of its own", order, remedy)
        return kind

    def options(self, name: Any) -> set[str] | None:
        """Return the names of the options of a cache of policy ``name``; None when it takes any.

        Those that go with a budget of memory, instead of ``maxsize``, are among them.
        """
        kind = self.find(name)
        own = options_of(kind)
        if own is None or kind._of_memory:
            return own
        return own | _memory_options(self._memories["probe"]) | {*OF_MEMORY}

    def needs(self, option: str, policy: Any, options: Mapping[str, Any]) -> bool:
        """Whether who goes first cannot be said without ``option``, as of ``"ttl"`` without it."""
        order = options.get("order")
        kind = self.find(policy) if order is None else self.order(order)
        parameter = signature_of(kind).parameters.get(option)
        return parameter is not None and parameter.default is parameter.empty

    @one_frame
    def create(self, policy: Any, /, **options: Any) -> Any:
        """Make a cache of ``policy``, a name or a class, with ``options``.

        Raises:
            ValueError: there is no such name.
            TypeError: an option is unknown, or missing, or does not go with another.
        """
        making = self.making(policy, options)
        if not making.kind._of_memory:  # one of memory looks for itself whether any is missing
            try:
                signature_of(making.kind).bind(**options)
            except TypeError as error:
                raise TypeError(f"policy {shown(policy)}: {error}") from None
        return making.kind(**making.options)

    def making(self, policy: Any, options: dict[str, Any], also: Iterable[str] = ()) -> Making:
        """Return how a cache of ``policy`` with ``options`` is made; make nothing.

        ``also`` are options of other things, which may have been meant.

        Raises:
            ValueError: there is no such name.
            TypeError: an option is unknown, or does not go with another.
        """
        kind = self.find(policy)
        making = self._limited(shown(policy), kind, options)
        if making.known is not None:
            self._check_names(policy, making, options, also)
        return making

    def _limited(
        self, policy: str, kind: type[caches.Cache[Any, Any]], options: dict[str, Any]
    ) -> Making:
        """Return how it is made, by what limits it.

        What a policy calls ``device`` itself is its own business.
        """
        own = options_of(kind)
        by_memory = [name for name in OF_MEMORY if name in options and name not in (own or ())]
        if "maxsize" in options and (by_memory or kind._of_memory):
            with_it = f"{by_memory[0]}=" if by_memory else f"policy {policy}"
            raise TypeError(
                f"maxsize= does not go with {with_it}, for a cache has one limit: maxsize= counts "
                f"entries or weights, and budget= is bytes of a device, as in budget='20GiB'"
            )
        if kind._of_memory:
            if kind is self._memories["ram"] and _is_the_machine(options.get("device")):
                options = {name: value for name, value in options.items() if name != "device"}
                own = own and {*own, "device"}  # which is said and done
            order = options.get("order")
            if own is not None and order is not None:
                own = _united(own, options_of(self.order(order)))
            return Making(kind, options, own)
        if "order" in options:
            raise TypeError(
                f"order= does not go with policy {policy}, which says who goes first itself; "
                f"it is the order of a memory cache, as in policy='gpu', order='lru'"
            )
        if not by_memory:
            return Making(kind, options, own)
        memory, rest = self._memory_for(options)
        known = _united(_memory_options(memory), own)
        return Making(memory, {**rest, "order": kind}, known and {*known, *by_memory})

    def _memory_for(self, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return which class limits a cache by the memory that ``options`` say, and the rest.

        Nobody said which device: a GPU, if there is one, as ``policy="auto"`` has it.
        """
        if "device" not in options:
            return self._memories["probe" if "probe" in options else "auto"], options
        if not _is_the_machine(options["device"]):
            return self._memories["gpu"], options
        rest = {name: value for name, value in options.items() if name != "device"}
        return self._memories["ram"], rest

    def _check_names(
        self, policy: Any, making: Making, options: dict[str, Any], also: Iterable[str]
    ) -> None:
        """Raise TypeError about the first option that nobody knows."""
        known = {*(making.known or ())}
        for option in options:
            if option in known:
                continue
            problem = f"policy {shown(policy)} has no option {option!r}"
            if not making.kind._of_memory:
                known |= self.options(policy) or known
            if (passed_on := not_passed_on(self.find(policy), option)) is not None:
                raise TypeError(problem + passed_on)
            if option in known:
                raise TypeError(f"{problem} without a budget= or a device= of memory")
            raise TypeError(problem + nearest_option(option, {*known, *also}))


def defaults_of(kind: type[caches.Cache[Any, Any]]) -> dict[str, Any]:
    """Return what the options of a class of caches are if they are left out, where that is said."""
    found: dict[str, Any] = {}
    makers = [vars(each)["__init__"] for each in kind.__mro__ if "__init__" in vars(each)]
    for maker in (*makers, *kind._set_up_by):
        try:
            parameters = signature_of(maker).parameters.values()
        except (TypeError, ValueError):  # of some built in, nobody knows it
            continue
        for each in parameters:
            if each.default is not each.empty:
                found.setdefault(each.name, each.default)
    return found


def check_class(policy: Any) -> None:
    """Raise TypeError unless ``policy`` is a cache class whose caches can be made."""
    if not (isinstance(policy, type) and issubclass(policy, caches.Cache)):
        raise TypeError(f"a policy must be a subclass of warmcache.Cache, got {policy!r}")
    if abstract := getattr(policy, "__abstractmethods__", None):
        missing = ", ".join(sorted(abstract))
        raise TypeError(f"policy {policy.__name__} is abstract: it lacks {missing}")


def shown(policy: Any) -> str:
    """Return what a policy is called in messages: its name in quotes, or its class."""
    return policy.__qualname__ if isinstance(policy, type) else repr(policy)


def _remedy(policy: Any) -> str:
    if isinstance(policy, caches.Cache):
        return f"write {type(policy).__name__} without making one; cache= takes one that is made"
    if isinstance(policy, type) and issubclass(policy, cachetools.Cache):
        ours = policy.__name__ if policy.__name__ in caches.__all__ else "Cache"
        return f"a policy is a subclass of warmcache.Cache, such as warmcache.{ours}"
    return f"{_FIND_NAMES}, a class is a subclass of warmcache.Cache; cache= takes one that is made"


def _memory_options(kind: Any) -> set[str]:
    """Return the options of a memory cache, but for who goes first."""
    known = options_of(kind)
    assert known is not None
    return known - {"order"}


def _united(memory: set[str], order: set[str] | None) -> set[str] | None:
    """Return the options of a memory cache whose entries go in an order with options of its own.

    Those of every cache it hands on to that order, which may not take them.
    """
    handed_on = {*caches.Cache.__warm_options__} - (order or set())
    return None if order is None else (memory - handed_on) | (order - {"maxsize"})


def not_passed_on(kind: type[caches.Cache[Any, Any]], option: str) -> str | None:
    """Return the end of a message about an option of every cache that ``kind`` takes away."""
    own = options_of(kind)
    if own is None or option in own or option not in caches.Cache.__warm_options__:
        return None
    return (
        ", for its __init__() does not take it: give that **options, and hand these on to "
        "super().__init__()"
    )


def _is_the_machine(device: Any) -> bool:
    """Whether ``device`` is what torch calls the machine: a text, or a torch.device."""
    said = isinstance(device, str) or type(device).__name__ == "device"
    return said and str(device).lower() in ("cpu", "cpu:0")
