"""Caches that share a device, in a forked child: they share it among themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run

SHARED = """
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe

def loaders(probe):
    options = dict(probe=probe, headroom=0, poll=0, wait=0, confirm=0)
    caches = [MemoryCache(16, **options) for _ in range(2)]
    size = dict(size=lambda block: block.nbytes, size_hint=lambda nbytes: nbytes)
    return [warm(cache=cache, **size)(lambda nbytes: probe.block(nbytes)) for cache in caches]

def removals(load):
    return {cause.value: count for cause, count in load.cache.stats().removals.items()}

one, two = loaders(FakeProbe(16))
"""


@needs_fork
@pytest.mark.parametrize("in_between", ["pass", "promises.acquire()", "other.lock.acquire()"])
def test_the_childs_caches_share_it_whatever_the_parent_was_at(
    tmp_path: Path, in_between: str
) -> None:
    program = f"""
    {SHARED.strip().replace(chr(10), chr(10) + "    ")}
    one(12)
    arbiter = one.cache._view.meter.arbiter
    promises, other = arbiter._promising.lock, one.cache._store

    def hold():
        {in_between}
        held.set(), go_on.wait(10)

    held, go_on = threading.Event(), threading.Event()
    in_thread(hold)
    held.wait(10)
    child = os.fork()
    if not child:
        try:
            two(4)  # beside the 12 of the parent's that the device still shows
            one(3)
            say(one.cache.stats().live, two.cache.stats().live, removals(two))
            os._exit(0)
        except BaseException as error:
            say(repr(error))
            os._exit(1)
    ended(child)
    os._exit(0)  # the thread has what it has
    """
    assert ["3 0 {'pressure': 1}"] == run(tmp_path, program)
