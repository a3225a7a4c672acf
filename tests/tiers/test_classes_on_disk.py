"""Instances of a warm class lie on disk as its codec writes them, and in no other way."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from warmcache import DiskTier, no_load, warm

CAP = 20.0


class Names:
    """A codec of what has a name, made without the class's call."""

    def __init__(self) -> None:
        self.kind: Any = None

    def dump(self, value: Any, folder: Path) -> None:
        (folder / "name").write_text(value.name)

    def load(self, folder: Path, *args: Any, **kwargs: Any) -> Any:
        made = self.kind.__new__(self.kind)
        made.name = (folder / "name").read_text()
        return made


def test_instances_come_from_disk_as_the_codec_makes_them(tier: DiskTier) -> None:
    made, codec = [], Names()

    @warm(disk=tier, name="Model", codec=codec, maxsize=1, teardown="close")
    class Model:
        def __init__(self, name: str) -> None:
            made.append(name)
            self.name = name

        def close(self) -> None:
            self.name = "closed"

        def greeting(self) -> str:
            return f"hello {self.name}"

    codec.kind = Model
    first = Model("a")
    Model("b")
    assert "closed" == first.name
    with no_load():
        again = Model("a")
    assert isinstance(again, Model) and again is Model("a") is not first
    assert "hello a" == again.greeting()
    assert ["a", "b"] == made and 1 == tier.stats().hits
    assert ["disk"] == [entry.source for entry in Model.cache.entries()]  # type: ignore[attr-defined]
    assert Model.forget("a")  # type: ignore[attr-defined]
    Model("a")
    assert ["a", "b", "a"] == made


def test_an_edit_of_the_class_is_a_miss(tier: DiskTier) -> None:
    def model(word: str) -> Any:
        codec = Names()

        @warm(disk=tier, name="Model", codec=codec, maxsize=0)
        class Model:
            def __init__(self) -> None:
                self.name = word

        codec.kind = Model
        return Model

    assert "old" == model("old")().name == model("old")().name
    assert "new" == model("new")().name
    assert (1, 2) == (tier.stats().hits, tier.stats().writes)


def test_instances_are_dumped_as_they_leave_memory(tier: DiskTier) -> None:
    codec = Names()

    @warm(disk=tier, name="Model", codec=codec, maxsize=1, persist="evict")
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

    codec.kind = Model
    Model("a")
    assert 0 == tier.stats().writes
    Model("b")
    assert 1 == tier.stats().writes and "a" == Model("a").name


def test_another_process_has_an_instance_without_a_call(tmp_path: Path) -> None:
    program = tmp_path / "models.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys, time
            from warmcache import warm

            class Names:
                def dump(self, value, folder):
                    (folder / "name").write_text(value.name)

                def load(self, folder, name):
                    made = Model.__new__(Model)
                    made.name = (folder / "name").read_text()
                    return made

            @warm(disk=sys.argv[1], codec=Names())
            class Model:
                def __init__(self, name):
                    time.sleep(0.05)  # or it would not be worth keeping
                    print("made", flush=True)
                    self.name = name
            """
        )
    )
    run = "from models import Model; model = Model('ada'); print(model.name, type(model) is Model)"
    command = [sys.executable, "-c", run, str(tmp_path / "tier")]
    said = [
        subprocess.run(
            command, capture_output=True, text=True, timeout=CAP, check=True, cwd=tmp_path
        ).stdout
        for _ in range(2)
    ]
    assert ["made\nada True\n", "ada True\n"] == said


def test_a_codec_that_calls_its_class_is_told_that_it_waits_for_itself(
    tier: DiskTier, caplog: pytest.LogCaptureFixture
) -> None:
    class Calls(Names):
        def load(self, folder: Path, *args: Any, **kwargs: Any) -> Any:
            return Model(*args)

    @warm(disk=tier, name="Model", codec=Calls(), maxsize=1)
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

    Model("a"), Model("b")
    assert "a" == Model("a").name
    assert "a codec could not read: LoadCycleError" in caplog.text
    assert 0 == tier.stats().damaged, "nothing is wrong with the file"


def test_a_class_without_a_codec_is_refused(tier: DiskTier) -> None:
    for options in ({}, {"codec": "auto"}):
        with pytest.raises(TypeError, match=r"cannot keep instances of Names by itself: say codec"):
            warm(disk=tier, name="Names", **options)(Names)


def test_instances_may_be_pickled(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMCACHE_SIGNING_KEY", "a secret of sixteen or more")
    range_like: Any = warm(disk=tier, name="Range", codec="pickle", maxsize=0)(Span)
    monkeypatch.setattr(sys.modules[__name__], "Span", range_like)
    assert 5 == range_like(5).end == range_like(5).end
    assert 1 == tier.stats().hits


class Span:
    def __init__(self, end: int) -> None:
        self.end = end
