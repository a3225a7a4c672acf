"""A package whose code digests are committed: what Pythons compile differently is in it."""

from __future__ import annotations

FILES = {
    "__init__.py": "",
    "helpers.py": '''
"""Helpers."""
import dataclasses
import enum
import functools
import logging
import typing

SIZE = 3
TABLE = {"a": [1, 2.0], "b": (3, {"c", "d"}), "e": frozenset({4})}
logger = logging.getLogger(__name__)


class Colour(enum.Enum):
    RED = 1
    BLUE = enum.auto()


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    layers: int = 2
    names: list[str] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def depth(self) -> int:
        return self.layers * SIZE


class Pair(typing.NamedTuple):
    x: int
    y: int = 2


class Base:
    width = 4

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)


class Model(Base):
    made = 0

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        type(self).made += 1

    def run(self, *args: int, scale: float = 1.5, **more: int) -> "list[float]":
        match args:
            case [x, *rest] if rest:
                return [x * scale, *rest, *more.values()]
            case [Pair(x=1)]:
                return []
            case _:
                return [each for each in args if (half := each / 2) > SIZE or half]


def twice(x, times: int = 2):
    return x * times


def again(times):
    def decorate(function):
        @functools.wraps(function)
        def called(*args):
            return [function(*args) for _ in range(times)]

        return called

    return decorate


@again(7)
def repeated(x):
    return x + 8


@functools.lru_cache(maxsize=None)
def kept(x):
    return -x


chosen = [lambda x, by=by: x + by for by in (1, 2)]
''',
    "main.py": '''
import functools

from . import helpers
from .helpers import Colour, Model, Settings, chosen, logger, repeated, twice as doubled

WIDE = 100
count = 0


def plain(x):
    return x


def load(name: str, *, scale: float = 2.0) -> "object":
    """Load it."""
    global count
    count += 1
    logger.info("loading %s", name)
    from .helpers import kept

    def inner(y: int) -> int:
        return y + WIDE + kept(y)

    text_ = ""
    text = f"{name!r:>{scale}} {name=}" f" and {WIDE:{name}{text_}}" " so on"
    model = Model(text)
    return [
        {key: inner(value) for key, value in helpers.TABLE.items() if key},
        (lambda: model.run(1, 2, scale=scale))(),
        [x + y for x in range(3) for y in range(x) if x != y],
        Settings(layers=3).depth, Colour.RED, repeated(2), doubled(4), helpers.Pair(1),
        [each(1) for each in chosen],
    ]


def raising(x):
    try:
        with open(x) as file:
            while line := file.readline():
                if not line.strip():
                    continue
                yield line
    except (OSError, ValueError) as error:
        raise RuntimeError("no file") from error
    else:
        assert x, "no name"
    finally:
        del x


async def asynchronous(x):
    async with x as y:
        async for z in y:
            await z
    return [each async for each in y]


class Loader:
    offset = 13

    @staticmethod
    def still(x):
        return x

    def load(self, name):
        return self.__built(name) + self.still(name)

    def __built(self, name):
        return name * self.offset


partly = functools.partial(plain, x=3)
''',
}
WHAT = [
    *("plain", "load", "raising", "asynchronous", "Loader.load", "Loader", "partly"),
    *("helpers.Model", "helpers.Settings", "helpers.repeated", "helpers.kept", "helpers.chosen[1]"),
]
