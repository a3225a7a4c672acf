"""An array as a part of a key: what is in it, however it lies in memory."""

from __future__ import annotations

import array
import mmap
import sys
from typing import Any

import numpy as np
import pytest

import warmcache
from warmcache import KeyingError, by_content
from warmcache._disk.canonical import encode

BASE = np.arange(24, dtype="i4").reshape(4, 6)
STRUCTURED = np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8]})


def _padded(filled_with: int) -> np.ndarray[Any, Any]:
    """Return a structured array whose bytes between the fields are these."""
    made = np.frombuffer(bytes([filled_with]) * 32, STRUCTURED).copy()
    made["a"], made["b"] = 1, 2.0
    return made


SAME = [
    (BASE, BASE.copy()),
    (BASE, np.asfortranarray(BASE)),
    (BASE[::2, ::3], BASE[::2, ::3].copy()),
    (BASE[::-1], np.ascontiguousarray(BASE[::-1])),
    (BASE.T, BASE.T.copy()),
    (np.broadcast_to(np.float32(1), (3,)), np.ones(3, "f4")),
    (_padded(1), _padded(2)),
    (np.array(5), np.array(5)),
    (np.zeros((0, 3)), np.zeros((0, 3))),
    (np.array(["a", "bc"]), np.array(["a", "bc"])),
    (b"abc", b"".join([b"a", b"bc"])),
    (memoryview(b"abcd")[::2], memoryview(b"ac")),
    (array.array("h", [1, 2]), array.array("h", [1, 2])),
]
OTHERS = [
    np.zeros(4),
    np.zeros((2, 2)),
    np.zeros((4, 1)),
    np.zeros(4, "i8"),
    np.zeros(4, "f4"),
    -np.zeros(4),
    np.zeros(4, ">f8"),
    np.zeros(8, "i4"),
    np.zeros(4, "M8[s]"),
    np.zeros(4, "M8[ms]"),
    np.zeros(4, [("a", "f8")]),
    np.zeros(4, [("b", "f8")]),
    np.array(["a", "bc"]),
    np.array(["ab", "c"]),
    BASE,
    BASE.T,
    bytes(32),
    bytearray(32),
    memoryview(bytes(32)),
    memoryview(bytes(32)).cast("B", (4, 8)),
    array.array("d", [0.0] * 4),
    array.array("q", [0] * 4),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_contents_are_the_same(one: Any, other: Any) -> None:
    assert by_content(one) == by_content(other)
    assert hash(by_content(one)) == hash(by_content(other))
    assert encode(by_content(one)) == encode(by_content(other))


def test_another_type_dtype_shape_or_element_is_another() -> None:
    parts = [by_content(each) for each in OTHERS]
    assert len(OTHERS) == len({*parts})
    assert len(OTHERS) == len({encode(each) for each in parts})


def test_of_a_machine_of_the_other_byte_order_the_digest_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = by_content(array.array("i", [1, 2, 3]))
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    there = by_content(array.array("i", [1 << 24, 2 << 24, 3 << 24]))
    assert here == there


def test_what_is_mapped_is_what_is_in_the_file(tmp_path: Any) -> None:
    file = tmp_path / "a.npy"
    np.save(file, BASE)
    assert by_content(np.load(file, mmap_mode="r")) == by_content(BASE)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=1) as mapped:
        assert by_content(mapped) == by_content(mapped)


def test_nothing_is_written_into_it_and_it_may_be_read_only() -> None:
    frozen = BASE.copy()
    frozen.flags.writeable = False
    by_content(frozen)
    assert (frozen == BASE).all()


def test_none_is_none() -> None:
    assert by_content(None) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "takes arrays of numpy, tensors of torch and bytes, not a builtins.list"),
        ("a", "not a builtins.str"),
        (np.array([object()]), "an array of dtype object cannot"),
        (np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]), "an array of dtype object cannot"),
        (np.zeros(1, "longdouble"), "an array of dtype .*128 cannot"),
        (np.ma.masked_array([1, 2], [True, False]), "not a numpy.ma.*MaskedArray"),
        (np.zeros(2).view(np.recarray), "not a numpy.*recarray"),
        (memoryview(np.array([(1, 2)], dtype="i4,i4")), "a buffer of format 'T"),
    ],
)  # fmt: skip
def test_what_has_contents_that_nobody_knows_is_refused(value: Any, message: str) -> None:
    with pytest.raises(KeyingError, match=message):
        by_content(value)


def test_its_text_says_what_it_is() -> None:
    assert repr(by_content(BASE)).startswith("<numpy i4[4, 6] ")


def test_an_array_is_a_key_in_memory() -> None:
    loaded: list[Any] = []

    @warmcache.warm(key={"image": by_content, "mask": by_content})
    def load(image: Any, mask: Any = None) -> object:
        loaded.append(image)
        return object()

    assert load(BASE) is load(BASE.copy())
    assert load(BASE) is not load(BASE + 1)
    assert load(BASE, BASE) is not load(BASE)
    assert 3 == len(loaded)
    assert str(load.cache_key(BASE)).startswith("load(<numpy i4[4, 6] ")


@pytest.mark.models
def test_a_tensor_is_what_is_in_it() -> None:
    import torch

    base = torch.arange(6.0).reshape(2, 3)
    assert by_content(base) == by_content(base.clone())
    assert by_content(base.T) == by_content(base.T.contiguous()) != by_content(base)
    assert by_content(base[:, ::2]) == by_content(base[:, ::2].clone())
    assert by_content(base) == by_content(torch.nn.Parameter(base))
    turned = torch.tensor([1j]).conj()
    assert by_content(turned) == by_content(torch.tensor([complex(0, -1)]))
    others = [
        *(torch.zeros(4, dtype=getattr(torch, each)) for each in ("float32", "int32", "bfloat16")),
        *(torch.zeros(2, 2), torch.zeros(4, 1), torch.zeros(()), torch.zeros(0), -torch.zeros(4)),
        *(torch.zeros(4, dtype=torch.float8_e4m3fn), torch.zeros(4, dtype=torch.float8_e5m2)),
        torch.zeros(4).numpy(),
    ]
    assert len(others) == len({*map(by_content, others)})
    refused = [torch.eye(2).to_sparse(), torch.zeros(2, device="meta")]
    for each in refused:
        with pytest.raises(KeyingError, match="sparse, quantized or without data"):
            by_content(each)
    assert encode(torch.float16) != encode(torch.bfloat16)
    assert encode(torch.device("cpu")) != encode(torch.device("cuda", 0))
