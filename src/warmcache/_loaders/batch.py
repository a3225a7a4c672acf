"""What ``batch=`` names: the argument of a loader that takes several elements.

Each element is a call of its own: its key is that of the call with the element in the place of
them all. So what a loader can do besides being called (lease, evict, forget, peek) takes an
element there, and so does ``key=``. Only the loader itself is given several, as a list, and has to
return as many values in the same order.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import CoroutineType
from typing import Any

from warmcache import _checks as checks
from warmcache._core.plans.batch import from_batch
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.load import refused
from warmcache._core.plans.steps import Ask, Plan, Produced
from warmcache._core.state.entry import LeaseRecord
from warmcache._signatures import not_coroutine
from warmcache._texts import short_text_of

from .driver import driver

Freeze = Callable[..., Any] | None
_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Missed:
    """A call that the hit path had nothing for, as it says instead of loading it."""

    __slots__ = ("args", "kwargs", "raw")

    def __init__(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> None:
        self.raw, self.args, self.kwargs = raw, args, kwargs


class MissedByMethod:
    """What a method's hit path falls through to, and says what it missed."""

    slow_call = Missed

    def __init__(self, instance: Any, /) -> None: ...


class Batch:
    """The argument of a loader that takes several.

    Args:
        target: what loads.
        name: the loader's, for messages.
        argument: which of its parameters it is.
        parameters: those of its calls.
        bound: whether the loader is given an instance first, which its calls do not have.

    Raises:
        ValueError: there is no such argument, or it is ``*args`` or ``**kwargs``.
    """

    on_loop = False  # where a batch is loaded
    find: Callable[..., Any]  # the hit path of one element, which gives what it missed as Missed
    bind: Callable[..., Any]  # brings the arguments of a batch into one form

    def __init__(
        self,
        target: Callable[..., Any],
        name: str,
        argument: str,
        parameters: Sequence[inspect.Parameter],
        *,
        bound: bool,
    ) -> None:
        self._target = target
        self._name = name
        self.argument = argument
        self._bound = int(bound)
        takes = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names = [p.name for p in takes]
        if argument not in names:
            there = ", ".join(names) or "none"
            raise checks.value_error(
                "batch",
                f"the argument of {name}() that takes several",
                argument,
                f"there are: {there}",
            )
        in_place = [p.name for p in takes if p.kind is not p.KEYWORD_ONLY]
        self._place = in_place.index(argument) if argument in in_place else None

    # -- arguments: ``args`` are without the instance, but where it is said that they are whole ---

    def elements(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Return what a batch consists of.

        Raises TypeError when it is a text or a mapping, of which each part would be an element, or
        nothing that can be iterated over.
        """
        batch = kwargs[self.argument] if self._place is None else args[self._place]
        if type(batch) is list or type(batch) is tuple:
            return [*batch]
        if isinstance(batch, str | bytes | Mapping) or not isinstance(batch, Iterable):
            raise TypeError(
                f"{self._name}() takes several {self.argument}, got {short_text_of(batch)}; "
                f"for this one, write {self._name}([...]) with it inside"
            )
        return [*batch]

    def found(
        self,
        first: tuple[Any, ...],
        elements: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> list[Any]:
        """Return what the hit path has for each element, :class:`Missed` where that is nothing.

        ``first`` is the instance, of a method.
        """
        find = self.find
        if self._place is None:
            return [find(*first, *args, **{**kwargs, self.argument: each}) for each in elements]
        before, after = (*first, *args[: self._place]), args[self._place + 1 :]
        if not (before or after or kwargs):
            return [find(each) for each in elements]
        return [find(*before, each, *after, **kwargs) for each in elements]

    def taken_apart(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the element of a call of one, and all its other arguments, in order."""
        named = [
            part for pair in sorted(kwargs.items()) if pair[0] != self.argument for part in pair
        ]
        if self._place is None:
            return kwargs[self.argument], (*args, *named)
        rest = (*args[: self._place], *args[self._place + 1 :], *named)
        return args[self._place], rest

    def element(self, whole: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the element of a call of one, whose arguments are ``whole``."""
        return kwargs[self.argument] if self._place is None else whole[self._place + self._bound]

    def _several(
        self, elements: list[Any], whole: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Arguments:
        """Return the arguments of the loader for ``elements``."""
        if self._place is None:
            return whole, {**kwargs, self.argument: elements}
        place = self._place + self._bound
        return (*whole[:place], elements, *whole[place + 1 :]), kwargs

    # -- loading ---------------------------------------------------------------------------------

    def values(self, elements: list[Any], whole: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the values of ``elements``, loaded by one call."""
        args, kwargs = self._several([*elements], whole, kwargs)  # a list of the loader's own
        given = self._target(*args, **kwargs)
        if given.__class__ is CoroutineType:
            not_coroutine(f"{self._name}()", given)
        return self._checked(given, len(elements))

    def loop(self) -> Any:
        """Return the event loop that what is loaded here is bound to."""
        return None

    def record(self) -> LeaseRecord:
        """Return a lease's record for who asks here."""
        return LeaseRecord(time.monotonic())

    def _checked(self, given: Any, count: int) -> list[Any]:
        was_given = f"{self._name}() was given a list of {count} for {self.argument}="
        if isinstance(given, str | bytes | bytearray) or not isinstance(given, Sequence):
            raise TypeError(
                f"{was_given}, and has to return a list with a value for each, in the same order; "
                f"it returned {short_text_of(given)}"
            )
        if len(given) != count:
            raise ValueError(
                f"{was_given}, and has to return a list with a value for each, in the same order; "
                f"it returned {len(given)}, of which none is kept"
            )
        return [*given]

    def one(self, /, *whole: Any, **kwargs: Any) -> Any:
        """Load one element, as a loader without ``batch=`` does; see :func:`kinds.producer`."""
        [value] = self.values([self.element(whole, kwargs)], whole, kwargs)
        return value, None, None

    def unless_batched(
        self, view: CacheView, key: Hashable, load: Callable[[], Any], freeze: Freeze, element: Any
    ) -> Any:
        """Do ``load``, which is that of one element, unless a batch is loading that already.

        Only what it loads itself is frozen here: the batch has done so.
        """
        plan = self._unless_batched(view, key, load, freeze, element)
        return driver(on_loop=self.on_loop)(plan, view)

    def _unless_batched(
        self, view: CacheView, key: Hashable, load: Callable[[], Any], freeze: Freeze, element: Any
    ) -> Plan[Produced]:
        if key in view.store.batches:
            found = yield from from_batch(view, key, self.record())
            if found is not None:
                return found
        return (yield from self.frozen((yield Ask(load)), freeze, element))

    def frozen(self, produced: Produced, freeze: Freeze, element: Any) -> Plan[Produced]:
        """Return what ``element`` came to, its value frozen where that is wanted."""
        if freeze is None:
            return produced
        rest: Any = produced[1:]
        try:
            return freeze(produced[0], self.argument, element), *rest
        except Exception:
            yield from refused(freeze)
            raise


class AsyncBatch(Batch):
    """That of a loader that is ``async``."""

    on_loop = True

    def loop(self) -> Any:
        from warmcache._core.drivers.event_loop import running_loop

        return running_loop()

    def record(self) -> LeaseRecord:
        from warmcache._core.drivers.event_loop import lease_record_of_this_task

        return lease_record_of_this_task()

    async def values(
        self, elements: list[Any], whole: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Any]:
        args, kwargs = self._several([*elements], whole, kwargs)
        return self._checked(await self._target(*args, **kwargs), len(elements))

    async def one(self, /, *whole: Any, **kwargs: Any) -> Any:
        loop = self.loop()
        [value] = await self.values([self.element(whole, kwargs)], whole, kwargs)
        return value, None, loop
