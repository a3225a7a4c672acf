"""A loader's way through the disk: what it would load may lie there, and what it loads may come to.

This is part of the load: its flight is under way, with room reserved and others waiting for it, so
the hit path knows nothing of it. In order: look; be alone with the key, of all processes; look
again, for another may have loaded meanwhile; load; keep, before anybody has the value and could
change it. Nothing of it fails but the loader, the call's own key, and what was decorated wrongly.

That is a plan (:meth:`ThroughDisk.way`), of one call or of the elements of a batch, in threads and
on event loops: there, what may block is done in a thread.

With ``persist="evict"`` it is kept as it leaves memory. Then nobody is waited for, who would leave
nothing to be found.
"""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from inspect import Parameter
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from warmcache._core.drivers.let_go import destroy_unpublished
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import log_invalid, means_invalid
from warmcache._core.plans.steps import Ask, Kept, Plan, Produced
from warmcache._core.state.entry import Source
from warmcache._disk.canonical import call_digest
from warmcache._disk.code_digest import code_digest
from warmcache._signatures import code_of
from warmcache._texts import first_texts_of, text_of
from warmcache.errors import WarmMissError
from warmcache.keys import CallKey
from warmcache.tiers.disk_tier import DiskCall, DiskTier, Found
from warmcache.tiers.shared_tiers import find_tier

from . import scopes
from .call_site import CallSite
from .driver import driver
from .hit_path_text import Shape
from .loader_options import LoaderOptions

Produce = Callable[..., Produced]
Places = list[int]
LoadPlan = Callable[[Places], Plan[list[Produced]]]
T = TypeVar("T")


class SaysWhenEnded(Protocol):
    """A loader, as far as the disk asks it how long values are of use."""

    def seconds_to_live(self) -> float | None:
        """Return the seconds after its load for which any value is of use, if that is said."""
        ...

    def has_ended(self, key: Hashable, value: Any, age: float) -> bool:
        """Whether a value is of no use any more that was loaded ``age`` seconds ago."""
        ...


class ThroughDisk:
    """The tier of one loader, and what its calls are there.

    Args:
        target: what loads.
        where: its module and qualified name, by which it is known on disk unless ``name=`` is said.
        shape: how its arguments become a key.
        options: those of the loader.
        of_owner: whether what it loads belongs to an owner that ``per=`` says, and not to ``self``.
        loader: refers weakly to what says when a value ends.

    Raises:
        ValueError: it is defined in the main program, and has no ``name=``.
    """

    def __init__(
        self,
        target: Any,
        where: str,
        shape: Shape,
        options: LoaderOptions,
        *,
        of_owner: bool,
        loader: weakref.ref[SaysWhenEnded],
    ) -> None:
        if options.name is None and where.startswith("__main__."):
            raise ValueError(
                f"{where.partition('.')[2]}() is defined in the main program, which another "
                f"process knows by another name: say what it is called on disk, name='...'"
            )
        self.name = options.name or where
        self._target = target
        self._is_whole_key, self._is_single = shape.key is not None, shape.single
        self._names = [p.name for p in shape.kept]
        # Only these are beside those of **kwargs, which may be called as others are.
        known = {p.name for p in shape.parameters if p.kind is Parameter.KEYWORD_ONLY}
        self._keywords = [
            (p.name, known)
            for p in shape.kept
            if p.kind is Parameter.VAR_KEYWORD and p.name not in shape.parts
        ]
        self._options = options
        # What the owner is called in the digest of a call, and no argument is.
        owner = (options.per if isinstance(options.per, str) else "per=") if of_owner else "self"
        self._owner = f"owner {owner}"
        self._without = 0 if of_owner else 1  # a method's is no argument of its codec
        self._loader = loader
        self.is_async = inspect.iscoroutinefunction(code_of(target))
        self._code: str | None = None
        self.keeps_victims = False  # as they leave memory, and nothing before

    @property
    def tier(self) -> DiskTier:
        """The tier.

        Raises ValueError where nobody has defined one of that name, or it is shared and this
        loader wants pickles.
        """
        tier = find_tier(self._options.disk)  # type: ignore[arg-type]
        if tier.shared and self._options.codec == "pickle":
            raise ValueError(
                f"{self.name} says codec='pickle', and {tier} is shared, where nothing is "
                f"unpickled: give it a codec of its own, or a folder of your own"
            )
        return tier

    def call(
        self, key: CallKey, raw: Any, site: CallSite, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> DiskCall:
        """Return what a call is on disk; ``args`` begin with the instance, of a method.

        Raises:
            KeyingError: an argument, or what the loader reads, cannot be told from others there.
        """
        options = self._options
        if self._code is None:
            self._code = code_digest(self._target, code=options.code)
        arguments = self._arguments(raw, kwargs)
        if site.owner is not None:
            arguments[self._owner], args = site.owner.thing(), args[self._without :]
        arguments |= self._besides(args, kwargs)
        version = options.version
        digest = call_digest(self.name, version, self._code, arguments)
        said = "" if version is None else text_of(version)
        tags = tuple(sorted(options.tags))
        called = partial(text_of, key)
        whose = digest, called, self.name, said, self._code, tags
        return DiskCall(*whose, args, kwargs, in_memory=key)

    def _arguments(self, raw: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, as the loader's ``key=`` has them."""
        if self._is_whole_key:
            return {"key": raw}
        values = (raw,) if self._is_single else raw
        arguments = dict(zip(self._names, values, strict=False))
        for name, known in self._keywords:  # one at most
            arguments[name] = {k: v for k, v in kwargs.items() if k not in known}
        return arguments

    def _besides(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return what tells a call from others but its arguments."""
        return {}

    # -- the way ---------------------------------------------------------------------------------

    def loading(
        self,
        view: CacheView,
        produce: Produce,
        call: DiskCall,
        source: Source,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Produce:
        """Return what looks on disk, and else has ``produce`` load, and keeps that.

        ``produce`` takes the arguments of the loader.
        """
        produce = partial(produce, *args, **kwargs)
        return lambda: driver(on_loop=self.is_async)(self._one(call, source, produce), view)

    def _one(self, call: DiskCall, source: Source, produce: Produce) -> Plan[Produced]:
        def load(_: Places) -> Plan[list[Produced]]:
            return [(yield Ask(produce))]

        [produced] = yield from self.way([call], load, source)
        return produced

    def way(
        self, calls: Sequence[DiskCall], load: LoadPlan, source: Source
    ) -> Plan[list[Produced]]:
        """Return what each call comes to; ``load`` loads those at the places that it is given."""
        tier, came_to = self.tier, dict[int, Produced]()
        missing = yield from self._look(tier, calls, came_to)
        if missing and self.keeps_victims:  # nothing is kept that others could wait for
            yield from self._load(tier, calls, missing, load, source, came_to)
        elif missing:
            lock = tier._alone(*[calls[i].key for i in missing])
            leave = partial(lock.__exit__, None, None, None)
            yield self.blocking(lock.__enter__, unclaimed=lambda _: leave())
            try:
                missing = yield from self._look(tier, calls, came_to, again=True)
                if missing:
                    yield from self._load(tier, calls, missing, load, source, came_to)
            finally:
                leave()
        return [came_to[i] for i in range(len(calls))]

    def _look(
        self,
        tier: DiskTier,
        calls: Sequence[DiskCall],
        came_to: dict[int, Produced],
        *,
        again: bool = False,
    ) -> Plan[Places]:
        """Note what lies there of what is missing, and is still good; return what is missing then.

        Looked for ``again``, it was counted as a miss already. Raises WarmMissError where none may
        be loaded.
        """
        missing = [i for i in range(len(calls)) if i not in came_to]
        loader = self._loader()
        oldest = None if loader is None else loader.seconds_to_live()

        def fetch() -> list[Found | None]:
            codec = self._options.codec
            return [tier._fetch(calls[i], codec, oldest=oldest, again=again) for i in missing]

        fetched = yield self.blocking(fetch)
        for i, found in zip(missing, fetched, strict=True):
            if found is None:
                continue
            if loader is not None and loader.has_ended(calls[i].in_memory, found.value, found.age):
                continue  # what is loaded now takes its place
            if self._options.validate is None or (yield from self._is_good(tier, calls[i], found)):
                came_to[i] = self._from_disk(tier, calls[i], found)
        missing = [i for i in missing if i not in came_to]
        if missing and scopes.loading_forbidden_here():
            raise forbidden([calls[i] for i in missing])
        return missing

    def _is_good(self, tier: DiskTier, call: DiskCall, found: Found) -> Plan[bool]:
        """Whether what was found is still good, as ``validate`` says; else it is removed."""
        validate, valid = self._options.validate, False
        assert validate is not None
        try:
            valid = bool((yield Ask(partial(validate, found.value), "validate")))
        except Exception as error:
            if not means_invalid(error, self._options.validate_errors):
                raise
            log_invalid(call.text, error)
        if not valid:
            yield self.blocking(partial(tier._forget, call.key, found.header))
        return valid

    def _load(
        self,
        tier: DiskTier,
        calls: Sequence[DiskCall],
        missing: Places,
        load: LoadPlan,
        source: Source,
        came_to: dict[int, Produced],
    ) -> Plan[None]:
        """Load what is missing, and keep it; each took its share of the seconds."""
        began = time.perf_counter()
        produced: list[Produced] = yield from load(missing)
        share = (time.perf_counter() - began) / len(missing)

        def keep() -> list[Produced]:
            pairs = zip(missing, produced, strict=True)
            return [self._kept(tier, calls[i], each, share) for i, each in pairs]

        try:
            kept = yield Ask(keep) if self.keeps_victims else self.blocking(keep)
        except BaseException:  # a Ctrl-C, or it was cancelled: nobody would have it torn down
            for each in produced:
                yield Ask(partial(destroy_unpublished, source, each[0]))
            raise
        came_to.update(zip(missing, kept, strict=True))

    def blocking(
        self, work: Callable[[], T], unclaimed: Callable[[T], object] | None = None
    ) -> Ask:
        """Return the step of ``work`` that may block: a loop has it done in a thread."""
        return Ask(partial(self._aside, work, unclaimed) if self.is_async else work)

    async def _aside(self, work: Callable[[], T], unclaimed: Callable[[T], object] | None) -> T:
        """Do ``work`` in a thread; to be cancelled ends the waiting only."""
        from warmcache._core.drivers.aside import aside

        return await aside(work, "warmcache-disk", unclaimed=unclaimed)

    # -- what a load comes to --------------------------------------------------------------------

    def _from_disk(self, tier: DiskTier, call: DiskCall, found: Found) -> Produced:
        dump = None
        if self.keeps_victims:
            dump = self._dump(tier, call, found.header.seconds, found.header.made)
        return found.value, None, None, Kept(found.seconds, found.age, from_disk=True, dump=dump)

    def _kept(self, tier: DiskTier, call: DiskCall, produced: Produced, seconds: float) -> Produced:
        """Keep what took ``seconds`` to load, now or as it leaves memory; return what is known."""
        if self.keeps_victims:
            dump = self._dump(tier, call, seconds, time.time())
            return produced[0], None, produced[2], Kept(dump=dump)
        again = tier._keep(call, produced[0], self._options.codec, seconds)
        return produced if again is None else (produced[0], None, produced[2], Kept(again))

    def _dump(
        self, tier: DiskTier, call: DiskCall, seconds: float, made: float
    ) -> Callable[[Any], None]:
        """Return what keeps the value of a call later on; it refers to no loader."""
        text, codec = call.text, self._options.codec
        bare = call._replace(called=lambda: text, args=(), kwargs={}, in_memory=None)
        return lambda value: tier._dump(bare, value, codec, seconds, made)

    # -- forgetting ----------------------------------------------------------------------------

    def freezing(self, freeze: Callable[..., Any], call: DiskCall) -> FreezesThroughDisk:
        """Return what freezes the value of ``call``, and does not leave on disk what it refuses."""
        return FreezesThroughDisk(self, freeze, call)

    def forget(self, call: DiskCall) -> bool:
        """Remove what lies there for ``call``; return whether there was anything."""
        return self.tier._forget(call.key)

    def forget_all(self) -> None:
        """Remove all that lies there of this loader."""
        self.tier._forget_all(self.name)


class FreezesThroughDisk:
    """See :meth:`ThroughDisk.freezing`.

    What an async loader gave is not forgotten at once, which blocks: it is left as :attr:`refused`,
    a step for the plan of the load.
    """

    def __init__(self, disk: ThroughDisk, freeze: Callable[..., Any], call: DiskCall) -> None:
        self._disk, self._freeze, self._call = disk, freeze, call
        self.refused: Ask | None = None

    def __call__(self, value: Any, *of: Any) -> Any:
        try:
            return self._freeze(value, *of)
        except Exception:
            step = self._disk.blocking(partial(self._disk.forget, self._call))
            if self._disk.is_async:
                self.refused = step
            else:
                step.function()
            raise


def forbidden(calls: Sequence[DiskCall]) -> WarmMissError:
    """Return the error of a load inside ``no_load()``."""
    are = "is" if len(calls) == 1 else "are"
    said = f"{first_texts_of(calls, attrgetter('text'))} {are} neither warm nor on disk"
    return WarmMissError._in_place_of(f"{said}, and loading is forbidden here")
