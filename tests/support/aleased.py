"""What tests of ``alease`` share: a loader of models that know in which thread they were closed."""

from __future__ import annotations

import threading
from typing import Any

from warmcache import warm


class Model:
    def __init__(self, name: Any) -> None:
        self.name = name
        self.loaded_by = threading.current_thread()
        self.closed_by: list[threading.Thread] = []

    def close(self) -> None:
        self.closed_by.append(threading.current_thread())


def loading(**options: Any) -> Any:
    return warm(**{"policy": "lru", "maxsize": 1, "teardown": "close", **options})(Model_of)


def Model_of(name: Any) -> Model:  # noqa: N802 - it makes one
    return Model(name)
