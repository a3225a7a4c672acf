"""What a loader gave lies on disk: for the next miss, and for other processes."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from disk_programs import Program

import warmcache
from warmcache import DiskTier, KeyingError, Load, WarmMissError, disabled, no_load, warm
from warmcache.testing import ManualClock, assert_consistent
from warmcache.tiers import disk_tier

CAP = 20.0


class Calls(list[Any]):
    """The calls of a loader that gives what it was called with."""

    def loader(self, tier: Any, **options: Any) -> Any:
        @warm(
            **{
                "policy": "lru",
                "maxsize": 8,
                "disk": tier,
                "name": "load",
                "code": False,
                **options,
            }
        )
        def load(*args: Any, **kwargs: Any) -> Any:
            self.append(args)
            return [*args, kwargs]

        return load

    def async_loader(self, tier: Any, **options: Any) -> Any:
        @warm(**{"disk": tier, "name": "load", "code": False, "loop_bound": False, **options})
        async def load(name: str) -> list[str]:
            self.append(name)
            return [name]

        return load


@pytest.fixture
def calls() -> Calls:
    return Calls()


# -- what lies there ---------------------------------------------------------------------------


def test_what_was_evicted_from_memory_comes_from_disk(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier)
    first = load(1, b=(2.0, b"3"))
    load.evict(1, b=(2.0, b"3"))
    assert [1, {"b": (2.0, b"3")}] == load(1, b=(2.0, b"3")) == first
    assert 1 == len(calls)
    stats = tier.stats()
    assert (1, 1, 1, 1) == (stats.hits, stats.misses, stats.writes, stats.entries)


def test_a_hit_knows_nothing_of_the_disk(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier)
    load(1)
    before = tier.stats()
    load(1), load(1)
    assert before == tier.stats()


def test_calls_that_differ_in_type_alone_are_told_apart(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier, typed=True)
    load(1), load(True), load(1.0)
    load.cache_clear()
    assert [[1, {}], [True, {}], [1.0, {}]] == [load(1), load(True), load(1.0)]
    assert 3 == len(calls)


def test_what_is_spread_out_by_name_is_part_of_the_call(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier, maxsize=0)
    assert [[{"a": 1}], [{"a": 2}], [{"b": 1}]] == [load(a=1), load(a=2), load(b=1)]


def test_another_process_has_it_without_a_load(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        """
        import sys, time
        from warmcache import warm

        @warm(disk=sys.argv[1], name="load")
        def load(name):
            time.sleep(0.05)  # or it would not be worth keeping
            print("loaded", flush=True)
            return {"name": name}

        print(load(sys.argv[2]))
        """,
    )
    assert ["loaded\n{'name': 'ada'}\n", "{'name': 'ada'}\n"] == program.in_turn("ada", "ada")


def test_of_processes_that_miss_at_once_one_loads(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        """
        import sys, time
        from warmcache import warm

        @warm(disk=sys.argv[1], name="load")
        def load(name):
            print("loaded", flush=True)
            time.sleep(0.5)
            return [name]

        sys.stdin.readline()
        assert ["ada"] == load(sys.argv[2])
        """,
    )
    assert "loaded\n" == "".join(program.at_once(*4 * ["ada"]))


class Sky:
    """What says what stands for it in other processes."""

    def __init__(self, name: str, calls: list[int]) -> None:
        self.name = name
        self.calls = calls

    def __warm_key__(self) -> str:
        return self.name

    def beam(self, channel: int) -> list[Any]:
        self.calls.append(channel)
        return [self.name, channel]


def test_a_method_is_known_by_what_its_instance_says(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sky, "beam", warm(disk=tier, name="beam", code=False)(Sky.beam))
    calls: list[int] = []
    assert ["a", 1] == Sky("a", calls).beam(1) == Sky("a", calls).beam(1)
    assert ["b", 1] == Sky("b", calls).beam(1)
    assert [1, 1] == calls
    assert Sky("a", calls).beam.forget(1) and not Sky("a", calls).beam.forget(1)  # type: ignore[attr-defined]


def test_a_method_of_what_says_nothing_cannot_be_told_from_others(tier: DiskTier) -> None:
    class Sky:
        @warm(disk=tier, name="beam")
        def beam(self) -> int:
            return 1

    with pytest.raises(KeyingError, match="self"):
        Sky().beam()


def test_a_cache_that_keeps_nothing_has_the_disk_all_the_same(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier, maxsize=0)
    assert [1, {}] == load(1) == load(1)
    assert 1 == len(calls)


def test_an_edit_is_a_miss_unless_the_code_is_trusted(tier: DiskTier) -> None:
    def loader(word: str, **options: Any) -> Any:
        return warm(disk=tier, name="load", **options)(lambda name: [word, name])

    assert ["old", "a"] == loader("old")("a")
    assert ["new", "a"] == loader("new")("a")
    assert ["old", "b"] == loader("old", code=False)("b")
    assert ["old", "b"] == loader("new", code=False)("b")
    assert ["new", "b"] == loader("new", code=False, version=2)("b")


def test_a_codec_of_the_users_gets_the_arguments_of_the_call(tier: DiskTier) -> None:
    class Text:
        def dump(self, value: object, folder: Path) -> None:
            (folder / "text").write_text(repr(value))

        def load(self, folder: Path, *args: Any, **kwargs: Any) -> Any:
            return (folder / "text").read_text(), args, kwargs

    @warm(disk=tier, name="load", codec=Text())
    def load(a: str, *, b: int) -> object:
        return object

    load("x", b=2)
    load.cache_clear()
    assert ("<class 'object'>", ("x",), {"b": 2}) == load("x", b=2)


# -- what is not kept --------------------------------------------------------------------------


def test_what_no_codec_keeps_exactly_is_not_kept_which_is_said_once(
    tier: DiskTier, caplog: pytest.LogCaptureFixture
) -> None:
    load = warm(disk=tier, name="load", maxsize=0)(lambda name: object())
    assert load("a") is not load("a")
    load("b")
    assert [
        "what load gives is not kept on disk: no safe codec keeps object exactly; pass codec="
    ] == (caplog.messages)
    assert (3, 0) == (tier.stats().unkept, tier.stats().writes)


def test_a_pickle_is_kept_where_that_was_asked_for(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMCACHE_SIGNING_KEY", "a secret of sixteen or more")
    load = warm(disk=tier, name="load", codec="pickle", maxsize=0)(lambda: slice(1, 2))
    assert slice(1, 2) == load() == load()
    assert 1 == tier.stats().hits


def test_a_pickle_that_another_has_signed_is_removed_and_counted(tmp_path: Path) -> None:
    for secret in ("a secret of sixteen or more", "another one of sixteen or more"):
        tier = DiskTier(tmp_path / "tier", signing_key=secret)
        load = warm(disk=tier, name="load", codec="pickle", maxsize=0)(lambda: slice(1, 2))
        assert slice(1, 2) == load()
        tier.close()
    assert (0, 1, 1) == (tier.stats().hits, tier.stats().damaged, tier.stats().writes)


def test_nothing_is_unpickled_that_is_shared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is shared, where nothing is unpickled"):
        warm(disk=DiskTier(tmp_path, shared=True), name="load", codec="pickle")(lambda: 1)()


def test_a_codec_of_the_users_that_runs_code_keeps_nothing_that_is_shared(tmp_path: Path) -> None:
    class Text:
        def dump(self, value: object, folder: Path) -> None: ...

        def load(self, folder: Path) -> None: ...

    tier = DiskTier(tmp_path, shared=True)
    load = warm(disk=tier, name="load", codec=Text(), maxsize=0)(lambda: 1)
    assert 1 == load() == load()
    assert (0, 2) == (tier.stats().writes, tier.stats().unkept)
    tier.close()


def test_what_runs_code_is_not_read_where_it_is_shared(tmp_path: Path) -> None:
    read = []

    class Text:
        safe = True

        def dump(self, value: object, folder: Path) -> None: ...

        def load(self, folder: Path) -> None:
            read.append(folder)

    codec = Text()
    tier = DiskTier(tmp_path, shared=True)
    load = warm(disk=tier, name="load", codec=codec, code=False, maxsize=0)(lambda: 1)
    load()
    codec.safe = False
    assert 1 == load() and [] == read
    assert tier.stats().refused
    tier.close()


@pytest.mark.parametrize("key", ["short", 5])
def test_a_signing_key_that_is_none_is_refused_at_once(key: Any, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match="signing_key"):
        DiskTier(tmp_path, signing_key=key)


@pytest.mark.parametrize("word", ["read", "write", "lock"])
def test_whatever_fails_on_the_disk_fails_no_load(
    word: str,
    calls: Calls,
    tier: DiskTier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*args: object, **kwargs: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tier._store, {"lock": "alone"}.get(word, word), fail)
    load = calls.loader(tier, maxsize=0)
    assert [1, {}] == load(1)
    assert [2, {}] == load(2)
    assert 2 == len(calls)
    assert 1 == len([line for line in caplog.messages if f"could not {word}" in line])
    assert "Traceback" not in caplog.text
    assert tier.stats().failures[word] >= 1


def test_after_a_failed_write_nothing_is_written_for_a_while(
    calls: Calls, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(*args: object, **kwargs: object) -> Any:
        tries.append(args)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tier._store, "write", fail)
    load = calls.loader(tier, maxsize=0)
    load(1), load(2)
    assert 1 == len(tries)
    now = time.monotonic()
    monkeypatch.setattr(disk_tier.time, "monotonic", lambda: now + disk_tier._PAUSE + 1)
    load(3)
    assert 2 == len(tries)


@pytest.mark.parametrize(
    ("code", "paused"),
    [(errno.EPIPE, False), (errno.ENOENT, False), (errno.EACCES, False), (errno.ENOSPC, True)],
)
@pytest.mark.parametrize("codec", ["pickle", "own"])
def test_a_value_that_its_codec_cannot_write_keeps_no_other_from_being_written(
    codec: Any, code: int, paused: bool, calls: Calls, tier: DiskTier
) -> None:
    class Failing:
        def dump(self, value: object, folder: Path) -> None:
            raise OSError(code, os.strerror(code))

        def load(self, folder: Path, *args: object) -> None: ...

        def __reduce__(self) -> Any:
            self.dump(0, Path())

    own = Failing()
    load = warm(disk=tier, name="own", codec=own if codec == "own" else "pickle", code=False)
    assert own is load(lambda: own)()
    assert {"write" if paused else "codec": 1} == tier.stats().failures
    calls.loader(tier)(1)
    assert (0 if paused else 1) == tier.stats().writes


@pytest.mark.parametrize("how", ["raises", "writes a link"])
def test_what_a_codec_cannot_write_is_no_failure_of_the_disk(
    how: str, tier: DiskTier, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def dump(self, value: object, folder: Path) -> None:
            if how == "raises":
                raise KeyError("layer")
            (folder / "link").symlink_to("elsewhere")

        def load(self, folder: Path, *args: object) -> None: ...

    load = warm(disk=tier, name="load", codec=Failing(), code=False)(lambda name: [name])
    assert [["ada"], ["bob"]] == [load("ada"), load("bob")]
    assert {"codec": 2} == tier.stats().failures
    [said] = caplog.messages
    assert said.startswith(f"{tier}: a codec could not write: ")
    assert how != "raises" or ", in dump\n" in said, "where it is mended"


def test_an_interrupt_while_it_is_kept_has_the_value_torn_down(tier: DiskTier) -> None:
    class Interrupted:
        def dump(self, value: object, folder: Path) -> None:
            raise KeyboardInterrupt

        def load(self, folder: Path) -> None: ...

    gone: list[object] = []
    load = warm(disk=tier, name="load", codec=Interrupted(), teardown=gone.append)(lambda: "value")
    with pytest.raises(KeyboardInterrupt):
        load()
    assert ["value"] == gone and 0 == len(load.cache)


# -- letting go --------------------------------------------------------------------------------


def test_forgetting_is_of_the_disk_and_evicting_is_of_memory(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier)
    load(1), load(2)
    load.evict(1)
    assert load.forget(1) and not load.forget(1)
    assert load.forget(2) and not load.contains(2)
    load(2), calls.pop()
    load.cache_clear()
    load(1), load(2)
    assert [(1,), (2,), (1,)] == calls
    load.cache_clear(disk=True)
    load(2)
    assert [(1,), (2,), (1,), (2,)] == calls


def test_who_keeps_nothing_on_disk_says_so(calls: Calls) -> None:
    load = warm(lambda: 1)
    for ask in (load.forget, lambda: load.cache_clear(disk=True)):
        with pytest.raises(TypeError, match="was decorated without disk="):
            ask()  # type: ignore[operator]


def test_time_counts_from_the_load_through_the_disk(
    calls: Calls, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = calls.loader(tier, ttl=3600)
    load(1)
    load.cache_clear()
    loaded = time.time()
    monkeypatch.setattr(disk_tier.time, "time", lambda: loaded + 3000)
    load(1)
    (entry,) = load.cache.entries()
    assert 1 == len(calls) and 0 < entry.ends_in < 601
    load.cache_clear()
    monkeypatch.setattr(disk_tier.time, "time", lambda: loaded + 3700)
    load(1)
    assert 2 == len(calls)


def test_what_comes_from_disk_is_validated(calls: Calls, tier: DiskTier) -> None:
    good = [True]
    load = calls.loader(tier, validate=lambda value: good[0], maxsize=0)
    load(1), load(1)
    assert 1 == len(calls)
    good[0] = False
    load(1)
    assert 2 == len(calls)


def test_scopes_pass_by_the_disk_or_read_it_alone(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier)
    load(1)
    load.cache_clear()
    with disabled():
        load(1)
    assert 2 == len(calls)
    with no_load():
        assert [1, {}] == load(1)
        with pytest.raises(WarmMissError, match="neither warm nor on disk"):
            load(2)
    assert 2 == len(calls)


@pytest.mark.parametrize("options", [{}, {"maxsize": 0}, {"size": lambda value: 1}, {"disk": None}])
def test_what_is_forbidden_before_a_loader_runs_is_no_failed_load(
    options: dict[str, Any],
    calls: Calls,
    tier: DiskTier,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "warmcache")
    load = warm(maxsize=0)(calls.append) if "disk" in options else calls.loader(tier, **options)
    with no_load(), pytest.raises(WarmMissError):
        load(1)
    stats = load.cache.stats()
    assert (0, 0, 1) == (stats.load_failures, stats.loads, stats.misses) and [] == calls
    assert "failed to load" not in caplog.text


@pytest.mark.parametrize("maxsize", [0, 8])
def test_a_loader_that_asked_for_what_is_forbidden_has_failed(
    maxsize: int, calls: Calls, tier: DiskTier
) -> None:
    inner = calls.loader(tier)

    @warm(maxsize=maxsize, disk=tier, name="outer", code=False)
    def outer() -> Any:
        with no_load():
            return inner(1)

    with pytest.raises(WarmMissError):
        outer()
    assert (0, 1) == tuple(each.cache.stats().load_failures for each in (inner, outer))


def test_what_is_on_disk_costs_what_reading_it_does_and_not_its_load(tier: DiskTier) -> None:
    clock, told = ManualClock(), list[Load]()

    @warm(disk=tier, name="load", code=False, timer=clock, on_load=told.append)
    def load() -> int:
        clock.advance(5.0)
        return 1

    load()
    (loaded,) = load.cache.entries()
    assert loaded.load_seconds == pytest.approx(tier._worth.reading.of(17), rel=1)
    assert [load.cache.stats().load_seconds] == [each.seconds for each in told] == [5.0]
    load.cache_clear()
    load()
    (read,) = load.cache.entries()
    assert 0 < read.load_seconds < 5.0 == load.cache.stats().load_seconds


def test_an_entry_says_whether_the_loader_or_the_disk_gave_it(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier)
    load(1)
    load.cache["by the mapping"] = load.cache[load.cache_key(2)] = 0
    assert ["loader", None, None] == [entry.source for entry in load.cache.entries()]
    assert "source" not in load.cache._repr_html_()
    load.evict(1)
    load(1), load(3)
    entries = load.cache.entries()
    assert [None, None, "disk", "loader"] == [entry.source for entry in entries]
    assert "disk" == entries[2].as_dict()["source"] and "source='disk'" in repr(entries[2])
    html = load.cache._repr_html_()
    assert all(f">{text}<" in html for text in ("source", "disk", "loader"))


def test_what_is_loading_has_no_source_yet(tier: DiskTier) -> None:
    seen: list[Any] = []

    @warm(disk=tier, name="load", code=False)
    def load() -> int:
        seen.extend(entry.source for entry in load.cache.entries())
        return 1

    load()
    assert [None] == seen


def test_what_an_interrupt_left_of_a_load_from_disk_is_torn_down(tier: DiskTier) -> None:
    gone: list[object] = []
    load = warm(disk=tier, name="load", code=False, teardown=gone.append)(lambda: "value")
    load()
    load.evict()
    gone.clear()
    from warmcache._core.drivers import at_once

    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as within:
        within.setattr(at_once, "unboxed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert ["value"] == gone and 1 == tier.stats().hits
    assert_consistent(load.cache)


# -- async -------------------------------------------------------------------------------------


async def test_an_async_loader_has_the_disk_in_a_thread(calls: Calls, tier: DiskTier) -> None:
    load = calls.async_loader(tier)
    assert 3 * [["a"]] == await asyncio.gather(load("a"), load("a"), load("a"))
    await load.cache_clear()
    assert ["a"] == await load("a") and 1 == len(calls)
    assert await load.forget("a") and not await load.forget("a")
    assert ["a"] == await load("a") and 2 == len(calls)
    await load.cache_clear(disk=True)
    with no_load():
        with pytest.raises(WarmMissError):
            await load("a")
    assert 0 == load.cache.stats().load_failures
    await load("a")
    assert 3 == len(calls)


async def test_what_comes_from_disk_is_validated_on_a_loop(calls: Calls, tier: DiskTier) -> None:
    good = [True]

    async def validate(value: object) -> bool:
        return good[0]

    load = calls.async_loader(tier, validate=validate, maxsize=0)
    await load("a"), await load("a")
    assert 1 == len(calls)
    good[0] = False
    await load("a")
    assert 2 == len(calls)


async def test_a_load_that_is_cancelled_as_it_is_kept_is_torn_down_and_leaves_the_key(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[object] = []

    async def teardown(value: object) -> None:
        await asyncio.sleep(0)
        gone.append(value)

    @warm(disk=tier, name="load", code=False, loop_bound=False, teardown=teardown)
    async def load() -> str:
        return "value"

    def interrupted(*args: object, **kwargs: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as within:
        within.setattr(tier, "_keep", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await load()
    assert ["value"] == gone
    assert [] == [*(tier.path / "locks").iterdir()]
    assert "value" == await load()
    await load.cache_clear()


# -- what is refused ---------------------------------------------------------------------------


def test_a_generator_is_refused_with_a_reason(tier: DiskTier) -> None:
    with pytest.raises(TypeError, match="is a generator, and disk= cannot keep what it gives"):

        @warm(disk=tier)
        def load():
            yield 1


def test_what_cannot_be_told_from_others_on_disk_is_named(calls: Calls, tier: DiskTier) -> None:
    with pytest.raises(KeyingError, match="args"):
        calls.loader(tier)(object())


def test_a_loader_of_the_main_program_needs_a_name(tier: DiskTier) -> None:
    def load() -> None: ...

    load.__module__ = "__main__"
    with pytest.raises(ValueError, match="say what it is called on disk, name="):
        warm(disk=tier)(load)


@pytest.mark.parametrize("option", [{"name": "x"}, {"code": False}, {"codec": "pickle"}])
def test_what_is_about_the_disk_needs_one(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="say disk=, too"):
        warm(**option)(lambda: 1)


# -- tiers by name -----------------------------------------------------------------------------


def test_a_tier_by_name_is_the_same_for_all_who_say_so(tmp_path: Path, calls: Calls) -> None:
    name = f"of {tmp_path.name}"
    load = calls.loader(name, name="a")
    with pytest.raises(ValueError, match=r"no disk tier is called .*: define it"):
        load(1)
    made = warmcache.disk(name, tmp_path / "tier", maxsize="1MiB")
    assert made is warmcache.disk(name) is warmcache.disk(name, tmp_path / "tier", maxsize="1MiB")
    load(1)
    assert 1 == made.stats().writes
    with pytest.raises(ValueError, match="is defined already"):
        warmcache.disk(name, tmp_path / "elsewhere")
    made.close()


def test_a_path_is_one_tier_for_all_who_say_it(tmp_path: Path, calls: Calls) -> None:
    from warmcache.tiers.shared_tiers import find_tier

    where = str(tmp_path / "tier")
    calls.loader(where, name="a", maxsize=0)(1)
    calls.loader(Path(where), name="a", maxsize=0)(1)
    assert (1, 1) == (find_tier(where).stats().writes, find_tier(where).stats().hits)
    find_tier(where).close()


def test_a_folder_that_is_not_safe_is_refused_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide").chmod(0o777)
    for refused in (
        lambda: DiskTier(tmp_path / "wide"),
        lambda: warm(disk=tmp_path / "wide")(lambda: 1),
    ):
        with pytest.raises(PermissionError):
            refused()


def test_a_tier_travels_as_its_folder_and_options(tmp_path: Path) -> None:
    import pickle

    tier = DiskTier(tmp_path / "tier", maxsize="1MiB", wait=1.0)
    twin = pickle.loads(pickle.dumps(tier))
    assert (tier.path, tier._options) == (twin.path, twin._options)
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(DiskTier(tmp_path / "tier", signing_key="a secret of sixteen or more"))


def test_a_loader_that_travels_has_its_disk_there_too(tmp_path: Path, calls: Calls) -> None:
    import cloudpickle

    @warm(disk=DiskTier(tmp_path / "tier"), name="load", code=False)
    def load(name: str) -> list[str]:
        return [name]

    load("ada")
    (tmp_path / "loader.pickle").write_bytes(cloudpickle.dumps(load))
    program = """
import pickle, sys
from warmcache import no_load
with open(sys.argv[1], "rb") as file:
    load = pickle.load(file)
with no_load():
    print(load("ada"))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "loader.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CAP, check=False)
    assert ("['ada']\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("persist", ["load", "evict"])
def test_what_is_raised_on_the_way_is_what_the_caller_gets(persist: Any, tier: DiskTier) -> None:
    @warm(key=str, disk=tier, name="load", code=False, persist=persist)
    def load(error: BaseException) -> None:
        raise error

    for error in (StopIteration(5), KeyError("a"), KeyboardInterrupt(), OSError(28, "full")):
        with pytest.raises(type(error)) as raised:
            load(error)
        assert error.args == raised.value.args
    assert_consistent(load.cache)


def test_a_validate_that_nobody_awaits_is_an_error_and_not_an_answer(tier: DiskTier) -> None:
    async def answer() -> bool:
        return False

    load = warm(disk=tier, name="load", code=False, maxsize=0, validate=lambda value: answer())(
        lambda: 1
    )
    load()
    with pytest.raises(TypeError, match="validate returned a coroutine"):
        load()


# -- frozen results ------------------------------------------------------------------------------


def test_what_was_read_is_frozen_as_what_was_loaded(calls: Calls, tier: DiskTier) -> None:
    load = calls.loader(tier, freeze=True)
    first = load(1, b=[2])
    load.evict(1, b=[2])
    again = load(1, b=[2])
    assert (1, {"b": (2,)}) == first == again and again is not first
    with pytest.raises(TypeError, match="does not support item assignment"):
        again[1]["b"] = 3
    assert 1 == len(calls) and 1 == tier.stats().hits


def test_who_does_not_freeze_reads_what_the_loader_gave(calls: Calls, tier: DiskTier) -> None:
    calls.loader(tier, freeze=True)(1, b=[2])
    assert [1, {"b": [2]}] == calls.loader(tier)(1, b=[2])
    assert 1 == len(calls)


def test_what_cannot_be_frozen_is_not_left_on_disk(calls: Calls, tier: DiskTier) -> None:
    from collections import OrderedDict

    @warm(disk=tier, name="load", code=False, freeze=True)
    def load() -> Any:
        calls.append(())
        return [OrderedDict(a=1)]

    for again in (1, 2):
        with pytest.raises(TypeError, match=r"result\[0\]: collections.OrderedDict"):
            load()
        assert (again, again, 0) == (len(calls), tier.stats().writes, tier.stats().entries)


async def test_so_it_is_of_an_async_loader(calls: Calls, tier: DiskTier) -> None:
    load = calls.async_loader(tier, freeze=True)
    assert ("a",) == await load("a")
    await load.evict("a")
    assert ("a",) == await load("a")
    assert ["a"] == calls and 1 == tier.stats().hits


@pytest.mark.parametrize("scope", ["maxsize=0", "lease of maxsize=0"])
def test_a_loader_that_keeps_nothing_freezes_what_it_reads(
    calls: Calls, tier: DiskTier, scope: str
) -> None:
    load = calls.loader(tier, freeze=True, maxsize=0)
    for _ in range(2):
        if scope == "maxsize=0":
            assert (1, {}) == load(1)
        else:
            with load.lease(1) as value:
                assert (1, {}) == value
    assert 1 == len(calls)
