"""Models that weigh a few units and load at once, so that no torch is needed.

The functions at the end are catalogues, which worker processes find by their names.
"""

import os
import signal
import threading
from dataclasses import replace
from functools import partial

from warmcache.demo import _worker
from warmcache.demo._spec import Answer, Saved, Spec
from warmcache.tiers import worth


class FakeModel:
    """A model that knows whether it was closed, and fails when it is used after that."""

    def __init__(self, name, weight, loaded, closed, device):
        self._name, self._weight, self._closed = name, weight, closed
        self._open = True
        self.parked = False
        assert "cpu" == device
        loaded.append(name)

    def weigh(self):
        return self._weight

    def close(self):
        self._open = False
        self._closed.append(self._name)

    def save(self, folder):
        (folder / "name").write_text(self._name)

    def use(self):
        assert self._open, f"{self._name} was used after it was torn down"
        assert not self.parked, f"{self._name} was used where it was parked"


class Zoo:
    """Makes specs of fake models and remembers what became of them."""

    def __init__(self):
        self.loaded, self.read, self.closed = [], [], []
        self.wrong = set()
        self._lock = threading.Lock()

    def spec(self, name, weight, *, served=True, needs=(), claim="answers are right", saved=None):
        load = partial(FakeModel, name, weight, self.loaded, self.closed)
        if not served:
            return Spec(name, weight, load)
        return Spec(name, weight, load, partial(self._answer, name, needs), claim, needs, saved)

    def saved(self, name, weight, **options):
        """Return how a model is made of what it has saved."""

        def read(device, folder):
            assert name == (folder / "name").read_text()
            return FakeModel(name, weight, self.read, self.closed, device)

        return Saved(read, "1", **options)

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


def specs_of(zoo):
    """Return a tokenizer of 1, which all but one need, and models of 10, 20, 30 and 40."""
    return [
        zoo.spec("forty", 40, needs=("tokenizer",)),
        zoo.spec("thirty", 30, needs=("tokenizer",)),
        zoo.spec("twenty", 20, needs=("tokenizer",)),
        zoo.spec("ten", 10, claim="the other answers are right too"),
        zoo.spec("tokenizer", 1, served=False),
    ]


def savable_specs_of(zoo):
    """Return these, of which two can be saved, and one of 15 that is dear."""
    specs = [
        replace(spec, saved=zoo.saved(spec.name, spec.weight))
        if spec.name in ("thirty", "twenty")
        else spec
        for spec in specs_of(zoo)
    ]
    return [*specs, zoo.spec("fifteen", 15, saved=zoo.saved("fifteen", 15, dear=True))]


def parkable_specs_of(zoo):
    """Return those without the dear one, of which all but the tokenizer can be parked."""
    return [replace(spec, parks=spec.answer is not None) for spec in specs_of(zoo)]


class FakeParked:
    """A model that is parked in as many bytes as it weighs."""

    def __init__(self, model, nbytes, drop=lambda: None):
        self._model, self.nbytes, self.drop = model, nbytes, drop

    def unpark(self):
        self._model.parked = False
        return self._model


class FakeParker:
    """Parks fake models, which cannot be used meanwhile."""

    def park(self, model, weight):
        model.parked = True
        return FakeParked(model, weight)


def keep_everything():
    """Have the disk keep, and read, what loads at once."""
    worth._MARGIN = -1.0
    worth.Worth.has_read = lambda *_, instead_of: False


def savable_models():
    keep_everything()
    return savable_specs_of(Zoo())


def right_models():
    return specs_of(Zoo())


def wrong_models():
    zoo = Zoo()
    zoo.wrong.add("twenty")
    return specs_of(zoo)


def broken_models():
    """Models of which one loads once, when it is rehearsed, and never again."""
    return _second_time("twenty", _fail)


def killed_models():
    """Likewise, and the second load is the end of its process."""
    return _second_time("twenty", lambda: os.kill(os.getpid(), signal.SIGKILL))


def hanging_models():
    """Likewise, and the second load says the process' number and does not end by itself."""
    _worker.PATIENCE = 0.2
    return _second_time("twenty", _hang)


def stopped_models():
    """Likewise, and the second load says so and stops its process, which cannot end by itself."""
    return _second_time("twenty", _stop)


def _fail():
    raise OSError("no such weights")


def _hang():
    os.write(1, f"hangs: {os.getpid()}\n".encode())
    threading.Event().wait(30)


def _stop():
    os.write(1, f"hangs: {os.getpid()}\n".encode())
    os.kill(os.getpid(), signal.SIGSTOP)


def _second_time(name, what):
    specs = right_models()
    [at] = [at for at, spec in enumerate(specs) if spec.name == name]
    spec, loads = specs[at], []

    def load(device):
        loads.append(name)
        if len(loads) > 1:
            what()
        return spec.load(device)

    specs[at] = replace(spec, load=load)
    return specs
