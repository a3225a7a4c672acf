"""Whatever is in a file: it is a value, or one kind of error; nothing hangs, and nothing runs."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from coded import coder_of, read
from hypothesis import example, given
from hypothesis import strategies as st

from warmcache._disk.codecs import CodecError, coder_named
from warmcache._disk.codecs.built_in import NAMES
from warmcache._disk.codecs.leaves import LEAVES
from warmcache._disk.codecs.tree import _BY_TAG

ROW = [1.5]
VALUE = [
    *(ROW, ROW, (1, {2}), {3: "x" * 600}, OrderedDict(a=b"y" * 600), Decimal("1.5"), 2**70),
    *(datetime(2024, 1, 1, tzinfo=UTC), UUID(int=1), range(3), Path("a"), 1j, np.float32(1.5)),
    *(np.arange(3), np.zeros(2, [("a", "f4")])),
]
WHOLE = {
    "json": coder_of(VALUE[:3]).dumps(VALUE[:3]),
    "npy": coder_of(np.arange(6.0)).dumps(np.arange(6.0)),
    "safetensors": coder_of(VALUE).dumps(VALUE),
}
TAGS = sorted({*_BY_TAG, "ndarray", "numpy", "tensor", "eval", "__import__", "os.system"})
names = st.sampled_from(sorted(NAMES))
# Whatever a tag may be given, itself made of tags.
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["__import__", "os", "<f8", "|O", "0x1", "x", "sNaN", "C", "1e9999999999"]),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(lambda tag, value: {"$": tag, "v": value}, st.sampled_from(TAGS), inner)
        | st.builds(lambda tag, value: {"$": tag, "v": value}, inner, inner)
    ),
    max_leaves=20,
)


def test_what_is_whole_can_be_read() -> None:
    assert {*WHOLE} == NAMES
    assert all(read(name, data) is not None for name, data in WHOLE.items())  # type: ignore[arg-type]


@pytest.mark.property
@given(names, st.binary(max_size=300))
def test_any_bytes_are_a_value_or_an_error_of_the_codec(name: str, data: bytes) -> None:
    read(name, data)
    read(name, (WHOLE[name] or b"")[:20] + data)


@pytest.mark.property
@given(names, st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 255)), max_size=4), st.data())
def test_so_are_those_of_which_some_are_changed(
    name: str, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    whole = bytearray(WHOLE[name] or b"")
    for at, byte in changes:
        whole[at % len(whole)] = byte
    read(name, bytes(whole[: data.draw(st.integers(0, len(whole)))] if not changes else whole))


def test_each_flipped_bit_is_a_value_or_an_error_of_the_codec() -> None:
    for name, data in WHOLE.items():
        reader: Any = coder_named(name)
        for at in range(len(data or b"") * 8):
            changed = bytearray(data or b"")
            changed[at // 8] ^= 1 << at % 8
            try:
                reader.loads(bytes(changed), (), {})
            except CodecError:
                pass


@pytest.mark.property
@given(trees)
@example({"$": "Decimal", "v": "1e999999999999999999999"})
@example({"$": "range", "v": ["0x0", "0x5", "0x0"]})
@example({"$": "again", "v": 0})
@example({"$": "numbered", "v": [0, {"$": "again", "v": 0}]})
@example({"$": "raw", "v": ["bytes", "../../etc/passwd"]})
@example({"$": ["tuple"], "v": []})
@example({"$": "tuple"})
@example({"$": "tuple", "v": [], "w": []})
@example({"$": "OrderedDict", "v": [[["a", 1]], {"__class__": 5}]})
@example({"$": "timezone", "v": [5, 0, 0]})
@example({"$": "set", "v": [[1]]})
def test_any_tree_is_a_value_or_an_error_of_the_codec(tree: Any) -> None:
    text = json.dumps(tree)
    read("json", text.encode())
    header = json.dumps({"__metadata__": {"warmcache": text}, "x": {"data_offsets": [0, 8]}})
    head = header.encode()
    read("safetensors", len(head).to_bytes(8, "little") + head + bytes(8))


@pytest.mark.parametrize(
    "text",
    [
        *('{"$":"int","v":"9' + "9" * 10**6 + '"}', "9" * 10**5, "[" * 10**5, '{"a":' * 10**5),
        *('"\\ud800', "NaN", "", "[1,]", '{"$":"zoneinfo","v":"../../x"}', "\ufeff[1]"),
    ],
    ids=lambda it: it[:15],
)
def test_what_is_made_to_take_long_does_not(text: str) -> None:
    read("json", text.encode("utf-8", "surrogatepass"))


def test_a_few_tuples_that_are_a_great_many_are_refused() -> None:
    tree: Any = {"$": "tuple", "v": [1]}
    for number in range(40):
        inner = {"$": "numbered", "v": [number, tree]}
        tree = {"$": "tuple", "v": [inner, {"$": "again", "v": number}]}
    assert read("json", json.dumps({"$": "set", "v": [tree]}).encode()) is None


def test_a_file_has_nothing_imported_but_what_its_types_are_of() -> None:
    before = {*sys.modules}
    for module in ("antigravity", "this", "zoneinfo", "torch.onnx"):
        for tag in (module, f"{module}.x"):
            for tree in ({"$": tag, "v": []}, {"$": "numpy", "v": [tag, "00"]}, {"$": tag}):
                read("json", json.dumps(tree).encode())
    assert not {"antigravity", "this", "torch"} & ({*sys.modules} - before)


def test_what_a_header_says_lies_within_its_file() -> None:
    for places in ([0, 9], [-1, 8], [4, 2], [0, 2**70], [True, 8], [0.0, 8], [0], "08", None):
        tree = json.dumps({"$": "raw", "v": ["bytes", "x"]})
        header = {"__metadata__": {"warmcache": tree}, "x": {"data_offsets": places}}
        head = json.dumps(header).encode()
        assert read("safetensors", len(head).to_bytes(8, "little") + head + bytes(8)) is None


def test_a_header_longer_than_its_file_is_refused() -> None:
    for length in (2, 100, 2**31, 2**64 - 1):
        assert read("safetensors", length.to_bytes(8, "little") + b"{") is None


def test_an_error_says_which_codec_and_why() -> None:
    for name in NAMES:
        with pytest.raises(
            CodecError, match=f"codec '{name}' cannot read what is stored: "
        ) as error:
            coder_named(name).loads(b"\xff", (), {})  # type: ignore[union-attr]
        assert error.value.__cause__ is not None


def test_an_empty_file_is_an_error_of_the_codec(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in NAMES:
        with pytest.raises(CodecError):
            coder_named(name).load(tmp_path / "file", (), {})  # type: ignore[union-attr]


def test_a_file_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    for name in NAMES:
        with pytest.raises(FileNotFoundError):
            coder_named(name).load(tmp_path / "file", (), {})  # type: ignore[union-attr]


def test_every_tag_that_is_written_is_read() -> None:
    assert {tag for tag, *_ in LEAVES.values()} <= {*_BY_TAG}
