"""Whose code some is: of a program that is being written, or of a distribution that it uses.

What is installed is known by its name, as an edit of it is an update. What is not, is what people
edit, whichever modules they keep it in; and so is a loader's own package, installed or not.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import sysconfig
from pathlib import Path

from warmcache._ours import is_ours


def is_own(module: object, package: str) -> bool:
    """Whether the code of ``module`` counts where a loader is of the top-level ``package``."""
    if not isinstance(module, str) or module == "__main__":
        return True
    top = module.partition(".")[0]
    if is_ours(module) or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return False
    return top == package or not _is_installed(top)


@functools.cache
def _is_installed(top: str) -> bool:
    known = sys.modules.get(top)
    spec = getattr(known, "__spec__", None)
    if spec is None and known is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return True  # there is none, and nothing that could be edited
        if spec is None:
            return True
    places = [getattr(known, "__file__", None), getattr(spec, "origin", None)]
    places += getattr(spec, "submodule_search_locations", None) or []
    return any(map(_is_of_distributions, filter(None, places)))


def _is_of_distributions(place: str) -> bool:
    path = Path(place)
    paths = sysconfig.get_paths()
    known = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    is_named_so = {"site-packages", "dist-packages"} & {*path.parts}
    return bool(is_named_so) or not known.isdisjoint(path.parents)
