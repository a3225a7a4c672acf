"""A loader's way through the disk: what it would load may lie there, and what it loads may come to.

This is part of the load: its flight is under way, with room reserved and others waiting for it, so
the hit path knows nothing of it. In order: look; be alone with the key, of all processes; look
again, for another may have loaded meanwhile; load; keep, before anybody has the value and could
change it. Nothing of it fails but the loader, the call's own key, and what was decorated wrongly.

With ``persist="evict"`` it is kept as it leaves memory. Then nobody is waited for, who would leave
nothing to be found.
"""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import Parameter
from typing import Any

from warmcache._core.drivers.let_go import destroy_unpublished
from warmcache._core.plans.steps import Kept, Produced
from warmcache._core.state.entry import Source
from warmcache._disk.canonical import call_digest
from warmcache._disk.code_digest import code_digest
from warmcache._log import log
from warmcache._signatures import code_of
from warmcache._texts import text_of
from warmcache.errors import WarmMissError
from warmcache.keys import CallKey
from warmcache.tiers.disk_tier import DiskCall, DiskTier, Found
from warmcache.tiers.shared_tiers import find_tier

from . import scopes
from .call_site import CallSite
from .hit_path_text import Shape
from .loader_options import LoaderOptions

Produce = Callable[..., Produced]


class ThroughDisk:
    """The tier of one loader, and what its calls are there.

    Args:
        target: what loads.
        where: its module and qualified name, by which it is known on disk unless ``name=`` is said.
        shape: how its arguments become a key.
        options: those of the loader.
        of_owner: whether what it loads belongs to an owner that ``per=`` says, and not to ``self``.
        ttl: refers weakly to what returns the seconds for which a value is of use, or None.

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
        ttl: weakref.WeakMethod[Callable[[], float | None]],
    ) -> None:
        if options.name is None and where.startswith("__main__."):
            raise ValueError(
                f"{where.partition('.')[2]}() is defined in the main program, which another "
                f"process knows by another name: say what it is called on disk, name='...'"
            )
        self.name = options.name or where
        self._target = target
        self._shape = shape
        self._options = options
        # What the owner is called in the digest of a call. A method's is no argument of its codec.
        self._owner = "self"
        self._without = 1
        if of_owner:
            self._owner = options.per if isinstance(options.per, str) else "per="
            self._without = 0
        self._ttl = ttl
        self._is_async = inspect.iscoroutinefunction(code_of(target))
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
        return DiskCall(digest, text_of(key), self.name, said, self._code, tags, args, kwargs)

    def _arguments(self, raw: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, as the loader's ``key=`` has them."""
        shape = self._shape
        if shape.key is not None:
            return {"key": raw}
        values = (raw,) if shape.single else raw
        arguments = {p.name: part for p, part in zip(shape.kept, values, strict=False)}
        for p in shape.kept:
            if p.kind is Parameter.VAR_KEYWORD and p.name not in shape.parts:
                named = {each.name for each in shape.parameters}
                arguments[p.name] = {k: v for k, v in kwargs.items() if k not in named}
        return arguments

    def _besides(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return what tells a call from others but its arguments."""
        return {}

    def loading(
        self,
        produce: Produce,
        call: DiskCall,
        source: Source,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Produce:
        """Return what looks on disk, and else has ``produce`` load, and keeps that.

        ``produce`` takes the arguments of the loader.
        """
        load: Any = self._load_async if self._is_async else self._load
        return partial(load, call, source, partial(produce, *args, **kwargs))

    # -- in a thread ---------------------------------------------------------------------------

    def _load(self, call: DiskCall, source: Source, produce: Produce) -> Produced:
        tier = self.tier
        found = self.find(tier, call)
        if found is None:
            if scopes.loading_forbidden_here():
                raise forbidden(call)
            if self.keeps_victims:
                began = time.perf_counter()
                produced = produce()
                return self.to_be_dumped(tier, call, produced, time.perf_counter() - began)
            with tier._alone(call.key):
                found = self.find(tier, call, again=True)
                if found is None:
                    return self._loaded(tier, call, source, produce)
        return self.from_disk(tier, call, found)

    def find(self, tier: DiskTier, call: DiskCall, *, again: bool = False) -> Found | None:
        """Return what lies there for ``call``, and is still good.

        Looked for ``again``, it was counted as a miss already.
        """
        found = self.fetched(tier, call, again=again)
        if found is None or self._options.validate is None:
            return found
        try:
            valid = bool(self._options.validate(found.value))
        except self._options.validate_errors as error:
            valid = self._is_invalid(call, error)
        if valid:
            return found
        tier._forget(call.key)
        return None

    def fetched(self, tier: DiskTier, call: DiskCall, *, again: bool = False) -> Found | None:
        """Return what lies there for ``call``, good or not."""
        oldest = self._seconds_to_live()
        return tier._fetch(call, self._options.codec, oldest=oldest, again=again)

    def _seconds_to_live(self) -> float | None:
        said = self._ttl()
        return None if said is None else said()

    def _is_invalid(self, call: DiskCall, error: Exception) -> bool:
        log().warning("validate of %s raised %r: it is loaded again", call.text, error)
        return False

    def _loaded(self, tier: DiskTier, call: DiskCall, source: Source, produce: Produce) -> Produced:
        began = time.perf_counter()
        produced = produce()
        seconds = time.perf_counter() - began
        try:
            again = self.keep(tier, call, produced[0], seconds)
        except BaseException:  # a Ctrl-C: nobody would have it torn down
            destroy_unpublished(source, produced[0])
            raise
        return kept(produced, again)

    def keep(self, tier: DiskTier, call: DiskCall, value: Any, seconds: float) -> float | None:
        """Keep what took ``seconds`` to load; return those of reading it; None: it is not kept."""
        return tier._keep(call, value, self._options.codec, seconds)

    # -- on an event loop: what may block is done in a thread ----------------------------------

    async def _load_async(
        self, call: DiskCall, source: Source, produce: Callable[[], Awaitable[Produced]]
    ) -> Produced:
        from warmcache._core.drivers.aside import aside

        tier = self.tier
        found = await self._find_async(tier, call)
        if found is None:
            if scopes.loading_forbidden_here():
                raise forbidden(call)
            if self.keeps_victims:
                began = time.perf_counter()
                produced = await produce()
                return self.to_be_dumped(tier, call, produced, time.perf_counter() - began)
            lock = tier._alone(call.key)
            leave = partial(lock.__exit__, None, None, None)
            await aside(lock.__enter__, "warmcache-disk", unclaimed=lambda _: leave())
            try:
                found = await self._find_async(tier, call, again=True)
                if found is None:
                    return await self._loaded_async(tier, call, source, produce)
            finally:
                leave()
        return self.from_disk(tier, call, found)

    async def _find_async(
        self, tier: DiskTier, call: DiskCall, *, again: bool = False
    ) -> Found | None:
        from warmcache._core.drivers.aside import aside

        found = await aside(lambda: self.fetched(tier, call, again=again), "warmcache-disk")
        return await self.good(tier, call, found)

    async def good(self, tier: DiskTier, call: DiskCall, found: Found | None) -> Found | None:
        """Return what was found for ``call`` if it is still good, as ``validate`` says."""
        if found is None or self._options.validate is None:
            return found
        try:
            valid: Any = self._options.validate(found.value)
            valid = bool(await valid if inspect.isawaitable(valid) else valid)
        except self._options.validate_errors as error:
            valid = self._is_invalid(call, error)
        if valid:
            return found
        tier._forget(call.key)
        return None

    async def _loaded_async(
        self,
        tier: DiskTier,
        call: DiskCall,
        source: Source,
        produce: Callable[[], Awaitable[Produced]],
    ) -> Produced:
        from warmcache._core.drivers.aside import aside

        began = time.perf_counter()
        produced = await produce()
        seconds = time.perf_counter() - began

        try:
            keep = partial(self.keep, tier, call, produced[0], seconds)
            again = await aside(keep, "warmcache-disk")
        except BaseException:  # it was cancelled: nobody would have it torn down
            pending = destroy_unpublished(source, produced[0])
            if pending is not None:
                await pending
            raise
        return kept(produced, again)

    # -- what leaves memory --------------------------------------------------------------------

    def from_disk(self, tier: DiskTier, call: DiskCall, found: Found) -> Produced:
        """Return what a load comes to that found it there."""
        dump = None
        if self.keeps_victims:
            dump = self._dump(tier, call, found.load_seconds, found.made)
        return found.value, None, None, Kept(found.seconds, found.age, from_disk=True, dump=dump)

    def to_be_dumped(
        self, tier: DiskTier, call: DiskCall, produced: Produced, seconds: float
    ) -> Produced:
        """Return what was loaded in so many seconds, to be kept as it leaves memory."""
        dump = self._dump(tier, call, seconds, time.time())
        return produced[0], None, produced[2], Kept(dump=dump)

    def _dump(
        self, tier: DiskTier, call: DiskCall, seconds: float, made: float
    ) -> Callable[[Any], None]:
        """Return what keeps the value of a call later on; it refers to no loader."""
        bare, codec = call._replace(args=(), kwargs={}), self._options.codec
        return lambda value: tier._dump(bare, value, codec, seconds, made)

    # -- forgetting ----------------------------------------------------------------------------

    def frozen(self, freeze: Callable[[Any], Any], call: DiskCall, value: Any) -> Any:
        """Return ``value`` as ``freeze`` has it; what that refuses is not left on disk either."""
        try:
            return freeze(value)
        except Exception:
            self.forget(call)
            raise

    def forget(self, call: DiskCall) -> bool:
        """Remove what lies there for ``call``; return whether there was anything."""
        return self.tier._forget(call.key)

    def forget_all(self) -> None:
        """Remove all that lies there of this loader."""
        self.tier._forget_all(self.name)


def kept(produced: Produced, again: float | None) -> Produced:
    """Return what was loaded, with the seconds that having it ``again`` takes, if it is kept."""
    return produced if again is None else (produced[0], None, produced[2], Kept(again))


def forbidden(call: DiskCall) -> WarmMissError:
    """Return the error of a load inside ``no_load()``."""
    text = f"{call.text} is neither warm nor on disk, and loading is forbidden here"
    return WarmMissError._in_place_of(text)
