"""Whatever a header says, it is that of an entry or a miss, and no command fails on it."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from disk_stores import HEADER, SMALL, commit_file, expected, key_of, read, value_of, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmcache._disk import commit_file as format_
from warmcache._disk.checksum import KINDS
from warmcache._disk.exporting import export
from warmcache._disk.importing import Import
from warmcache._disk.store import DiskStore
from warmcache.cli import main

GOOD = {
    **HEADER._replace(key=key_of(1), size=SMALL, crc=zlib.crc32(value_of(1, SMALL)))._asdict(),
    "more": [],
}
WRONG = [-1, -0.5, 2**63, 10**300, 10**400, math.nan, math.inf, -math.inf, 1e308]
numbers = st.sampled_from(WRONG) | st.integers() | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=4) | st.sampled_from(["\ud800", "a\0b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
documents = values.map(json.dumps) | st.dictionaries(
    st.sampled_from([*GOOD, "colour"]), values, max_size=3
).map(lambda said: json.dumps({**GOOD, **said}))


def plant(folder: Path, text: str, name: object = 1) -> Path:
    """Write a commit file of this header, as somebody would who knows its format."""
    header = text.encode("utf-8", "surrogatepass")
    file = commit_file(folder, name)
    file.parent.mkdir(0o700, exist_ok=True)
    start = format_._START.pack(b"WARMDSK1", len(header), zlib.crc32(header))
    file.write_bytes(start + header + value_of(name, SMALL))
    return file


def nothing_fails(text: str) -> None:
    """Do all that can be done with a folder in which that header was planted."""
    with tempfile.TemporaryDirectory() as made:
        folder, other = Path(made, "store"), DiskStore(Path(made, "other"))
        store = DiskStore(folder, maxsize=10 * SMALL)
        write(store, 2)
        plant(folder, text)
        store.check()
        archive = Path(made, "all.tar")
        export(store.folder, archive, lambda _: True)
        with archive.open("rb") as raw:
            done = Import(raw, lambda _: True, now=2_000.0).write(other)
        assert done.entries == len([*store.entries()])
        store.find_damaged()
        store.listed()
        file = plant(folder, text)
        counts = store.counts
        if (found := read(store, 1)) is not None:
            assert expected(1, "inline") == found
        else:
            assert counts.misses + 1 == store.counts.misses
            # What a later version may have written is left to it.
            is_of_other = file.exists() and json.loads(text)["checksum"] not in KINDS
            assert is_of_other or not file.exists()
            assert counts.damaged + (not is_of_other) == store.counts.damaged
        plant(folder, text)
        (folder / "index.db").unlink(missing_ok=True)
        for name in range(2, 12):
            assert write(store, name) is not None
            assert expected(name, "inline") == read(store, name)
        plant(folder, text)
        assert write(store, 1) is not None
        plant(folder, text)
        store.evict()
        assert [] == [*store.entries()]
        store.close(), other.close()


def test_what_is_planted_can_be_read() -> None:
    nothing_fails(json.dumps(GOOD))


@pytest.mark.parametrize("number", WRONG, ids=str)
@pytest.mark.parametrize("field", ["size", "made", "seconds"])
def test_no_number_of_a_header_makes_anything_fail(field: str, number: float) -> None:
    nothing_fails(json.dumps({**GOOD, field: number}))


@pytest.mark.property
@given(documents)
@settings(max_examples=60)
@example("[" * 100_000)
@example(json.dumps({**GOOD, "checksum": "0"}))
@example('{"more":' + "[" * 900 + "]" * 900 + "}")
@example(json.dumps({**GOOD, "text": "\u20ac" * 300_000}, ensure_ascii=False))
@example(json.dumps({**GOOD, "colour": [1e15] * 60_000}).replace("1000000000000000.0", "1e15"))
@example(json.dumps({**GOOD, "tags": ["["]}).replace('"["', "[" * 900 + "]" * 900))
@example(json.dumps({**GOOD, "colour": "["}).replace('"["', "[" * 900 + "]" * 900))
def test_nothing_that_a_header_says_makes_anything_fail(text: str) -> None:
    nothing_fails(text)


def test_no_command_fails_on_what_was_planted(tmp_path: Path, capsys: Any) -> None:
    store = DiskStore(tmp_path / "store")
    write(store, 2)
    for command in ("ls", "count", "size", "export", "check --keep", "check", "ls", "evict"):
        for number, wrong in enumerate(WRONG):
            text = json.dumps({**GOOD, "key": key_of(number + 10), "seconds": wrong, "made": wrong})
            plant(tmp_path / "store", text, number + 10)
        name, *words = command.split()
        archive = [str(tmp_path / "all.tar")] if name == "export" else []
        assert main(["disk", name, str(tmp_path / "store"), *archive, *words]) in (0, 1)
    assert "evicted 1 entry" in capsys.readouterr().out
    store.close()
