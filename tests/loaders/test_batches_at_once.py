"""Batches that overlap, in threads and in tasks, load nothing twice and never hang."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from encoders import AsyncEncoder, Encoder, values_of
from gated import in_loop, until
from gates import CAP, Gate, waiting
from loops import LoopThread

from warmcache import (
    Cache,
    CapacityError,
    DiskTier,
    LoadCycleError,
    LRUCache,
    WarmMissError,
    no_load,
    warm,
)
from warmcache._core.state import standstill
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.race


@pytest.fixture
def start() -> Any:
    with ThreadPoolExecutor(12) as pool:
        yield pool.submit


class Gated(Encoder):
    """An encoder whose loads wait at a gate, each at that of its first text, if that has one."""

    def __init__(
        self,
        gates: str = "",
        *,
        fails: str = "",
        by: type[Exception] = ConnectionError,
        **options: Any,
    ) -> None:
        self.gates = {text: Gate() for text in gates}
        self._fails, self._by = fails, by
        super().__init__(self._wait, **options)

    def _wait(self, texts: list[str]) -> None:
        if texts[0] in self.gates:
            self.gates[texts[0]].wait()
        if any(text in self._fails for text in texts):
            raise self._by("down")

    def reached(self, text: str) -> None:
        self.gates[text].until_reached()

    def open(self, text: str) -> None:
        self.gates[text].open()


def begun(encoder: Encoder, count: int) -> None:
    """Return once the loader was called so often."""
    pause = threading.Event()
    for _ in range(5_000):
        if len(encoder.calls) >= count:
            return
        pause.wait(0.001)
    raise AssertionError(f"{encoder.calls} were loaded, and no {count}")


def test_what_another_batch_is_loading_is_waited_for(start: Any) -> None:
    encoder = Gated("a")
    first = start(encoder, ["a", "b"])
    encoder.reached("a")
    second = start(encoder, ["b", "c"])
    waiting(encoder.load.cache, 1)
    begun(encoder, 2)  # its own is loaded, and not first waited for the rest
    assert not second.done()
    encoder.open("a")
    assert values_of("ab") == first.result(CAP)
    assert values_of("bc") == second.result(CAP)
    assert [["a", "b"], ["c"]] == encoder.calls
    assert (3, 1) == (encoder.load.cache.stats().misses, encoder.load.cache.stats().joined)
    assert_consistent(encoder.load.cache)


def test_batches_that_want_what_the_other_has_do_not_hang(start: Any) -> None:
    encoder = Gated("ab")
    first = start(encoder, ["a", "b"])  # claims both
    encoder.reached("a")
    second = start(encoder, ["b", "c", "a"])
    third = start(encoder, ["d", "c"])
    begun(encoder, 3)
    encoder.open("a")
    assert [values_of("ab"), values_of("bca"), values_of("dc")] == [
        each.result(CAP) for each in (first, second, third)
    ]
    assert ["a", "b", "c", "d"] == sorted(text for call in encoder.calls for text in call)


def test_each_of_two_batches_has_claimed_what_the_other_waits_for(start: Any) -> None:
    encoder = Gated("ab")
    first = start(encoder, ["a"])
    encoder.reached("a")
    second = start(encoder, ["b", "a"])
    encoder.reached("b")
    third = start(encoder, ["a", "b"])
    waiting(encoder.load.cache, 3)
    encoder.open("b")
    encoder.open("a")
    assert [values_of("a"), values_of("ba"), values_of("ab")] == [
        each.result(CAP) for each in (first, second, third)
    ]
    assert [["a"], ["b"]] == encoder.calls


def test_a_lease_of_an_element_waits_for_the_batch_that_loads_it(start: Any) -> None:
    encoder = Gated("a")
    first = start(encoder, ["a", "b"])
    encoder.reached("a")

    def lease() -> Any:
        with encoder.load.lease("b") as value:
            return value

    leases = [start(lease), start(lease)]
    waiting(encoder.load.cache, 2)
    encoder.open("a")
    assert [["b", "m"]] * 2 == [each.result(CAP) for each in leases]
    assert values_of("ab") == first.result(CAP)
    assert [["a", "b"]] == encoder.calls
    assert_consistent(encoder.load.cache)


def test_a_load_that_the_batch_waits_for_as_it_stores_takes_what_it_has_loaded(
    start: Any,
) -> None:
    evicting = Gate()
    encoder = Gated("a", maxsize=1, on_removal=lambda removal: evicting.wait())
    encoder(["v"])
    batch = start(encoder, ["a"])
    encoder.reached("a")
    lease = start(encoder.load.warm_up, ["a"])
    evicting.until_reached()  # its room is being made, and it has not looked for the batch yet
    encoder.open("a")
    waiting(encoder.load.cache, 1)  # which waits for it now, to have its value stored
    evicting.open()
    lease.result(CAP)
    assert values_of("a") == batch.result(CAP)
    assert [["v"], ["a"]] == encoder.calls


def test_a_batch_waits_for_the_load_of_one_element(start: Any) -> None:
    encoder = Gated("a")
    lease = start(lambda: encoder.load.warm_up(["a"]))
    encoder.reached("a")
    batch = start(encoder, ["a", "b"])
    begun(encoder, 2)
    waiting(encoder.load.cache, 1)
    encoder.open("a")
    lease.result(CAP)
    assert values_of("ab") == batch.result(CAP)
    assert [["a"], ["b"]] == encoder.calls


def test_what_there_is_no_room_for_is_not_loaded_twice_either(start: Any) -> None:
    encoder = Gated("a", maxsize=1)
    first = start(encoder, ["a", "b", "c"])
    encoder.reached("a")
    others = [start(encoder, ["c", "b", "a"]) for _ in range(4)]
    waiting(encoder.load.cache, 4)
    encoder.open("a")
    assert [values_of("cba")] * 4 == [each.result(CAP) for each in others]
    assert values_of("abc") == first.result(CAP)
    assert [["a", "b", "c"]] == encoder.calls


def test_a_claim_lasts_until_the_values_are_stored(start: Any) -> None:
    """Between the loader's end and the store nobody may find a key that is neither."""
    storing = Gate()

    def told(load: object) -> None:
        if "'a'" in str(load):
            storing.wait()

    encoder = Encoder(on_load=told)
    first = start(encoder, ["a", "b"])
    storing.until_reached()  # "a" is stored, and "b" is not yet
    assert values_of("ba") == start(encoder, ["b", "a"]).result(CAP)

    def lease() -> Any:
        with encoder.load.lease("b") as value:
            return value

    assert ["b", "m"] == start(lease).result(CAP)
    storing.open()
    assert values_of("ab") == first.result(CAP)
    assert [["a", "b"]] == encoder.calls


def test_what_becomes_warm_as_a_batch_looks_is_not_loaded_again(start: Any) -> None:
    asked = Gate()
    encoder = Encoder(validate=lambda value: asked.wait() is None)
    with encoder.load.lease("v"):  # which is not asked of what was just loaded
        pass
    first = start(encoder, ["a", "v"])  # looks for "a", and waits as it looks at "v"
    asked.until_reached()
    encoder.load.warm_up(["a"])
    asked.open()
    assert values_of("av") == first.result(CAP)
    assert [["v"], ["a"]] == encoder.calls


@pytest.mark.parametrize("maxsize", [5, 50])
def test_positions_are_by_key_while_others_lease_and_evict(maxsize: int) -> None:
    load = Encoder(maxsize=maxsize).load

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(60):
            number = random.randrange(60)
            numbers = random.choices(range(60), k=random.randrange(20))
            act = random.choice([load, load, load.many, load.lease, load.evict, load.cache_clear])
            if act is load:
                assert values_of(numbers) == load(numbers)
            elif act == load.many:
                assert values_of(numbers) == load.many([(n,) for n in numbers])
            elif act == load.lease:
                with load.lease(number) as value:
                    assert [number, "m"] == value
            elif act == load.evict:
                load.evict(number)
            else:
                load.cache_clear()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(12) as pool:
            assert 12 == len([*pool.map(work, range(12), timeout=30.0)])
    finally:
        sys.setswitchinterval(before)
    assert not load.cache._store.batches and not load.cache._store.flights
    assert_consistent(load.cache)


# -- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConnectionError, WarmMissError])
def test_who_wanted_all_that_a_failed_call_was_given_gets_its_error(
    error: type[Exception], start: Any
) -> None:
    encoder = Gated("a", fails="a", by=error)
    first = start(encoder, ["a", "b"])
    encoder.reached("a")
    others = [start(encoder, ["b", "a"]) for _ in range(4)]
    waiting(encoder.load.cache, 4)
    encoder.open("a")
    errors = [each.exception(CAP) for each in [first, *others]]
    assert ["down"] * 5 == [str(each) for each in errors]
    assert 5 == len({id(each) for each in errors}), "each has an exception of its own"
    assert [["a", "b"]] == encoder.calls
    assert_consistent(encoder.load.cache)


def test_a_lease_of_all_that_a_failed_call_was_given_gets_its_error(start: Any) -> None:
    encoder = Gated("a", fails="a")
    first = start(encoder, ["a"])
    encoder.reached("a")
    second = start(encoder.load.warm_up, ["a"])
    waiting(encoder.load.cache, 1)
    encoder.open("a")
    assert ["down"] * 2 == [str(each.exception(CAP)) for each in (first, second)]
    assert [["a"]] == encoder.calls


def test_who_wanted_a_part_of_it_loads_that_itself(start: Any) -> None:
    encoder = Gated("a", fails="a")
    first = start(encoder, ["a", "b", "c"])
    encoder.reached("a")
    second = start(encoder, ["b", "d", "c"])

    def lease() -> Any:
        with encoder.load.lease("b") as value:
            return value

    begun(encoder, 2)
    third = start(lease)
    waiting(encoder.load.cache, 2)
    encoder.open("a")
    assert "down" == str(first.exception(CAP))
    assert values_of("bdc") == second.result(CAP)
    assert ["b", "m"] == third.result(CAP)
    loaded = [text for call in encoder.calls[1:] for text in call]
    assert ["b", "c", "d"] == sorted(loaded)
    assert_consistent(encoder.load.cache)


def test_an_error_comes_after_what_was_claimed_is_stored(start: Any) -> None:
    encoder = Gated("a", fails="a")
    first = start(encoder, ["a"])
    encoder.reached("a")
    second = start(encoder, ["b", "a"])
    begun(encoder, 2)
    waiting(encoder.load.cache, 1)
    encoder.open("a")
    assert ["down"] * 2 == [str(each.exception(CAP)) for each in (first, second)]
    assert encoder.load.contains("b")


def test_an_interrupted_batch_is_taken_over_by_who_waits(start: Any) -> None:
    gate, loads = Gate(), list[Any]()

    @warm(batch="texts")
    def encode(texts: list[str]) -> list[str]:
        loads.append(texts)
        if len(loads) == 1:
            gate.wait()
            raise KeyboardInterrupt
        return texts

    first: Future[Any] = start(encode, ["a", "b"])
    gate.until_reached()
    second: Future[Any] = start(encode, ["b", "a"])
    waiting(encode.cache, 1)
    gate.open()
    assert isinstance(first.exception(CAP), KeyboardInterrupt)
    assert ["b", "a"] == second.result(CAP)
    assert [["a", "b"], ["b", "a"]] == loads
    assert not encode.cache._store.batches
    assert_consistent(encode.cache)


def test_what_is_forbidden_to_one_is_not_forbidden_to_who_waits(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, tier = Gate(), DiskTier(tmp_path)

    def fetch(*args: object, **kwargs: object) -> None:
        looking.wait()

    monkeypatch.setattr(tier, "_fetch", fetch)
    encoder = Encoder(disk=tier, name="encode", code=False)

    def forbidden() -> Any:
        with no_load():
            return encoder(["a", "b"])

    first = start(forbidden)
    looking.until_reached()
    second = start(encoder, ["b", "a"])
    waiting(encoder.load.cache, 1)
    looking.open()
    assert isinstance(first.exception(CAP), WarmMissError)
    assert values_of("ba") == second.result(CAP)
    assert [["b", "a"]] == encoder.calls
    tier.close()


def test_a_value_that_cannot_be_stored_is_given_to_who_waits(start: Any) -> None:
    encoder = Gated("a", size=lambda value: 9)
    first = start(encoder, ["a", "b"])
    encoder.reached("a")
    second = start(encoder, ["b", "a"])
    waiting(encoder.load.cache, 1)
    encoder.open("a")
    assert isinstance(first.exception(CAP), CapacityError)
    assert values_of("ba") == second.result(CAP)
    assert [["a", "b"]] == encoder.calls
    assert_consistent(encoder.load.cache)


# -- what would wait for itself ----------------------------------------------------------------


def test_a_loader_asking_for_what_it_loads_gets_an_error_not_a_hang() -> None:
    @warm(batch="texts")
    def encode(texts: list[str]) -> list[str]:
        return encode([text[:-1] or "a" for text in texts])

    with pytest.raises(LoadCycleError, match=r"encode\('a'\)"):
        encode(["aa", "ab"])
    assert_consistent(encode.cache)


def test_a_loader_may_ask_for_other_elements() -> None:
    calls = []

    @warm(batch="numbers")
    def factorial(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        below = factorial([n - 1 for n in numbers if n])
        return [n * below.pop(0) if n else 1 for n in numbers]

    assert [6] == factorial([3])
    assert [[3], [2], [1], [0]] == calls
    assert [120, 2] == factorial([5, 2])
    assert [[5], [4]] == calls[4:]


def test_a_loader_asking_for_its_own_element_by_a_lease_gets_an_error() -> None:
    @warm(batch="texts")
    def encode(texts: list[str]) -> list[str]:
        with encode.lease(texts[0]) as value:
            return [value]

    with pytest.raises(LoadCycleError):
        encode(["a"])
    with pytest.raises(LoadCycleError), encode.lease("a"):
        pass
    assert_consistent(encode.cache)


def test_batches_that_wait_for_each_other_across_threads_get_an_error(start: Any) -> None:
    both = threading.Barrier(2, timeout=CAP)

    @warm(batch="texts")
    def left(texts: list[str]) -> list[str]:
        both.wait()
        return right(texts)

    @warm(batch="texts")
    def right(texts: list[str]) -> list[str]:
        both.wait()
        return left(texts)

    calls = [start(left, ["a", "b"]), start(right, ["b", "a"])]
    assert all(isinstance(call.exception(CAP), LoadCycleError) for call in calls)


def test_a_batch_and_a_load_of_one_key_that_wait_for_each_other_get_an_error(start: Any) -> None:
    both = threading.Barrier(2, timeout=CAP)

    @warm
    def load(name: str) -> list[str]:
        both.wait()
        return encode(["a", "b"])

    @warm(batch="texts")
    def encode(texts: list[str]) -> list[str]:
        both.wait()
        return [*load("x"), *texts][: len(texts)]

    calls = [start(load, "x"), start(encode, ["b", "a"])]
    assert all(isinstance(call.exception(CAP), LoadCycleError) for call in calls)


def test_loaders_that_wait_for_each_other_through_a_batch_get_an_error(start: Any) -> None:
    both = threading.Barrier(2, timeout=CAP)

    @warm
    def outer(name: str) -> list[str]:
        return encode([name])

    @warm(batch="names")
    def encode(names: list[str]) -> list[str]:
        both.wait()
        return [inner(name) for name in names]

    @warm
    def inner(name: str) -> str:
        both.wait()
        waiting(inner.cache, 1)  # the batch waits for this, and this closes the cycle
        return outer(name)[0]

    calls = [start(outer, "a"), start(inner, "a")]
    assert all(isinstance(call.exception(CAP), LoadCycleError) for call in calls)


def test_a_loop_that_joins_a_batch_that_needs_it_is_refused_and_goes_on(start: Any) -> None:
    cache: Cache[Any, Any] = LRUCache(1)
    ended, joining = [], threading.Event()

    async def end(value: str) -> None:
        ended.append(value)

    @warm(cache=cache, teardown=end)
    async def load(name: str) -> str:
        return name

    plain = warm(cache=cache)(lambda name: [name])

    @warm(batch="names")
    def encode(names: list[str]) -> list[Any]:
        return [plain(name) for name in names]

    async def join() -> None:
        joining.set()
        end = time.monotonic() + CAP
        while not standstill._behind:  # the other's loader waits for what is evicted
            assert time.monotonic() < end
        with pytest.raises(CapacityError) as refused:
            encode(["b"])
        assert refused.value.own

    with LoopThread() as one:
        one.run(lambda: load("a"))
        joined = one.begin(join)
        assert joining.wait(CAP)
        assert [["b"]] == start(encode, ["b"]).result(CAP)
        joined.result(CAP)
    assert ["a"] == ended and {} == standstill._behind


def test_a_loader_keeps_nothing_of_the_batches_that_it_has_asked_for() -> None:
    class Value:
        pass

    inner = warm(batch="names", maxsize=9)(lambda names: [Value() for _ in names])

    @warm
    def outer() -> bool:
        [value] = inner(["a"])
        known = weakref.ref(value)
        inner.evict("a")
        del value
        gc.collect()
        return known() is None

    assert outer()


# -- on an event loop --------------------------------------------------------------------------


class Going(AsyncEncoder):
    """An async encoder whose first load waits until it is told to go on."""

    def __init__(self, *, fails: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.go = asyncio.Event()
        self._fails = fails

    def _loader(self) -> Any:
        async def encode(texts: Any, model: str = "m") -> list[Any]:
            self.calls.append([*texts])
            if len(self.calls) == 1:
                await self.go.wait()
                if self._fails:
                    raise ConnectionError("down")
            return values_of(texts, model)

        return encode


def test_tasks_that_overlap_load_nothing_twice() -> None:
    async def main() -> None:
        encoder = Going()
        first = asyncio.create_task(encoder.load(["a", "b"]))
        await until(lambda: encoder.calls)
        second = asyncio.create_task(encoder.load(["b", "c", "a"]))
        await until(lambda: len(encoder.calls) == 2)
        encoder.go.set()
        assert values_of("ab") == await first
        assert values_of("bca") == await second
        assert [["a", "b"], ["c"]] == encoder.calls
        assert_consistent(encoder.load.cache)

    in_loop(main)


def test_a_cancelled_caller_does_not_cancel_the_load() -> None:
    async def main() -> None:
        encoder = Going()
        first = asyncio.create_task(encoder.load(["a", "b"]))
        await until(lambda: encoder.calls)
        second = asyncio.create_task(encoder.load(["b"]))
        await until(lambda: encoder.load.cache.stats().waits)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        encoder.go.set()
        assert values_of("b") == await second
        await until(lambda: not encoder.load.cache._store.batches)
        assert encoder.load.contains("a")
        assert [["a", "b"]] == encoder.calls
        assert_consistent(encoder.load.cache)

    in_loop(main)


def test_tasks_get_the_error_of_what_they_wanted_all_of() -> None:
    async def main() -> None:
        encoder = Going(fails=True)
        first = asyncio.create_task(encoder.load(["a", "b"]))
        await until(lambda: encoder.calls)
        second = asyncio.create_task(encoder.load(["a", "b", "c"]))
        third = asyncio.create_task(encoder.load(["b"]))
        await until(lambda: encoder.load.cache.stats().waits == 2)
        encoder.go.set()
        for each in (first, second):
            with pytest.raises(ConnectionError):
                await each
        assert values_of("b") == await third
        assert [["a", "b"], ["c"], ["b"]] == encoder.calls

    in_loop(main)


def test_a_lease_of_an_element_in_a_task_waits_for_the_batch() -> None:
    async def main() -> None:
        encoder = Going()
        first = asyncio.create_task(encoder.load(["a", "b"]))
        await until(lambda: encoder.calls)

        async def lease() -> Any:
            async with encoder.load.lease("b") as value:
                return value

        second = asyncio.create_task(lease())
        await until(lambda: encoder.load.cache.stats().waits)
        encoder.go.set()
        assert ["b", "m"] == await second
        assert values_of("ab") == await first
        assert [["a", "b"]] == encoder.calls

    in_loop(main)


def test_an_async_loader_asking_for_what_it_loads_gets_an_error() -> None:
    @warm(batch="texts")
    async def encode(texts: list[str]) -> list[str]:
        return await encode(texts)  # type: ignore[no-any-return]

    with pytest.raises(LoadCycleError):
        in_loop(lambda: encode(["a"]))


def test_what_a_closed_loop_left_behind_is_loaded_by_the_next() -> None:
    encoder = Going()

    async def abandon() -> None:
        asyncio.create_task(encoder.load(["a", "b"]))  # noqa: RUF006
        await until(lambda: encoder.calls)

    in_loop(abandon)
    assert not encoder.load.cache._store.batches
    assert values_of("ba") == encoder(["b", "a"])
    assert_consistent(encoder.load.cache)
