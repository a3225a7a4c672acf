"""Batches through the disk: each element is looked for there, and kept, by itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_programs import Program
from encoders import AsyncEncoder, Encoder, Unkeyable, values_of
from gates import CAP, Gate

from warmcache import (
    DiskTier,
    FreezeError,
    KeyingError,
    Load,
    WarmMissError,
    disabled,
    no_load,
    warm,
)
from warmcache.testing import ManualClock
from warmcache.tiers import disk_tier

OF_BOTH = pytest.mark.parametrize("kind", [Encoder, AsyncEncoder])


def encoder_of(kind: type[Encoder], tier: DiskTier, *args: Any, **options: Any) -> Encoder:
    return kind(*args, **{"disk": tier, "name": "encode", "code": False, **options})


@OF_BOTH
@pytest.mark.parametrize("maxsize", [0, 2, 8])
def test_what_is_on_disk_is_not_loaded(kind: type[Encoder], maxsize: int, tier: DiskTier) -> None:
    first = encoder_of(kind, tier, maxsize=maxsize)
    assert values_of("aba") == first(["a", "b", "a"])
    second = encoder_of(kind, tier, maxsize=maxsize)
    assert values_of("cbacd") == second(["c", "b", "a", "c", "d"])
    assert ([["a", "b"]], [["c", "d"]]) == (first.calls, second.calls)
    stats = tier.stats()
    assert (2, 4, 4) == (stats.hits, stats.misses, stats.writes)
    third = encoder_of(kind, tier)
    assert values_of("dcba") == third(["d", "c", "b", "a"])
    assert [] == third.calls


@OF_BOTH
def test_a_hit_knows_nothing_of_the_disk(kind: type[Encoder], tier: DiskTier) -> None:
    encoder = encoder_of(kind, tier)
    encoder(["a", "b"])
    before = tier.stats()
    assert values_of("ba") == encoder(["b", "a"])
    assert before == tier.stats()


@OF_BOTH
def test_a_call_of_one_element_finds_there_what_a_batch_has_kept(
    kind: type[Encoder], tier: DiskTier
) -> None:
    encoder = encoder_of(kind, tier)
    encoder(["a", "b"])
    other = encoder_of(kind, tier)

    async def lease() -> Any:
        async with other.load.lease("b") as value:
            return value

    if kind is AsyncEncoder:
        assert ["b", "m"] == asyncio.run(lease())
    else:
        with other.load.lease("b") as value:
            assert ["b", "m"] == value
    assert [] == other.calls


@OF_BOTH
def test_what_leaves_memory_is_kept_then_where_that_is_said(
    kind: type[Encoder], tier: DiskTier
) -> None:
    encoder = encoder_of(kind, tier, persist="evict", maxsize=2)
    assert values_of("abc") == encoder(["a", "b", "c"])
    assert 1 == tier.stats().writes
    assert values_of("abc") == encoder(["a", "b", "c"])
    assert [["a", "b", "c"]] == encoder.calls[:1] and ["a"] not in encoder.calls
    assert 1 == tier.stats().hits


def test_forget_takes_one_element(tier: DiskTier) -> None:
    encoder = encoder_of(Encoder, tier)
    encoder(["a", "b"])
    assert encoder.load.forget("a") and not encoder.load.forget("a")
    assert not encoder.load.forget(["b"]), "a batch is no element"
    assert not encoder.load.contains("a") and encoder.load.contains("b")
    encoder.load.cache_clear()
    encoder(["a", "b"])
    assert [["a", "b"], ["a"]] == encoder.calls
    encoder.load.cache_clear(disk=True)
    encoder(["a", "b"])
    assert [["a", "b"], ["a"], ["a", "b"]] == encoder.calls


def test_what_cannot_be_told_from_others_there_is_refused_before_anything_is_loaded(
    tier: DiskTier,
) -> None:
    for maxsize in (0, 8):
        encoder = encoder_of(Encoder, tier, maxsize=maxsize)
        for wrong in (Unkeyable(), object()):
            with pytest.raises(KeyingError):
                encoder(["a", wrong])
        assert [] == encoder.calls


@OF_BOTH
def test_validate_is_asked_of_what_comes_from_disk(kind: type[Encoder], tier: DiskTier) -> None:
    encoder_of(kind, tier)(["a", "b"])
    encoder = encoder_of(kind, tier, validate=lambda value: value[0] != "b" or bool(encoder.calls))
    assert values_of("ab") == encoder(["a", "b"])
    assert [["b"]] == encoder.calls


@OF_BOTH
def test_an_error_or_a_wrong_length_keeps_nothing(kind: type[Encoder], tier: DiskTier) -> None:
    def fail(texts: list[str]) -> None:
        if "bad" in texts:
            raise ConnectionError("down")

    encoder = encoder_of(kind, tier, fail)
    encoder(["a"])
    encoder.load.cache_clear() if kind is Encoder else asyncio.run(encoder.load.cache_clear())
    with pytest.raises(ConnectionError):
        encoder(["a", "b", "bad"])
    assert 1 == tier.stats().entries
    short: Any = warm(batch="texts", disk=tier, name="short")(lambda texts: texts[1:])
    with pytest.raises(ValueError, match="it returned 1, of which none is kept"):
        short(["a", "b"])
    assert 1 == tier.stats().entries


@OF_BOTH
def test_no_load_reads_and_disabled_passes_by(kind: type[Encoder], tier: DiskTier) -> None:
    encoder_of(kind, tier)(["a", "b"])
    for maxsize in (0, 8):
        encoder = encoder_of(kind, tier, maxsize=maxsize)
        with no_load():
            assert values_of("ba") == encoder(["b", "a"])
            with pytest.raises(
                WarmMissError, match=r"^encode\w*\('c'[^)]*\) is neither warm nor on"
            ):
                encoder(["a", "c"])
            with pytest.raises(WarmMissError, match=r"^encode\w*\('c'.* and 1 more are neither"):
                encoder([*"acdef"])
        with disabled():
            assert values_of("a") == encoder(["a"])
        assert [["a"]] == encoder.calls


@OF_BOTH
@pytest.mark.parametrize("maxsize", [0, 8])
def test_a_load_that_is_forbidden_has_not_failed(
    kind: type[Encoder], maxsize: int, tier: DiskTier
) -> None:
    encoder = encoder_of(kind, tier, maxsize=maxsize)
    with no_load(), pytest.raises(WarmMissError):
        encoder(["a", "b"])
    stats = encoder.load.cache.stats()
    assert (2, 0, 0) == (stats.misses, stats.loads, stats.load_failures)


def test_each_is_worth_its_share_of_the_seconds(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, kept = [0.0], []

    def keep(call: Any, value: Any, codec: Any, seconds: float) -> None:
        kept.append(seconds)

    monkeypatch.setattr(tier, "_keep", keep)
    monkeypatch.setattr("warmcache._loaders.through_disk.time.perf_counter", lambda: now[0])
    encoder = encoder_of(Encoder, tier, lambda texts: now.__setitem__(0, now[0] + 6.0))
    encoder(["a", "b", "c"])
    assert [2.0] * 3 == kept


@OF_BOTH
def test_what_is_told_of_what_came_from_disk_is_what_reading_it_took(
    kind: type[Encoder], tier: DiskTier
) -> None:
    encoder_of(kind, tier)(["a", "b"])
    clock, told = ManualClock(), list[Load]()
    encoder = encoder_of(
        *(kind, tier, lambda texts: clock.advance(600.0)), timer=clock, on_load=told.append
    )
    encoder(["a", "c", "b", "d"])
    seconds = {str(load.key).split("'")[1]: load.seconds for load in told}
    assert 300.0 == seconds["c"] == seconds["d"]
    assert 0 < seconds["a"] < 10 and 0 < seconds["b"] < 10
    assert 600 < encoder.load.cache.stats().load_seconds < 620


@pytest.mark.parametrize("word", ["read", "write", "lock"])
@OF_BOTH
def test_whatever_fails_on_the_disk_fails_no_load(
    kind: type[Encoder], word: str, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tier._store, {"lock": "alone"}.get(word, word), fail)
    encoder = encoder_of(kind, tier)
    assert values_of("ab") == encoder(["a", "b"])
    assert tier.stats().failures[word] >= 1


# -- other threads and processes ---------------------------------------------------------------


def test_locks_are_taken_in_one_order_and_no_more_than_a_few(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_tier, "_MOST_LOCKS", 6)
    held: list[str] = []
    most = [0]
    alone = tier._store.alone

    @contextlib.contextmanager
    def watched(key: str, wait: float) -> Iterator[bool]:
        assert held == sorted(held) and all(key > other for other in held)
        with alone(key, wait) as there:
            held.append(key)
            most[0] = max(most[0], len(held))
            yield there
            held.remove(key)

    monkeypatch.setattr(tier._store, "alone", watched)
    encoder = encoder_of(Encoder, tier, maxsize=None)
    assert values_of("abcdefgh") == encoder([*"abcdefgh"])
    assert 6 == most[0] and [] == held


def test_a_wait_for_locks_has_one_end_for_all_of_them(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits = [100.0], []

    @contextlib.contextmanager
    def in_vain(key: str, wait: float) -> Iterator[bool]:
        waits.append(wait)
        now[0] += 25.0
        yield False

    monkeypatch.setattr(disk_tier.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(tier._store, "alone", in_vain)
    assert values_of("abcd") == encoder_of(Encoder, tier)([*"abcd"])
    assert [60.0, 35.0, 10.0, 0.0] == waits


@pytest.mark.race
@OF_BOTH
def test_two_loaders_of_one_name_load_nothing_twice(kind: type[Encoder], tier: DiskTier) -> None:
    """They share nothing but the disk, as those of two processes do."""
    gate = Gate()
    first = encoder_of(kind, tier, lambda texts: gate.wait())
    second = encoder_of(kind, tier)
    results: dict[str, Any] = {}

    def call(name: str, encoder: Encoder, texts: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: results.update({name: encoder([*texts])}))
        thread.start()
        return thread

    threads = [call("first", first, "abc")]
    gate.until_reached()
    looked = tier.stats().misses
    threads.append(call("second", second, "dcb"))
    pause = threading.Event()
    for _ in range(5_000):
        if tier.stats().misses >= looked + 3:
            break
        pause.wait(0.001)
    gate.open()
    for each in threads:
        each.join(CAP)
    assert {"first": values_of("abc"), "second": values_of("dcb")} == results
    assert ([["a", "b", "c"]], [["d"]]) == (first.calls, second.calls)


PROGRAM = """
import sys, time
from warmcache import warm

@warm(disk=sys.argv[1], name="encode", batch="texts")
def encode(texts):
    print(*texts, flush=True)
    time.sleep(0.3)
    return [[text] for text in texts]

sys.stdin.readline()
texts = sys.argv[2].split(",")
assert [[text] for text in texts] == encode(texts)
"""


def test_processes_whose_batches_overlap_load_nothing_twice(tmp_path: Path) -> None:
    said = Program(tmp_path, PROGRAM).at_once("a,b,c", "c,b,a", "b,c,d", "d,a")
    assert ["a", "b", "c", "d"] == sorted(" ".join(said).split())


def test_another_process_has_each_element_without_a_load(tmp_path: Path) -> None:
    assert ["a b\n", "c\n", ""] == Program(tmp_path, PROGRAM).in_turn("a,b", "b,c,a", "c,b")


@pytest.mark.parametrize("change", [lambda texts: texts.pop(0), lambda texts: texts.append("z")])
def test_what_a_loader_does_to_its_list_is_its_own_affair(change: Any, tier: DiskTier) -> None:
    @warm(batch="texts", disk=tier, name="encode", code=False)
    def encode(texts: list[str]) -> list[Any]:
        values = values_of(texts)
        change(texts)
        return values

    assert values_of("ab") == encode(["a", "b"])
    encode.cache_clear()
    assert values_of("ba") == encode(["b", "a"])


def test_values_of_a_list_that_was_changed_are_refused_and_none_is_kept(tier: DiskTier) -> None:
    @warm(batch="texts", disk=tier, name="encode", code=False)
    def encode(texts: list[str]) -> list[Any]:
        if len(texts) > 1:
            texts.pop(0)
        return values_of(texts)

    with pytest.raises(ValueError, match="a list of 2 .* it returned 1"):
        encode(["a", "b"])
    assert 0 == tier.stats().entries
    assert values_of("a") == encode(["a"])


def test_equal_calls_there_that_differ_in_memory_do_not_wait_for_each_other(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[str] = []
    alone = tier._store.alone
    monkeypatch.setattr(
        tier._store, "alone", lambda key, wait: (locked.append(key), alone(key, wait))[1]
    )
    encode: Any = warm(batch="numbers", disk=tier, name="encode", code=False)(
        lambda numbers: numbers
    )
    encode([float("nan"), float("nan")])
    assert 1 == len(locked) == len({*locked})


def test_a_codec_is_given_an_element_and_its_value(tier: DiskTier) -> None:
    class Text:
        def dump(self, value: str, folder: Path) -> None:
            (folder / "text").write_text(value)

        def load(self, folder: Path, model: str, name: str, *, size: int) -> Any:
            return (folder / "text").read_text(), model, name, size

    @warm(disk=tier, name="encode", code=False, batch="names", codec=Text(), maxsize=0)
    def encode(model: str, names: list[str], *, size: int) -> list[str]:
        return [name.upper() for name in names]

    assert ["A", "B"] == encode("m", ["a", "b"], size=2)
    assert [("B", "m", "b", 2), ("A", "m", "a", 2)] == encode("m", ["b", "a"], size=2)


# -- frozen --------------------------------------------------------------------------------------


@pytest.mark.parametrize("maxsize", [0, 8])
def test_none_of_what_is_refused_stays_on_disk(maxsize: int, tier: DiskTier) -> None:
    loads: list[list[str]] = []

    @warm(batch="names", disk=tier, name="encode", code=False, freeze=True, maxsize=maxsize)
    def encode(names: list[str]) -> list[Any]:
        loads.append(names)
        return [[name] if name == "b" else [OrderedDict(of=name)] for name in names]

    for _ in range(2):
        with pytest.raises(FreezeError, match="for 'a' of names= what"):
            encode(["a", "b", "c"])
        assert 1 == tier.stats().entries
    assert [["a", "b", "c"], ["a", "c"]] == loads
    with pytest.raises(FreezeError, match="for 'c' of names= what"):
        encode.lease("c").__enter__()
    assert 1 == tier.stats().entries and [("b",)] == encode(["b"])


async def test_nor_of_an_async_batch(tier: DiskTier) -> None:
    @warm(batch="names", disk=tier, name="encode", code=False, freeze=True)
    async def encode(names: list[str]) -> list[Any]:
        return [OrderedDict(of=name) for name in names]

    with pytest.raises(FreezeError, match="for 'a' of names= what"):
        await encode(["a", "b"])
    assert 0 == tier.stats().entries
