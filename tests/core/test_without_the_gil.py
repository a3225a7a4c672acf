"""What counts uses where there is no GIL, run by whatever interpreter there is."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
sys.version += " free-threading"  # by which builds without the GIL are told
import warmcache
from warmcache._process.gil import FREE_THREADED

assert FREE_THREADED
found = {}
for policy in ("lru", "lfu", "fifo", "gdsf", "cost"):
    loads = []

    @warmcache.warm(policy=policy, maxsize=2)
    def load(name):
        loads.append(name)
        return name

    for name in "aababca":
        load(name)
    info = load.cache_info()
    found[policy] = info.hits, info.misses, "".join(loads)
    cache = load.cache
    cache["a"] = cache["a"] = 1
    cache["a"]
    assert (1, 4) == (cache["a"], next(e.uses for e in cache.entries() if e.key == "a"))
print(json.dumps(found))
"""


def test_hits_are_counted_and_order_what_goes_by_the_counters_of_builds_without_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=False
    )
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert [4, 3, "abc"] == found["lfu"]
    assert [3, 4, "abca"] == found["lru"] == found["fifo"]
    assert 7 == sum(found["cost"][:2]) == sum(found["gdsf"][:2])
