"""What options must be: small checks, made of each other, with one form of message.

Each takes the name of an option and what it was given, and returns that. All refuse before
anything is made: with a TypeError what is of the wrong kind, with a ValueError what is out of
range, and both say what was wanted, what was got and what to write instead.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from ._signatures import can_take, not_async
from ._sizes import parse_size
from ._texts import short_text_of

T = TypeVar("T")

_NO_LIMIT = "or math.inf for no limit"
_SIZE = "write it as 3000000, '3MB' or '2.5GiB'"


def type_error(option: str, must_be: str, got: object, remedy: str = "") -> TypeError:
    """Return the error about an option of the wrong kind."""
    return TypeError(_message(option, must_be, got, remedy))


def value_error(option: str, must_be: str, got: object, remedy: str = "") -> ValueError:
    """Return the error about an option that is out of range."""
    return ValueError(_message(option, must_be, got, remedy))


def _message(option: str, must_be: str, got: object, remedy: str) -> str:
    text = f"{option} must be {must_be}, got {short_text_of(got)}"
    return f"{text}; {remedy}" if remedy else text


def optional(check: Callable[[str, Any], T], option: str, value: Any) -> T | None:
    """Check ``value`` unless it is None."""
    return None if value is None else check(option, value)


# -- numbers ---------------------------------------------------------------------------


def is_number(value: object) -> bool:
    """Whether ``value`` is a real number; that a bool is one is no intention of anybody's."""
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    from numbers import Real  # who has another brought it along

    return isinstance(value, Real)


def is_whole_number(value: object) -> bool:
    """Whether ``value`` is of a type of whole numbers."""
    if isinstance(value, int | float):
        return isinstance(value, int)
    from numbers import Integral

    return isinstance(value, Integral)


def _number(option: str, value: Any, must_be: str, fits: Callable[[float], bool], how: str) -> Any:
    if not is_number(value):
        raise type_error(option, must_be, value, how)
    try:
        number = float(value)
    except OverflowError:
        raise value_error(option, f"{must_be}, that a float can hold", value, how) from None
    if not fits(number):
        raise value_error(option, must_be, value, how)
    return value


def seconds(option: str, value: Any) -> float:
    """Check for seconds: none, some, or no end of them."""
    must_be = "seconds, 0 or more"
    return _number(option, value, must_be, lambda it: it >= 0, f"{option}=5, {_NO_LIMIT}")  # type: ignore[no-any-return]


def some_seconds(option: str, value: Any) -> float:
    """Check for more than 0 seconds."""
    must_be = "seconds, more than 0"
    return _number(option, value, must_be, lambda it: it > 0, f"{option}=5, {_NO_LIMIT}")  # type: ignore[no-any-return]


def measured_seconds(option: str, value: Any) -> float:
    """Check for seconds that have passed."""
    must_be = "seconds, 0 or more, and finite"
    return _number(option, value, must_be, lambda it: 0 <= it < math.inf, "None is unknown")  # type: ignore[no-any-return]


def fraction(option: str, value: Any) -> float:
    """Check for a part of a whole, which may be all of it."""
    must_be = "a fraction, more than 0 and up to 1"
    return _number(option, value, must_be, lambda it: 0 < it <= 1, f"write {option}=0.8")  # type: ignore[no-any-return]


def count(option: str, value: Any) -> int:
    """Check for a whole number from 1 on."""
    must_be = "a whole number, 1 or more"
    if not is_whole_number(value):
        raise type_error(option, must_be, value, f"write {option}=1")
    return _number(option, value, must_be, lambda it: it >= 1, f"write {option}=1")  # type: ignore[no-any-return]


# -- sizes -----------------------------------------------------------------------------


def size(option: str, value: Any, must_be: str = "a size", how: str = _SIZE) -> float:
    """Check for a number or a text such as ``"3GiB"``, and return how much that is."""
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            raise value_error(option, must_be, value, how) from None
    return _number(option, value, f"{must_be}, 0 or more", lambda it: 0 <= it < math.inf, how)  # type: ignore[no-any-return]


def limit(option: str, value: Any) -> float:
    """Check for a size that may be without limit: None."""
    if value is None or (is_number(value) and value == math.inf):
        return math.inf
    return size(option, value, how=f"{_SIZE}, or None for no limit")


def share(option: str, value: Any, whole: str = "the device") -> float | str:
    """Check for a size, or a fraction of a device."""
    must_be, how = "a size or a fraction", f"{_SIZE}, or as 0.5 for half of {whole}"
    number = size(option, value, must_be, how)
    if is_number(value) and not is_whole_number(value) and 1 < number < _LEAST_FLOAT:
        raise value_error(option, must_be, value, f"{how}; it is neither")
    return value  # type: ignore[no-any-return]


_LEAST_FLOAT = 2**20  # bytes: a float below is a fraction that went wrong, as 2.0 or 80.0


# -- what is no number -----------------------------------------------------------------


def function(
    option: str, value: Any, must_be: str = "callable", how: str = ""
) -> Callable[..., Any]:
    """Check for what can be called, with as much as the option's function is called with."""
    if not callable(value):
        raise type_error(option, must_be, value, how)
    if option in _CALLED_WITH:
        count, what, instead = _CALLED_WITH[option]
        if not can_take(value, count):
            raise type_error(option, f"callable with {what}", value, instead)
    return value  # type: ignore[no-any-return]


_VALUE = 1, "the value"
_CALLED_WITH = {  # how many arguments; which; what to write instead
    "choice": (1, "a sequence of keys", "write choice=random.choice"),
    "footprint": (*_VALUE, "return a Footprint, or None"),
    "getsizeof": (*_VALUE, "write getsizeof=lambda value: ..."),
    "give_back": (0, "nothing", "write give_back=lambda: ..."),
    "on_load": (1, "a Load", "write on_load=lambda load: ..."),
    "on_removal": (1, "a Removal", "write on_removal=lambda removal: ..."),
    "per": (0, "nothing", "what is an argument is named: per='ctx'"),
    "reclaim": (0, "nothing", "what takes the value is teardown="),
    "size": (*_VALUE, "what is known before the load is a number or a text, as size='3GiB'"),
    "teardown": (
        *_VALUE,
        "what takes nothing is reclaim=, which gives memory back; or write teardown=lambda it: ...",
    ),
    "timer": (0, "nothing", "write timer=time.monotonic"),
    "ttu": (3, "key, value and time", "write ttu=lambda key, value, now: now + 60"),
    "validate": (*_VALUE, "write validate=lambda value: ..."),
}


def hook(option: str, value: Any) -> Callable[..., Any]:
    """Check for what can be called, and answers without being awaited."""
    not_async(option, function(option, value), _HOOKS.get(option, "have it do without await"))
    return value  # type: ignore[no-any-return]


_HOOKS = {
    "on_load": "have it put the load in a queue, or start a task",
    "on_removal": "have it put the removal in a queue, or call_soon_threadsafe()",
    "per": "await what it needs before the call, and name the argument that it is",
}


def flag(option: str, value: Any) -> bool:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise type_error(option, "True or False", value)
    return value


def text(option: str, value: Any, must_be: str = "a text", how: str = "") -> str:
    """Check for a text that says something."""
    if not isinstance(value, str):
        raise type_error(option, must_be, value, how)
    if not value:
        raise value_error(option, must_be, value, how)
    return value


def one_of(option: str, value: Any, names: Iterable[str]) -> str:
    """Check for one of several texts."""
    must_be = " or ".join(repr(name) for name in names)
    if text(option, value, must_be) not in names:
        raise value_error(option, must_be, value)
    return value  # type: ignore[no-any-return]


def path(option: str, value: Any) -> str | os.PathLike[str]:
    """Check for the path of a file, which need not be there."""
    must_be = "the path of a file"
    if not isinstance(value, str | os.PathLike):
        raise type_error(option, must_be, value, f"write {option}='name'")
    written = os.fspath(value)
    if not isinstance(written, str):
        raise type_error(option, must_be, value, f"write {option}=os.fsdecode(...)")
    if not written or "\0" in written:
        raise value_error(option, must_be, value, f"write {option}='name'")
    return value


def texts(option: str, value: Any) -> tuple[str, ...]:
    """Check for several texts that say something; they are read once."""
    must_be, how = "several texts", f"write {option}=['one', 'two']"
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise type_error(option, must_be, value, how)
    found = tuple(value)
    for each in found:
        if not isinstance(each, str):
            raise type_error(option, must_be, found, how)
    if "" in found:
        raise value_error(option, f"{must_be}, none of them empty", found, how)
    return found


def several(option: str, value: Any, *, has: str, least: int = 1) -> list[Any]:
    """Check for ``least`` things that have an attribute ``has``."""
    must_be = f"{least} or more that have {has}()"
    if not isinstance(value, Iterable):
        raise type_error(option, must_be, value, f"write {option}=[...]")
    found = [*value]
    if any(isinstance(each, type) or not hasattr(each, has) for each in found):
        raise type_error(option, must_be, found)
    if len(found) < least:
        raise value_error(option, must_be, found)
    return found


def hashable(option: str, value: Any) -> Hashable:
    """Check for what can be part of a key."""
    try:
        hash(value)
    except Exception:
        raise type_error(option, "hashable", value, "a number or a text will do") from None
    return value  # type: ignore[no-any-return]
