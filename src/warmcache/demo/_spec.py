"""What the demo knows of a model before it is loaded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from warmcache._sizes import format_size

from ._options import DemoError, Options

Lease: TypeAlias = Callable[[str], AbstractContextManager[Any]]


class Model(Protocol):
    """A loaded model, or what a model needs beside it."""

    def weigh(self) -> int:
        """Return the bytes of what it holds, counted on the loaded object."""
        ...

    def close(self) -> None:
        """Drop the weights, whoever still holds this object."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: whether it was right, and what it was judged by.

    ``margin`` says by how much: below 0 is wrong.
    """

    right: bool
    margin: float


@dataclass(frozen=True, slots=True)
class Saved:
    """How a model is made of what its ``save(folder)`` has written, for a loader that is slower.

    ``read`` is called with the name of torch's device, and the folder. ``version`` says of what and
    how the model was made. Where it is ``dear``, nobody would have it come and go without a disk,
    and so it is served only with one.
    """

    read: Callable[[str, Path], Model]
    version: str
    dear: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """A model: its name, its weight in bytes, how to load it, how to serve with it.

    ``load`` is called with the name of torch's device that it goes to.
    ``answer`` is asked with a function that leases any model by name, and with the
    request's own source of chance; it is None for what no request names. ``claim``
    says what right answers show. ``needs`` are the others that an answer leases too. ``saved``
    is None for what loads about as quickly as it could be read. What ``parks`` has its bytes in
    tensors of torch.
    """

    name: str
    weight: int
    load: Callable[[str], Model]
    answer: Callable[[Lease, random.Random], Answer] | None = None
    claim: str = ""
    needs: tuple[str, ...] = ()
    saved: Saved | None = None
    parks: bool = False


def chosen(specs: Iterable[Spec], options: Options) -> list[Spec]:
    """Return those that a run with these options has."""
    with_disk = options.disk is not None
    return [spec for spec in specs if with_disk or spec.saved is None or not spec.saved.dear]


def served(specs: Iterable[Spec]) -> list[Spec]:
    """Return those that requests name."""
    return [spec for spec in specs if spec.answer is not None]


def check_budget(budget: int, specs: Sequence[Spec]) -> None:
    """Raise DemoError when some request could not be served within ``budget`` bytes."""
    weights = {spec.name: spec.weight for spec in specs}
    least, largest = max(
        (spec.weight + sum(weights[name] for name in spec.needs), spec.name)
        for spec in served(specs)
    )
    if budget < least:
        needs = next(spec.needs for spec in specs if spec.name == largest)
        company = f" with its {' and '.join(needs)}" if needs else ""
        raise DemoError(
            f"--budget: {format_size(budget)} cannot hold {largest}, which weighs "
            f"{format_size(least)}{company}; give it {-(-least // 2**20)}MiB or more"
        )
