"""What the tests of owners share: values that note how they ended, and a janitor that is done."""

from __future__ import annotations

import threading
from typing import Any

from warmcache import Removal, RemovalCause, warm
from warmcache._process.janitor import janitor

CAP = 5.0


class Owner:
    """Anything: it can be referenced weakly."""


class Loads:
    """A loader whose values belong to ``owner``, what was torn down, and why."""

    def __init__(self, per: Any = "owner", **options: Any) -> None:
        self.torn_down: list[Any] = []
        self.causes: list[RemovalCause] = []
        self.loads = 0
        if "cache" not in options:
            options = {"on_removal": self._left, **options}
        options = {"teardown": self.torn_down.append, **options}

        def of_argument(owner: Any, name: str) -> list[str]:
            self.loads += 1
            return [name]

        def of_call(name: str) -> list[str]:
            self.loads += 1
            return [name]

        load = of_argument if isinstance(per, str) else of_call
        self.load: Any = warm(per=per, **options)(load)

    def _left(self, removal: Removal) -> None:
        self.causes.append(removal.cause)

    @property
    def names(self) -> list[str]:
        """What was torn down."""
        return [value[0] for value in self.torn_down]


def janitor_done() -> None:
    """Return once the janitor has done all that it was told to: its jobs run in order."""
    done = threading.Event()
    janitor.defer(done.set)
    assert done.wait(CAP)


def in_a_thread(work: Any) -> Any:
    """Return what ``work()`` returns in a thread of its own, once that has ended."""
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(work()))
    thread.start()
    thread.join(CAP)
    assert not thread.is_alive()
    return outcome[0]
