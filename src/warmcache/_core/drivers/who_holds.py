"""Who holds an object, in words for a log line."""

from __future__ import annotations

import gc
import sys
import types
from collections import Counter
from collections.abc import Sequence
from typing import Any

_FEW = 4
_OURS = f"{__name__.partition('.')[0]}."
# Of frames that are running the garbage collector sees nothing.
_UNSEEN = "a variable of a function that is running, or by a C library"


def referrers(objects: Sequence[Any]) -> str:
    """Return the types of what refers to ``objects``, a module's variables by name.

    Frames of this package and ``objects`` themselves are no answer.
    """
    few = objects[:_FEW]
    ours = {id(objects), id(few), *map(id, objects)}
    names: Counter[str] = Counter()
    for one in few:
        for holder in gc.get_referrers(one):
            if id(holder) not in ours and not _of_this_package(holder):
                names[_named(holder, one)] += 1
    found = [name for name, _ in names.most_common(_FEW)]
    return ", ".join(found) or _UNSEEN


def _of_this_package(holder: Any) -> bool:
    return isinstance(holder, types.FrameType) and holder.f_globals.get("__name__", "").startswith(
        _OURS
    )


def _named(holder: Any, held: Any) -> str:
    if isinstance(holder, types.FrameType):
        return f"a frame of {holder.f_code.co_qualname}()"
    if isinstance(holder, dict):
        for module in list(sys.modules.values()):
            variables: dict[str, Any] = getattr(module, "__dict__", {})
            if variables is holder:
                names = [name for name, value in list(variables.items()) if value is held]
                return f"{module.__name__}.{names[0] if names else '?'}"
    return f"a {type(holder).__qualname__}"
