"""How a loader is shown to people: with what it has warm."""

from __future__ import annotations

from warmcache._progress import display
from warmcache._tables import as_html
from warmcache.caches.shown import filled

from .call_site import CallSite
from .loader import Loader


def as_text(loader: Loader, where: CallSite | None) -> str:
    """Return the ``repr`` of what calls ``loader``, of one site only if that is part of its keys.

    It takes no lock: it may be shown anywhere.
    """
    name = loader.__qualname__.rpartition("<locals>.")[2]
    if loader.waits and loader.shared is not None:
        return f"<warm {name}: cache {loader.shared.name!r} is not defined>"
    source = loader.source
    own = [
        entry
        for entry in loader.cache._live.copy().values()
        if entry.provenance.source is source and (where is None or entry.key[1] is where)  # type: ignore[index]
    ]
    return f"<warm {name}: {filled(loader.cache, len(own), sum(entry.weight for entry in own))}>"


def in_ipython(text: str) -> None:
    """Have IPython display ``text``."""
    display({"text/plain": text, "text/html": as_html(text)})
