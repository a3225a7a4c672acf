"""Requests of many kinds, drawn from a seed, some of them made to hurt a policy."""

from __future__ import annotations

import random
from collections.abc import Callable

Keys = list[int]


def zipf(draw: random.Random, n: int, keys: int = 300) -> Keys:
    return draw.choices(range(keys), [1 / (rank + 1) for rank in range(keys)], k=n)


def uniform(draw: random.Random, n: int) -> Keys:
    return draw.choices(range(60), k=n)


def loop(draw: random.Random, n: int) -> Keys:
    return [i % 60 for i in range(n)]


def bursts(draw: random.Random, n: int) -> Keys:
    keys: Keys = []
    while len(keys) < n:
        keys += [draw.randrange(200)] * draw.randint(1, 20)
    return keys[:n]


def scans(draw: random.Random, n: int) -> Keys:
    """Zipf, and now and then everything once."""
    keys: Keys = []
    while len(keys) < n:
        keys += zipf(draw, 300, 100) + list(range(100))
    return keys[:n]


def recent(draw: random.Random, n: int, depth: int = 6, keys: int = 60) -> Keys:
    """What was asked for last, by a depth in the stack of LRU."""
    stack, asked = list(range(keys)), []
    draw.shuffle(stack)
    for _ in range(n):
        key = stack.pop(min(keys - 1, int(draw.expovariate(1 / depth))))
        stack.insert(0, key)
        asked.append(key)
    return asked


def recent3(draw: random.Random, n: int) -> Keys:
    return recent(draw, n, depth=3)


def recent12(draw: random.Random, n: int) -> Keys:
    return recent(draw, n, depth=12)


def fresh(draw: random.Random, n: int) -> Keys:
    """Four things live, then never again."""
    alive, new, keys = list(range(4)), 4, []
    for _ in range(n):
        if draw.random() < 0.025:
            alive[draw.randrange(4)], new = new, new + 1
        keys.append(draw.choice(alive))
    return keys


def churn(draw: random.Random, n: int) -> Keys:
    """A set that slides."""
    return [i // 15 + draw.randrange(20) for i in range(n)]


def sliding(draw: random.Random, n: int) -> Keys:
    return [max(0, i // 40 - int(draw.expovariate(0.3))) for i in range(n)]


def flip(draw: random.Random, n: int) -> Keys:
    """Fashion, then recency, then another fashion."""
    keys: Keys = []
    while len(keys) < n:
        names = draw.sample(range(80), 80)
        keys += [names[key] for key in zipf(draw, 1000, 80)] + recent(draw, 1000, 5, 80)
    return keys[:n]


def trap(draw: random.Random, n: int) -> Keys:
    """Asked for again and again, then dead, between what goes on."""
    going_on = iter(recent(draw, 2 * n))
    keys: Keys = []
    new = 60
    while len(keys) < n:
        keys += [new] * draw.randint(20, 80) + [next(going_on) for _ in range(60)]
        new += 1
    return keys[:n]


def pairs(draw: random.Random, n: int) -> Keys:
    """Each exactly twice."""
    keys: Keys = []
    waiting: Keys = []
    new = 0
    while len(keys) < n:
        if waiting and (len(waiting) > 8 or draw.random() < 0.5):
            keys.append(waiting.pop(draw.randrange(len(waiting))))
        else:
            keys.append(new)
            waiting.append(new)
            new += 1
    return keys


def loop2(draw: random.Random, n: int) -> Keys:
    """A loop, then another."""
    return [i % 40 + (40 if i >= n // 2 else 0) for i in range(n)]


def loops(draw: random.Random, n: int) -> Keys:
    """Two loops in turn."""
    return [i // 600 % 2 * 30 + i % 30 for i in range(n)]


def never(draw: random.Random, n: int) -> Keys:
    """Every second one is never asked for again."""
    going_on, new = recent(draw, n, 4, 30), 30
    for i in range(n):
        if draw.random() < 0.5:
            going_on[i], new = new, new + 1
    return going_on


def newest(draw: random.Random, n: int) -> Keys:
    top, keys = 20, []
    for _ in range(n):
        top += draw.random() < 0.08
        keys.append(max(0, top - int(draw.expovariate(1 / 12))))
    return keys


KINDS: dict[str, Callable[[random.Random, int], Keys]] = {
    kind.__name__: kind
    for kind in (
        *(zipf, uniform, loop, bursts, scans, recent, recent3, recent12, fresh, churn, sliding),
        *(flip, trap, pairs, loop2, loops, never, newest),
    )
}


def things(draw: random.Random, keys: Keys, costs: str) -> dict[int, tuple[float, float]]:
    """Return the size and the load seconds of each key."""
    drawn = {}
    for key in sorted(set(keys)):
        size = draw.choice([1, 2, 4, 8])
        if costs == "mixed":
            drawn[key] = size, 0.5 + size * draw.choice([0.3, 1, 3])
        elif costs == "lognormal":
            drawn[key] = size, draw.lognormvariate(0, 1.5)
        else:  # few are large and dear, many small and cheap
            large = draw.random() < 0.05
            drawn[key] = (40, 60.0) if large else (1, 0.3)
    return drawn


def budgets(sizes: list[float]) -> list[float]:
    """Return from a tenth to six tenths of all; of many keys from one to twenty percent."""
    shares = (0.01, 0.02, 0.05, 0.1, 0.2) if len(sizes) > 250 else (0.1, 0.2, 0.3, 0.4, 0.6)
    return [max(sum(sizes) * share, max(sizes)) for share in shares]
