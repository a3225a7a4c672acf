"""What ``@warm`` makes of a class: one with a metaclass whose call runs the hit path."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from warmcache._signatures import signature_of

from .calls import API
from .functions import signature_of_loader


class _OfClass:
    """An attribute of a warm class, but not of its subclasses or instances.

    It lives in the metaclass and is no data descriptor, so that an attribute of the
    class's own with this name comes first.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, cls: Any, meta: type | None = None) -> Any:
        call = vars(cls).get("_warm_call") if isinstance(cls, _Warm) else None
        if call is None:
            raise AttributeError(f"{cls!r} is not warm itself; decorate it too")
        if self._name == "__signature__":
            return signature_of(call.__func__)
        return getattr(call.__func__, self._name)


class _Cold(type):
    """The metaclass of a subclass of a warm class, which is called as ever."""

    def __init__(cls, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(cls, _Warm) and "_warm_call" not in vars(cls):
            # It has this metaclass from its base, or is one of which more is to come.
            cold = next(meta for meta in inspect.getmro(type(cls)) if not issubclass(meta, _Warm))
            type.__setattr__(cls, "__class__", cold)

    def __setattr__(cls, name: str, value: Any) -> None:
        """Have a class that came by value, and only now gets its hit path, be warm."""
        super().__setattr__(name, value)
        if name == "_warm_call":
            meta: Any = type(cls)
            type.__setattr__(cls, "__class__", _metaclasses(meta)[1])

    def __dir__(cls) -> list[str]:
        """Return what there is, for completion: of a warm class, what that can do as well."""
        offered = {*API, "cache"} if isinstance(cls, _Warm) else set()
        return sorted({*super().__dir__()} | offered)


for _name in (*API, "cache", "__signature__"):
    setattr(_Cold, _name, _OfClass(_name))


class _Warm(_Cold):
    """The metaclass of a warm class: calling it runs the generated hit path."""

    # All in C, so it costs little.
    __call__ = property(attrgetter("_warm_call"))  # pyright: ignore[reportAssignmentType]


@functools.cache
def _metaclasses(meta: type) -> tuple[type, type]:
    """Return the metaclasses of a cold and a warm class, for a class of ``meta``.

    All warm classes of one metaclass share theirs, and so can have common subclasses.
    """
    if issubclass(meta, _Cold):
        cold: Any = next(kind for kind in inspect.getmro(meta) if not issubclass(kind, _Warm))
    else:
        make: Any = type(meta)
        cold = _Cold if meta is type else make(meta.__name__, (_Cold, meta), {})
    return cold, _Warm if cold is _Cold else type(cold)(meta.__name__, (_Warm, cold), {})


def warm_class(cls: type, make_warm: Callable[[Callable[..., Any]], Any]) -> type:
    """Return ``cls`` with a metaclass that has the hit path as ``__call__``.

    The hit path is that of a function that makes an instance, which ``make_warm`` makes warm.
    A class with a metaclass of its own is given the warm one; Python does not allow
    that where the metaclass is plain ``type``. Such a class is rebuilt from its own
    namespace, as ``dataclass(slots=True)`` does, and ``super()`` is told.
    """
    cold, warm = _metaclasses(type(cls))
    construct_cold: Any = cold.__call__

    def construct(*args: Any, **kwargs: Any) -> Any:
        return construct_cold(twin, *args, **kwargs)

    construct.__signature__ = signature_of_loader(cls)  # type: ignore[attr-defined]
    for name in ("__module__", "__name__", "__qualname__"):
        setattr(construct, name, getattr(cls, name))
    call = make_warm(construct)
    twin = _rebuilt(cls, cold) if type(cls) is type else cls
    type.__setattr__(twin, "_warm_call", staticmethod(call))
    try:
        type.__setattr__(twin, "__class__", warm)
    except TypeError as error:
        raise _not_warm(cls, error) from None
    return twin


def class_made_by(target: Any) -> type | None:
    """Return the warm class that ``target`` makes an instance of, if it is of one."""
    code = getattr(target, "__code__", None)
    if code is None or code not in warm_class.__code__.co_consts:
        return None
    twin: type = target.__closure__[code.co_freevars.index("twin")].cell_contents
    return twin


def _not_warm(cls: type, error: TypeError) -> TypeError:
    return TypeError(
        f"{cls.__name__} cannot be rebuilt to be warm itself ({error}); "
        f"put @warm over a function that returns it"
    )


def _rebuilt(cls: type, meta: type) -> Any:
    """Return a class like ``cls`` in every respect but its metaclass."""
    made_by_type = (types.GetSetDescriptorType, types.MemberDescriptorType)
    namespace = {
        name: value
        for name, value in vars(cls).items()
        if not (isinstance(value, made_by_type) and value.__objclass__ is cls)
    }
    namespace["__qualname__"] = cls.__qualname__
    try:
        if not cls.__flags__ & 1 << 9 or _has_c_methods(cls):  # Py_TPFLAGS_HEAPTYPE
            raise TypeError("it is built in")
        twin = meta(cls.__name__, cls.__bases__, namespace)
    except TypeError as error:
        raise _not_warm(cls, error) from None
    seen: set[int] = set()
    for value in namespace.values():
        _rebind_super(value, cls, twin, seen)
    return twin


def _has_c_methods(cls: type) -> bool:
    """Whether ``cls`` has methods of C code, which take no other class's instances."""
    made_in_c = (types.MethodDescriptorType, types.WrapperDescriptorType)
    own = [value for value in vars(cls).values() if isinstance(value, made_in_c)]
    return any(value.__objclass__ is cls for value in own)


def _rebind_super(value: Any, old: type, new: type, seen: set[int]) -> None:
    """Have ``super()`` and ``__class__`` in the methods of ``old`` mean ``new``."""
    if id(value) in seen:
        return
    seen.add(id(value))
    for name in ("__func__", "__wrapped__", "fget", "fset", "fdel", "func"):
        inner = inspect.getattr_static(value, name, None)
        if inner is not None:
            _rebind_super(getattr(value, name), old, new, seen)
    if not isinstance(value, type):  # a descriptor that keeps its function as it likes
        for inner in list(getattr(value, "__dict__", {}).values()):
            if inspect.isroutine(inner):
                _rebind_super(inner, old, new, seen)
    for cell in getattr(value, "__closure__", None) or ():
        try:
            contents = cell.cell_contents
        except ValueError:  # empty
            continue
        if contents is old:
            cell.cell_contents = new
        elif inspect.isfunction(contents):
            _rebind_super(contents, old, new, seen)
