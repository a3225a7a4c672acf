"""Models that weigh a few units and load at once, so that no torch is needed."""

import random
import threading
from functools import partial

import pytest

from warmcache.demo._spec import Answer, Spec


class FakeModel:
    """A model that knows whether it was closed, and fails when it is used after that."""

    def __init__(self, name, weight, loaded, closed, device):
        self._name, self._weight, self._closed = name, weight, closed
        self._open = True
        assert "cpu" == device
        loaded.append(name)

    def weigh(self):
        return self._weight

    def close(self):
        self._open = False
        self._closed.append(self._name)

    def use(self):
        assert self._open, f"{self._name} was used after it was torn down"


class Zoo:
    """Makes specs of fake models and remembers what became of them."""

    def __init__(self):
        self.loaded, self.closed = [], []
        self.wrong = set()
        self._lock = threading.Lock()

    def spec(self, name, weight, *, served=True, needs=(), claim="answers are right"):
        load = partial(FakeModel, name, weight, self.loaded, self.closed)
        if not served:
            return Spec(name, weight, load)
        return Spec(name, weight, load, partial(self._answer, name, needs), claim, needs)

    def _answer(self, name, needs, lease, chance):
        for other in needs:
            with lease(other) as needed, lease(name) as model:
                needed.use()
                model.use()
        if not needs:
            with lease(name) as model:
                model.use()
        margin = -1.0 if name in self.wrong else chance.random()
        return Answer(margin >= 0, margin)


@pytest.fixture
def zoo():
    return Zoo()


@pytest.fixture
def specs(zoo):
    """Return a tokenizer of 1, which all but one need, and models of 10, 20, 30 and 40."""
    return [
        zoo.spec("forty", 40, needs=("tokenizer",)),
        zoo.spec("thirty", 30, needs=("tokenizer",)),
        zoo.spec("twenty", 20, needs=("tokenizer",)),
        zoo.spec("ten", 10, claim="the other answers are right too"),
        zoo.spec("tokenizer", 1, served=False),
    ]


@pytest.fixture
def chance():
    return random.Random(0)
