"""A policy of one's own: what is cheap to load again goes first.

It prints::

    the order of leaving: [load('small'), load('medium'), load('large')]
    load('small') left: size
    load('other') left: closed
    load('medium') left: closed
    load('large') left: closed
"""

import warmcache
from warmcache import Entry, Removal, warm
from warmcache.testing import ManualClock

SECONDS = {"small": 1, "medium": 10, "large": 100, "other": 5}
clock = ManualClock()  # a load moves it, so that the example does not have to wait


@warmcache.policies.register("cheapest-first")
class CheapestFirst(warmcache.Cache[object, object]):
    """Gives up the entry whose next load would take the least time for its weight."""

    def rank(self, entry: Entry) -> float:
        """Return the seconds that a unit of weight would cost."""
        return entry.load_seconds / entry.weight


def report(removal: Removal) -> None:
    """Say what left, and why."""
    print(f"{removal.key} left: {removal.cause.value}")


@warm(policy="cheapest-first", maxsize=3, timer=clock, on_removal=report)
def load(name: str) -> str:
    """Return a model that takes its time to load."""
    clock.advance(SECONDS[name])
    return f"model {name}"


def main() -> None:
    """Fill the cache, look at the order, and load one more."""
    for name in ("large", "small", "medium"):
        load(name)
    print("the order of leaving:", load.cache.victims())
    load("other")


if __name__ == "__main__":
    main()
