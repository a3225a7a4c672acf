"""Caches by name, shared by a whole process."""

from __future__ import annotations

from typing import Any

from warmcache import _checks as checks
from warmcache import policies
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._tracebacks import one_frame
from warmcache.caches.cache import Cache

_guard = ForkSafeLock()
_caches: dict[str, tuple[Cache[Any, Any], dict[str, Any]]] = {}


@one_frame
def named(
    name: str, policy: str | type[Cache[Any, Any]] | None = None, **options: Any
) -> Cache[Any, Any]:
    """Create or return the cache called ``name``.

    Modules that know nothing of each other share it: each may define it, with the
    same policy and options, or one defines it and the others name it. A cache that
    was closed may be defined anew. A policy is a name or a cache class, and a name is the
    same as the class that it means.

    Raises:
        ValueError: the name is defined otherwise already, or, when only a name was
            given, not yet.
        TypeError: the policy has no such option.
    """
    checks.text("name", name, "the name of the cache")
    if policy is not None:
        policies.registry.find(policy)
    definition = {"policy": policy or "lru", **options}
    defines = policy is not None or bool(options)
    found = _open(name)
    if found is None and defines:
        # Not under the lock: it imports what the policy is in, which may define a cache too.
        created: Cache[Any, Any] = policies.create(definition["policy"], **options)
        with _guard.lock:
            found = _caches[name] = _open(name) or (created, definition)
            found[0]._name = name
    if found is None:
        raise ValueError(
            f"there is no cache {name!r} {'any more' if name in _caches else 'yet'}: "
            f"define it with warmcache.cache({name!r}, policy=..., maxsize=...). "
            f"There are: {', '.join(sorted(filter(_open, [*_caches]))) or 'none'}"
        )
    cache, known = found
    if defines and definition != known and _meant(definition) != _meant(known):
        raise ValueError(
            f"cache {name!r} is defined already, as {_shown(known)}; "
            f"it cannot be {_shown(definition)} too"
        )
    return cache


def _open(name: str) -> tuple[Cache[Any, Any], dict[str, Any]] | None:
    with _guard.lock:
        found = _caches.get(name)
        return None if found is None or found[0]._store.closed else found


def definition_of(cache: Cache[Any, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the definition of ``cache``; None when it has none."""
    with _guard.lock:
        for name, (known, definition) in _caches.items():
            if known is cache:
                return name, definition
    return None


def _meant(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with classes instead of the names of policies."""
    named = [name for name in ("policy", "order") if name in definition]
    return {**definition, **{name: _class_of(definition[name], name) for name in named}}


def _class_of(policy: Any, option: str) -> Any:
    try:
        return policies.registry.find(policy, option)
    except ValueError:  # it has been unregistered since
        return policy


def _shown(definition: dict[str, Any]) -> str:
    parts = [
        f"{key}={value.__qualname__ if isinstance(value, type) else repr(value)}"
        for key, value in definition.items()
    ]
    return f"({', '.join(parts)})"
