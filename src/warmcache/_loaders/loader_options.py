"""The options of a loader itself, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from warmcache import _checks as checks
from warmcache._signatures import can_take, not_async
from warmcache._sizes import SizeHint, parse_size
from warmcache.caches.options import Teardown, as_teardown

if TYPE_CHECKING:
    from warmcache.tiers import Codec, DiskTier


class LoaderOptions(NamedTuple):
    """What ``@warm`` was told about the loader itself."""

    teardown: Teardown | None = None
    teardown_in: str | None = None
    key: Any = None
    typed: bool = False
    size: float | str | Callable[[Any], float | str] | None = None
    size_hint: SizeHint | None = None
    validate: Callable[[Any], object] | None = None
    validate_errors: type[Exception] | tuple[type[Exception], ...] = Exception
    tags: Iterable[str] = ()
    version: Hashable = None
    ttl: Any = None
    loop_bound: bool = True
    per: str | Callable[[], object] | None = None
    freeze: bool = False
    disk: DiskTier | str | os.PathLike[str] | None = None
    codec: str | Codec = "auto"
    name: str | None = None
    code: bool = True
    out_files: Any = None
    persist: str = "load"
    batch: str | None = None
    park: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None

    @classmethod
    def of(cls, **options: Any) -> LoaderOptions:
        """Return the options, checked; :class:`Loader` knows whether they fit what it loads.

        Raises:
            TypeError: an option is of the wrong kind.
            ValueError: it is out of its range.
        """
        own = cls(**options)
        as_teardown(own.teardown)
        checks.optional(_teardown_in, "teardown_in", own.teardown_in)
        if not (own.key is None or callable(own.key) or isinstance(own.key, Mapping)):
            must_be = "callable, or a mapping of arguments to what stands for them"
            raise checks.type_error("key", must_be, own.key, "write key={'argument': None}")
        checks.flag("typed", own.typed)
        checks.flag("loop_bound", own.loop_bound)
        _per("per", own.per)
        checks.flag("freeze", own.freeze)
        if callable(own.size):
            checks.function("size", own.size)
        elif own.size is not None:
            checks.size("size", own.size, "a size, or callable")
        hint = own.size_hint
        if hint is not None and not callable(hint) and not isinstance(hint, os.PathLike):
            checks.size("size_hint", hint, "a size, the path of a file, or callable")
        checks.optional(checks.function, "validate", own.validate)
        _errors("validate_errors", own.validate_errors)
        own = own._replace(out_files=checks.optional(_names, "out_files", own.out_files))
        checks.optional(checks.text, "batch", own.batch)
        if own.batch is not None and own.out_files is not None:
            raise TypeError("batch= does not go with out_files=: a call of several has no one file")
        _check_disk(own)
        checks.optional(_pair, "park", own.park)
        if own.park is not None and own.teardown_in == "loading-thread":
            raise TypeError(
                "park= does not go with teardown_in='loading-thread': whoever makes room parks"
            )
        _refuse_async(own)
        checks.hashable("version", own.version)
        return own._replace(tags=checks.texts("tags", own.tags))

    def refuse_for_class(self, name: str) -> None:
        """Raise TypeError if these options are of no use to a class."""
        if self.out_files is not None:
            raise TypeError(
                f"out_files= is for functions that write files: {name} is a class, and what it "
                f"gives are instances"
            )
        if self.disk is not None and self.codec == "auto":
            raise TypeError(
                f"disk= cannot keep instances of {name} by itself: say codec=, an object with dump "
                f"and load that writes one and makes one, or codec='pickle'"
            )

    def refuse_class(self, cls: type) -> None:
        """Raise TypeError if instances of ``cls`` are to be frozen, and cannot be."""
        if self.freeze:
            from .frozen import refuse_class

            refuse_class(cls)

    def refuse_with_owner(self) -> None:
        """Raise TypeError if there is, beside ``per=``, what belongs to nobody, or to several.

        Or if the owner is to be told from others in another way than by identity.
        """
        if isinstance(self.key, Mapping) and self.per in self.key:
            raise TypeError(
                f"key={{{self.per!r}: ...}} does not go with per={self.per!r}: an owner is told "
                f"from others by identity, and is no part of the key; leave one of the two out"
            )
        if self.batch is not None:
            raise TypeError(
                "batch= does not go with per=: make the loader a method of the owner's class, "
                "where batch= may stand, or leave per= out"
            )
        if self.out_files is not None:
            raise TypeError(
                "out_files= does not go with per=: the files are copied to who wants them, and "
                "nothing of them is in memory, where it could belong to an owner; leave per= out"
            )

    def refuse_with_batch(self, name: str, has: str) -> None:
        """Raise TypeError if there is ``batch=`` beside what ``name`` has: something that ends."""
        if self.batch is not None:
            raise TypeError(
                f"{name}() has {has}; with batch= values are handed out in a list, where nothing "
                f"holds them, and would be torn down while they are used: load them one by one, "
                f"and lease them"
            )

    def refuse_batch_within_budget(self, name: str) -> None:
        """Raise TypeError if there is ``batch=``, and memory that is measured would limit it."""
        if self.batch is not None:
            raise TypeError(
                f"{name}() has batch= and a budget of memory: as long as the values of a batch are "
                f"handed out, none of their memory is given back, and room for one could not be "
                f"made by another; give it maxsize='1GiB' and size=, a function of a value"
            )

    def refuse_two_teardowns(self, name: str, *, yields: bool, is_async: bool) -> None:
        """Raise TypeError if what is loaded has a teardown already, or has it run elsewhere."""
        if yields and self.teardown is not None:
            raise TypeError(
                f"{name}() is a generator: what follows its yield is the teardown; "
                f"teardown= would be a second one"
            )
        if self.teardown_in == "loading-thread":
            if is_async:
                raise TypeError(
                    f"teardown_in='loading-thread' is for loaders that are not async: {name}() "
                    f"loads on an event loop; teardown_in='loop' is its own"
                )
        elif self.teardown_in is not None and (yields or not is_async):
            kind = "a generator" if yields else "not async"
            where = "as part of it" if yields else "in the thread whose act removes the value"
            raise TypeError(
                f"teardown_in={self.teardown_in!r} is for async loaders with a teardown: {name}() "
                f"is {kind}, whose teardown runs {where}"
            )


def _check_disk(own: LoaderOptions) -> None:
    """Check what is said of the disk; a path is a tier, and its folder checked, from now on."""
    checks.flag("code", own.code)
    checks.optional(checks.text, "name", own.name)
    defaults = LoaderOptions()
    checks.one_of("persist", own.persist, _PERSIST)
    options = ("codec", "name", "code", "out_files", "persist")
    said = [each for each in options if getattr(own, each) != getattr(defaults, each)]
    if own.disk is None and not said:
        return
    # Only now, for who has nothing on disk need not wait for what that takes.
    from warmcache._disk.codecs import check_codec
    from warmcache.tiers.disk_tier import DiskTier
    from warmcache.tiers.shared_tiers import find_tier, is_path

    check_codec(own.codec)
    if own.disk is None:
        raise TypeError(f"{said[0]}= is about what lies on disk: say disk=, too")
    if own.persist == "evict" and own.teardown_in == "loading-thread":
        raise TypeError(
            "persist='evict' does not go with teardown_in='loading-thread': what only one thread "
            "may touch, no other can write to disk"
        )
    if own.persist == "evict" and own.freeze:
        raise TypeError(
            "persist='evict' does not go with freeze=True: what is frozen is not what a codec keeps"
        )
    if own.out_files is not None and own.teardown is not None:
        raise TypeError(
            "teardown= does not go with out_files=: the files are copied to who wants them, and "
            "what the loader returns is its caller's"
        )
    if own.out_files is not None and own.persist == "evict":
        raise TypeError(
            "persist='evict' does not go with out_files=: nothing of them is in memory, where it "
            "could be evicted"
        )
    if not isinstance(own.disk, DiskTier | str | os.PathLike):
        raise checks.type_error("disk", "a warmcache.DiskTier, its name or a path", own.disk)
    if isinstance(own.disk, os.PathLike) or (isinstance(own.disk, str) and is_path(own.disk)):
        checks.path("disk", own.disk)
        find_tier(own.disk)
    elif isinstance(own.disk, str):
        checks.text("disk", own.disk, "a warmcache.DiskTier, its name or a path")


def _names(option: str, value: Any) -> tuple[str, ...]:
    """Check for the name of an argument, or those of several."""
    names = checks.texts(option, [value] if isinstance(value, str) else value)
    if not names or not all(map(str.isidentifier, names)):
        must_be = "the name of an argument, or several"
        raise checks.value_error(option, must_be, value, "write out_files='loc'")
    return names


def _pair(option: str, pair: Any) -> None:
    """Check for what parks a value, and what brings it back."""
    must_be = "a pair of functions: one parks the value, one returns it from what that gave"
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise checks.type_error(option, must_be, pair, "write park=(Engine.sleep, Engine.wake)")
    for each in pair:
        if not callable(each) or not can_take(each, 1):
            raise checks.type_error(option, must_be, pair, "each takes one argument")
        not_async(option, each, "write both without await: for async loaders they run in threads")


# When a value comes to the disk: as it is loaded, or as it leaves memory.
_PERSIST = ("load", "evict")

# Where a teardown runs: of an async loader's value, if it is not async itself; of any other's.
_TEARDOWN_IN = ("loop", "thread", "loading-thread")


def _teardown_in(option: str, where: Any) -> str:
    return checks.one_of(option, where, _TEARDOWN_IN)


def _per(option: str, per: Any) -> None:
    """Check for what says to whom belongs what is loaded."""
    must_be = "the name of an argument, or callable with nothing"
    if per is None:
        return
    if not isinstance(per, str):
        checks.hook(option, checks.function(option, per, must_be))
    elif not per.isidentifier():
        raise checks.value_error(option, must_be, per, "write per='ctx'")


def _errors(option: str, errors: Any) -> None:
    """Check for what an ``except`` clause may name."""
    for error in errors if isinstance(errors, tuple) else (errors,):
        if not (isinstance(error, type) and issubclass(error, Exception)):
            must_be = "a class of exceptions or a tuple of such"
            raise checks.type_error(option, must_be, errors)


def _refuse_async(options: LoaderOptions) -> None:
    not_async("size", options.size, "give a number, or have the value know its size")
    not_async("size_hint", options.size_hint, "give a number, a text or a path")
    parts = options.key.items() if isinstance(options.key, Mapping) else [(None, options.key)]
    for name, part in parts:
        option = "key" if name is None else f"key={{{name!r}: ...}}"
        not_async(option, part, "await what it needs before the call, and pass that")


def weight_by(size: float | str | Callable[[Any], float | str], value: Any) -> float:
    """Return what ``value`` weighs, as ``size`` says it."""
    return parse_size(size(value) if callable(size) else size)
