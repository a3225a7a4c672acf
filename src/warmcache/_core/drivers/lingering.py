"""What was torn down and whose memory is not back yet: it lingers, or becomes a zombie."""

from __future__ import annotations

import gc
from threading import get_ident

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.remains import Remains
from warmcache._core.state.store import Store
from warmcache._log import debugging, log
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._sizes import format_size
from warmcache._texts import text_of

from .let_go import free_room, interrupt_among, reclaimed

_search = ForkSafeLock()  # of who holds what; nothing of the user's runs under it


def free_what_came_back(store: Store, *, at_once: bool = False) -> None:
    """Free the room of what has come back since its teardown; give up what does not.

    What somebody still holds then is a zombie: it stays charged until it dies. With
    ``at_once`` nobody needs the room any more: all that is left to do is to tell. A
    KeyboardInterrupt or the like, of who is told, is raised once all is done.
    """
    if store.inherited:
        return
    _look_at_zombies(store)
    with store.lock:
        lingering = store.lingering.copy().items()
    collected, raised = at_once, list[BaseException]()
    for entry, remains in lingering:
        confirmed = at_once or remains.confirmed()
        if not confirmed and not remains.overdue():
            continue
        if not confirmed and not collected and remains.living():
            gc.collect()  # in a cycle that was let go, it is held by nobody
            collected, confirmed = True, remains.confirmed()
        left = 0 if confirmed else remains.left()
        if left:
            _find_holders(remains)  # before anybody is refused for it, and says by whom it is held
        with store.lock:
            if entry not in store.lingering:
                continue  # another thread was faster
            entry.doomed_by = get_ident()  # what is left of it is for this one to do
            del store.lingering[entry]
            for other in store.lingering.values():
                other.another_came_back(remains.weight if confirmed else 0)
            if left:
                store.charge_zombie(remains, left)
            if parks := entry.parks:
                from warmcache._core.state.parking import settle_on_host

                settle_on_host(store, entry)
        if not confirmed:
            _complain(remains, left)
        if not parks:
            free_room(store, entry, raised, debugging())
    if (interrupt := interrupt_among(raised)) is not None:
        raise interrupt


def flush(cache: CacheView) -> Exception | None:
    """Collect garbage, and have what nobody holds given back to the device.

    Who holds what is a zombie still, is looked up anew: somebody may be refused for it.
    Returns what ``reclaim`` raised, which is logged and counted, as after a teardown: nobody
    fails for it who only wants room.
    """
    store = cache.store
    gc.collect()
    raised = [] if store.reclaim is None else reclaimed(store.reclaim, None)
    with store.lock:
        store.counts.teardown_failures += len(raised)
        zombies = list(store.zombies)
    for remains in zombies:
        if remains.left():
            _find_holders(remains)
    failure = raised.pop() if raised else None
    if failure is None or isinstance(failure, Exception):
        return failure
    raise failure


def write_off_the_dead(store: Store) -> None:
    """Charge zombies no more that nobody holds, those in cycles not collected yet included."""
    _look_at_zombies(store)
    if store.zombies:
        gc.collect()
        _look_at_zombies(store)


def _look_at_zombies(store: Store) -> None:
    with store.lock:
        zombies = list(store.zombies)
    for remains in zombies:
        with _search.lock:  # who looks for its holders holds it, too
            left = remains.left()
        with store.lock:
            if remains in store.zombies:
                store.charge_zombie(remains, left)


def _find_holders(remains: Remains) -> None:
    from .who_holds import holders_of, in_words

    held: list[object] = []
    with _search.lock:
        held += remains.held()
        found = holders_of(held)
    held.clear()  # out here, for its user may have let go meanwhile
    remains.holders, remains.remedies = in_words(found)  # likewise: it may take the text of a key


def _complain(remains: Remains, left: float) -> None:
    key, weight = text_of(remains.key), format_size(remains.weight)
    if left:
        log().warning(
            "%s was %s, but %s of its %s are still held, by %s; they stay charged "
            "until that lets go%s",
            *(key, remains.did, format_size(left), weight, remains.holders),
            "".join(f": {remedy}" for remedy in remains.remedies[:1]),
        )
    else:
        text = "%s was %s, but the device does not show its %s back"
        log().warning(text, key, remains.did, weight)
