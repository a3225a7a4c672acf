"""What a wrong name most likely means: by how it is spelt, or by what others call it."""

from __future__ import annotations

from collections.abc import Iterable

# Our options in a few words, and what they, or what does the same, are called elsewhere: by
# functools, cachetools, async-lru, aiocache, cacheout, diskcache, Django, joblib, Streamlit,
# Caffeine and its like, parsl_object_registry. A word may mean several.
_OPTIONS: dict[str, tuple[str, str]] = {
    "maxsize": (
        "the most to hold",
        "budget capacity limit max_entries max_items max_objects max_len maxlen max_size "
        "max_cache_size cache_size size_limit bytes_limit max_bytes max_memory memory "
        "memory_limit max_num_models_per_replica n",
    ),
    "budget": (
        "the most memory to hold",
        "maxsize capacity limit max_entries max_items max_objects max_len maxlen max_size "
        "max_cache_size cache_size size_limit bytes_limit "
        "max_bytes max_memory max_num_models_per_replica max_ram max_vram memory memory_limit "
        "gpu_memory vram",
    ),
    "policy": (
        "who goes first",
        "algorithm cache_policy cache_type eviction eviction_policy replacement_policy strategy",
    ),
    "cache": ("a cache to share, or its name", "alias backend namespace region store storage"),
    "ttl": (
        "how long entries live",
        "age_limit default_timeout default_ttl duration expiration expire expire_after "
        "expire_after_write expires expires_in expiry lifetime max_age time_to_live timeout",
    ),
    "idle_ttl": (
        "how long an entry may go unused",
        "expire_after_access idle idle_time idle_timeout max_idle time_to_idle tti",
    ),
    "wait": ("how long to wait for room", "acquire_timeout block patience timeout wait_timeout"),
    "teardown": (
        "destroys the value that it takes",
        "clean_up cleaner cleanup close closer delete deleter destroy destroyer destructor dispose "
        "disposer eviction_callback exit finalize finalizer finaliser free on_cleanup on_close "
        "on_delete on_evict on_eviction on_exit on_expire on_release on_remove on_shutdown "
        "on_teardown on_unload release releaser shutdown shutdown_callback tear_down teardown_func "
        "terminate unload unload_fn unloader",
    ),
    "reclaim": (
        "takes nothing, and gives memory back",
        "after_teardown empty_cache flush free_memory gc gc_callback on_freed shutdown_callback",
    ),
    "on_removal": (
        "is told of what has left",
        "callback eviction_callback eviction_listener listener on_delete on_evict on_eviction "
        "on_expire on_remove on_removed removal_listener",
    ),
    "on_load": (
        "is told of each load",
        "load_callback load_listener on_create on_insert on_loaded on_miss",
    ),
    "key": (
        "what makes the key, of all or of each argument",
        "build_key exclude hash_func hash_funcs hasher ignore ignore_args key_builder key_fn "
        "key_func key_generator key_maker keyfunc make_key make_name skip_args",
    ),
    "size": (
        "what a value weighs",
        "cost cost_fn getsizeof get_size nbytes size_of sizeof weigh weigher weight",
    ),
    "getsizeof": (
        "what a value weighs",
        "cost cost_fn get_size nbytes size size_of sizeof weigh weigher weight",
    ),
    "size_hint": ("what the first load may take", "expected_size estimate"),
    "validate": (
        "whether a warm value is still good",
        "cache_validation_callback check health_check is_alive is_valid pre_ping validation "
        "validator",
    ),
    "tags": ("texts that entries carry", "groups labels tag"),
    "version": ("part of every key", "salt cache_version"),
    "typed": ("whether types tell arguments apart", "strict strict_types"),
    "device": ("the GPU", "cuda gpu gpu_id"),
    "timer": ("the clock", "clock now time_func timefunc"),
    "record": ("a file of what is asked for", "trace trace_file"),
}

# What has no counterpart, and why.
_NEEDLESS = {
    "info": "cache_info() is always there",
    "lock": "a cache is safe under threads by itself",
    "noself": "the key of a warm method is without self already",
}
_WORDS = [word for _, words in _OPTIONS.values() for word in words.split()]


def nearest(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about a wrong name: the one meant, and all there are."""
    known = [*known]
    near = _near(str(name), known) or _near(str(name).lower(), known)
    return _said(map(repr, near), known)


def nearest_option(name: str, known: Iterable[str]) -> str:
    """Return the same about an option. A word that means something elsewhere means that here."""
    word, known = name.lower().replace("-", "_"), {*known}
    if word in _NEEDLESS and not _near(word, known, alike=0.85):
        return f"; it needs none: {_NEEDLESS[word]}{_said([], known)}"
    if not (meant := _meant_by(word)):
        near = _near(word, known, alike=0.8) or _near(word, {*known, *_WORDS})
        if {*near} <= known:
            return _said(map(repr, near), known)
        meant = [option for each in near for option in _meant_by(each)]
    said = [f"{each!r} ({_OPTIONS[each][0]})" for each in meant if each in known]
    return _said(said or map(repr, _near(word, known, alike=0.85)), known)


def _meant_by(word: str) -> list[str]:
    """Return the options that ``word`` is, or is elsewhere."""
    return [option for option, (_, words) in _OPTIONS.items() if word in (option, *words.split())]


def _near(name: str, known: Iterable[str], alike: float = 0.6) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=alike)


def _said(meant: Iterable[str], known: Iterable[str]) -> str:
    one = " or ".join(meant)
    text = f"; did you mean {one}?" if one else "."
    return f"{text} There are: {', '.join(sorted(known)) or 'none'}"
