"""Two functions of the user's park: what the first returns, the second gets."""

from __future__ import annotations

import types
import weakref
from typing import Any

import pytest

from warmcache._parking.choice import parker_for
from warmcache._parking.parking import CannotPark
from warmcache._parking.slabs import Slabs


class Engine:
    """An engine that can sleep."""

    def __init__(self) -> None:
        self.awake = True

    def sleep(self) -> tuple[str, Engine]:
        self.awake = False
        return "asleep", self

    @staticmethod
    def wake(state: tuple[str, Engine]) -> Engine:
        assert "asleep" == state[0]
        state[1].awake = True
        return state[1]


def test_it_goes_by_the_first_and_comes_back_by_the_second() -> None:
    slabs = Slabs()
    engine = Engine()
    parked = parker_for((Engine.sleep, Engine.wake), slabs).park(engine, 5000.0)
    assert not engine.awake
    assert 5000 == parked.nbytes and parked.seconds >= 0  # it does not say what it takes
    assert parked.unpark() is engine and engine.awake
    parked.drop()
    gone = weakref.ref(engine)
    del engine
    assert gone() is None
    assert 0 == slabs.in_use


def test_what_park_gives_may_say_what_it_takes() -> None:
    parker = parker_for((lambda _engine: memoryview(b"abc"), lambda _state: None), Slabs())
    assert 3 == parker.park(Engine(), 5000).nbytes


def test_what_park_raises_or_does_not_return_is_a_refusal() -> None:
    def fails(_engine: Any) -> None:
        raise RuntimeError("not now")

    with pytest.raises(CannotPark, match=r"park= raised RuntimeError: not now") as caught:
        parker_for((fails, Engine.wake), Slabs()).park(Engine(), 1)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(CannotPark, match="park= gave None"):
        parker_for((lambda _engine: None, Engine.wake), Slabs()).park(Engine(), 1)

    def interrupted(_engine: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parker_for((interrupted, Engine.wake), Slabs()).park(Engine(), 1)


def test_what_unpark_raises_is_raised_and_it_may_be_tried_again() -> None:
    attempts: list[Any] = []

    def wake(state: tuple[str, Engine]) -> Engine:
        attempts.append(state)
        if len(attempts) == 1:
            raise MemoryError("no room")
        return Engine.wake(state)

    engine = Engine()
    parked = parker_for((Engine.sleep, wake), Slabs()).park(engine, 1)
    with pytest.raises(MemoryError, match="no room"):
        parked.unpark()
    assert parked.unpark() is engine
    assert 2 == len(attempts)


def test_without_functions_and_without_torch_nothing_is_parked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(CannotPark, match="nobody knows how to park dict: say park="):
        parker_for(None, Slabs()).park({}, 1)


def test_functions_that_return_what_is_to_be_awaited_are_no_pair() -> None:
    async def coroutine(_: object) -> None: ...

    engine = Engine()
    with pytest.raises(CannotPark, match="park= raised UnawaitedError: it returned a coroutine"):
        parker_for((lambda it: coroutine(it), Engine.wake), Slabs()).park(engine, 1)
    parked = parker_for((Engine.sleep, lambda it: coroutine(it)), Slabs()).park(engine, 1)
    with pytest.raises(TypeError, match="the second function of park= returned a coroutine"):
        parked.unpark()


@pytest.mark.parametrize(("said", "taken"), [(3, 3), (True, 5000), ("3", 5000), (None, 5000)])
def test_what_is_no_number_of_bytes_is_not_taken_for_one(said: Any, taken: int) -> None:
    state = types.SimpleNamespace(nbytes=said)
    parker = parker_for((lambda _engine: state, lambda _state: None), Slabs())
    assert taken == parker.park(Engine(), 5000).nbytes


def test_less_than_no_bytes_is_a_refusal() -> None:
    state = types.SimpleNamespace(nbytes=-1)
    with pytest.raises(CannotPark, match="takes -1 bytes"):
        parker_for((lambda _engine: state, Engine.wake), Slabs()).park(Engine(), 1)
