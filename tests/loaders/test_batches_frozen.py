"""``freeze=True`` with ``batch=``: each value is frozen once, and a refusal says whose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from gates import CAP, Gate, waiting

from warmcache import FreezeError, disabled, warm


@pytest.mark.parametrize("maxsize", [0, 1, 8])
def test_frozen_elements_are_frozen_in_each_result(maxsize: int) -> None:
    encode = warm(batch="names", freeze=True, maxsize=maxsize)(lambda names: [[n] for n in names])
    assert [("a",), ("b",), ("a",)] == encode(["a", "b", "a"])
    assert [("b",), ("c",)] == encode(["b", "c"])


@pytest.mark.parametrize("ask", ["call", "lease", "disabled"])
def test_what_cannot_be_frozen_fails_its_batch_and_nothing_is_stored(ask: str) -> None:
    @warm(batch="names", freeze=True)
    def encode(names: list[str]) -> list[Any]:
        return [name if name == "a" else [object()] for name in names]

    wanted = r"^encode\(\) says freeze=True, and gave for 'b' of names= what .* result\[0\]: object"
    with (
        pytest.raises(FreezeError, match=wanted),
        disabled() if ask == "disabled" else nullcontext(),
    ):
        encode.lease("b").__enter__() if ask == "lease" else encode(["a", "b"])
    assert 0 == len(encode.cache)


class Once:
    """What is frozen by its hook, and can be so once."""

    def __warm_freeze__(self) -> Any:
        return Frozen(self)


class Frozen:
    """What it is then, of which nobody knows that it cannot be changed."""

    def __init__(self, of: Once) -> None:
        self.of = of


@pytest.mark.parametrize("maxsize", [0, 8])
def test_a_value_of_a_batch_is_frozen_once(maxsize: int) -> None:
    encode = warm(batch="names", freeze=True, maxsize=maxsize)(
        lambda names: [Once() for _ in names]
    )
    assert [Frozen, Frozen] == [type(each) for each in encode(["a", "b"])]
    with disabled():
        assert [Frozen] == [type(each) for each in encode(["a"])]
    with encode.lease("c") as value:
        assert Frozen is type(value)


async def test_so_it_is_of_an_async_batch() -> None:
    @warm(batch="names", freeze=True)
    async def encode(names: list[str]) -> list[Once]:
        return [Once() for _ in names]

    assert [Frozen, Frozen] == [type(each) for each in await encode(["a", "b"])]
    with disabled():
        assert [Frozen] == [type(each) for each in await encode(["a"])]
    async with encode.lease("c") as value:
        assert Frozen is type(value)  # type: ignore[comparison-overlap]


@pytest.mark.race
def test_who_waits_for_a_batch_has_what_it_has_frozen() -> None:
    gate = Gate()

    @warm(batch="names", freeze=True)
    def encode(names: list[str]) -> list[Once]:
        gate.wait()
        return [Once() for _ in names]

    def leased() -> Any:
        with encode.lease("b") as value:
            return value

    with ThreadPoolExecutor(2) as pool:
        batch = pool.submit(encode, ["a", "b"])
        gate.until_reached()
        one = pool.submit(leased)
        waiting(encode.cache, 1)
        gate.open()
        assert batch.result(CAP)[1] is one.result(CAP) and Frozen is type(one.result())
