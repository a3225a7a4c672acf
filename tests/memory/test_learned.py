"""Sizes that are learned: per key, over evictions, and from one process to the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rigs import GiB, Model, Rig

from warmcache import warm
from warmcache.memory.learned_sizes import Learned
from warmcache.testing import ManualClock

H100 = "GPU 0 (NVIDIA H100); torch 2.13.0"
A100 = "GPU 0 (NVIDIA A100); torch 2.13.0"


def test_of_a_key_the_most_of_its_last_eight_loads_counts() -> None:
    learned = Learned(None, H100)
    assert learned.weight("a") is None
    for weight in [9, 1, 2, 3, 4, 3, 2, 1]:
        learned.note("a", weight, 0.5)
    assert 9 == learned.weight("a")
    learned.note("a", 1, 0.5)
    assert 4 == learned.weight("a")


def test_long_keys_are_told_apart_and_kept_short(tmp_path: Path) -> None:
    learned = Learned(tmp_path / "sizes.json", H100)
    learned.note("x" * 10_000 + "1", 1, 0)
    learned.note("x" * 10_000 + "2", 2, 0)
    assert [1, 2] == [learned.weight("x" * 10_000 + end) for end in "12"]
    assert (tmp_path / "sizes.json").stat().st_size < 500


def test_the_oldest_keys_make_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmcache.memory.learned_sizes._KEYS", 2)
    learned = Learned(None, H100)
    for key in "abac":
        learned.note(key, 1, 0)
    assert [1, None, 1] == [learned.weight(key) for key in "abc"]


def test_a_file_keeps_what_was_learned_for_the_same_circumstances(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sizes.json"
    Learned(path, H100).note("a", 7, 1.5)
    assert Learned(path, A100).weight("a") is None
    Learned(path, A100).note("a", 8, 1.5)
    assert [7, 8] == [Learned(path, where).weight("a") for where in (H100, A100)]
    assert ["sizes.json"] == [file.name for file in path.parent.iterdir()]


def test_a_file_has_what_each_of_the_last_eight_loads_of_a_key_took_and_for_how_long(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sizes.json"
    for load in range(1, 10):  # each in a process of its own
        Learned(path, H100).note("a", 10 * load, load + 0.5)
    Learned(path, H100).note("b", 3, 1.5)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert {"'a'": [[10 * load, load + 0.5] for load in range(2, 10)], "'b'": [[3, 1.5]]} == (
        kept[H100]
    )


def test_a_cache_writes_down_what_a_load_took_and_for_how_long(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "sizes.json"
    rig = Rig(learn=path, timer=clock)

    @warm(cache=rig.cache)
    def load(name: str) -> Model:
        clock.advance(2.5)
        return Model(rig.probe, 3 * GiB)

    load("a")
    (kept,) = json.loads(path.read_text(encoding="utf-8")).values()
    assert [[[3 * GiB, 2.5]]] == list(kept.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        json.dumps({H100: {"a": [[-1, 0]]}}),
        json.dumps({H100: {"a": ["much"]}}),
        json.dumps({H100: {"a": 3}}),
        json.dumps({H100: 3}),
        json.dumps({H100: {"a": [[float("inf"), 0]]}}),
        json.dumps({H100: {"a": [[1, float("nan")]]}}),
        "[" * 200_000,
        "\udcff",
    ],
)
def test_a_broken_file_is_set_aside_with_a_warning(
    text: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sizes.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    learned = Learned(path, H100)
    assert learned.weight("a") is None
    assert "it is set aside as sizes.json.broken" in caplog.text
    learned.note("a", 1, 0)
    assert 1 == Learned(path, H100).weight("a")


def test_a_folder_is_left_alone_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").mkdir()
    learned = Learned(tmp_path / "models", H100)
    for weight in (1, 2):
        learned.note("a", weight, 0)
    assert 2 == learned.weight("a")
    assert ["models"] == [file.name for file in tmp_path.iterdir()]
    assert 1 == len([text for text in caplog.messages if "sizes are not kept" in text])


def test_several_may_keep_their_sizes_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "sizes.json"
    one, other, elsewhere = Learned(path, H100), Learned(path, H100), Learned(path, A100)
    one.note("a", 1, 0)
    other.note("b", 2, 0)
    elsewhere.note("c", 3, 0)
    one.note("d", 4, 0)
    assert [1, 2, None, 4] == [Learned(path, H100).weight(key) for key in "abcd"]
    assert 3 == Learned(path, A100).weight("c")
    assert ["sizes.json"] == [file.name for file in tmp_path.iterdir()]


def test_what_others_learn_meanwhile_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "sizes.json"
    one, other = Learned(path, H100), Learned(path, H100)
    other.note("b", 2, 0)
    one.note("a", 1, 0)
    assert 2 == one.weight("b")


def test_a_key_that_has_no_text_is_not_learned() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    learned = Learned(None, H100)
    learned.note(Shy(), 1, 0)
    assert learned.weight(Shy()) is None


def test_a_file_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    learned = Learned(tmp_path / "file" / "sizes.json", H100)
    learned.note("a", 1, 0)
    learned.note("a", 2, 0)
    assert 2 == learned.weight("a")
    assert 1 == len([text for text in caplog.messages if "sizes are not kept" in text])
