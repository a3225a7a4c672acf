"""numpy's values: exactly, mapped where they are large, and never by a pickle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded import coder_of, read, through_bytes, through_file
from exactly import differs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view

from warmcache._disk.codecs import CodecError, coder_for, why_not

ROW = np.dtype([("a", "<f4"), (("title", "b"), ">i2", (2, 3)), ("c", [("d", "S3")])])
LARGE = 2**18  # float64: 2 MiB, which is mapped


OF_TEXTS = [np.dtypes.StringDType] if hasattr(np.dtypes, "StringDType") else []  # since numpy 2


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


ARRAYS = [
    *(np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.arange(24).reshape(2, 3, 4)),
    *(np.array(1.5), np.array([]), np.empty((0, 3), "i2"), np.empty((2, 0, 2), order="F")),
    *(np.arange(10)[::2], np.arange(10)[::-1], np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)),
    *(np.array(["a", "büro\0"]), np.array([b"a\0", b"bc"]), np.array([True, False])),
    *(np.array([1, 2], ">i4"), np.array([1j], "c8"), np.array([1], "g"), np.array([1], "e")),
    *(np.array(["2024-01-01", "NaT"], "M8[D]"), np.array([3], "m8[25us]")),
    *(np.zeros(3, ROW), np.zeros((2, 2), ROW, order="F"), np.zeros(2, "V5"), np.zeros(1, "U1000")),
    *(np.zeros(2, [("ü", "f4")]), np.zeros(2, [(f"field number {n}", "f4") for n in range(400)])),
    *(read_only(np.arange(3)), read_only(np.zeros(2, ROW)), np.array([np.nan, -0.0, np.inf])),
    *(np.zeros((1,) * 20), np.broadcast_to(np.float32(1), (1, 1)).copy()),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda it: f"{it.dtype} {it.shape}"[:40])
def test_an_array_comes_back_as_it_was(array: Any, tmp_path: Path) -> None:
    for at, value in enumerate((array, [array, 1], {"a": (array,), "b": array.copy()})):
        if coder_of(value).dumps(value) is not None:
            assert None is differs(value, through_bytes(value))
        assert None is differs(value, through_file(value, tmp_path / str(at)))


SCALARS = [
    *(np.float64(0.1), np.float32(0.1), np.float16(-0.0), np.int8(-1), np.uint64(2**64 - 1)),
    *(np.bool_(True), np.complex64(1j), np.longdouble(1) / 3, np.int64(1), np.float64("nan")),
    *(np.datetime64("2024-01-01T00:00:00.5"), np.timedelta64(5, "D"), np.datetime64("NaT", "s")),
]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda it: f"{type(it).__name__} {it}")
def test_a_scalar_of_numpy_stays_one(scalar: Any) -> None:
    value = [scalar, {"a": (scalar, scalar)}]
    back = through_bytes(value)
    assert type(scalar) is type(back[0])
    assert None is differs(str(value), str(back))
    assert scalar.dtype == back[0].dtype


class Sub(np.ndarray): ...


with_metadata = np.dtype("f4", metadata={"unit": "m"})


@pytest.mark.parametrize(
    "value",
    [
        *(np.array([1, "a"], object), np.zeros(2, [("a", "O")]), np.arange(3).view(Sub)),
        *(np.ma.masked_array([1], [True]), np.zeros(2, with_metadata), np.zeros(2, "V0")),
        *(np.zeros(1, [("a", with_metadata)]), np.zeros(2, np.dtype([("a", "i1")], align=True))),
        *(
            np.broadcast_to(np.arange(3), (2, 3)),
            sliding_window_view(np.arange(9), 3),
            np.rec.array([(1,)], dtype=[("a", "i4")]),
        ),
        *(
            np.str_("a\0"),
            np.bytes_(b"a\0"),
            np.zeros(1, ROW)[0],
            np.longlong(1),
        ),
        *(np.dtype("f4"), np.random.default_rng()),
        *(np.array(["a"], of_texts()) for of_texts in OF_TEXTS),
    ],
    ids=lambda it: f"{type(it).__name__} {getattr(it, 'dtype', '')}",
)
def test_what_is_not_exact_is_not_kept(value: Any) -> None:
    assert coder_for(value) is None
    assert coder_for([value]) is None
    assert why_not({"x": value}).startswith("result['x']: ")  # type: ignore[union-attr]


def test_an_array_is_a_file_that_numpy_reads(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3).T
    assert "npy" == coder_of(array).name
    through_file(array, tmp_path / "file")
    assert None is differs(array, np.load(tmp_path / "file", allow_pickle=False))


def test_what_is_done_to_the_dtype_of_one_is_not_done_to_the_next() -> None:
    value = np.zeros(2, [("a", "<i4")])
    one = through_bytes(value)
    one.dtype.names = ("b",)
    assert ("a",) == through_bytes(np.zeros(2, [("a", "<i4")])).dtype.names


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it, 1]], ids=["npy", "safetensors"])
def test_a_large_one_is_mapped_and_what_is_written_to_it_stays_out_of_the_file(
    wrap: Any, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    array = np.arange(float(LARGE))
    back = through_file(wrap(array), path)
    written = path.read_bytes()
    back = back if type(back) is np.ndarray else back[0]
    assert str(path) in Path("/proc/self/maps").read_text()
    assert type(back) is np.ndarray and back.flags.aligned
    back[:] = -1
    assert written == path.read_bytes()
    path.unlink()
    assert (back == -1).all()
    del back
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_a_small_one_is_read_and_keeps_no_file_open(tmp_path: Path) -> None:
    back = through_file(np.arange(3), tmp_path / "file")
    back[0] = 7
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert [7, 1, 2] == back.tolist()


def test_arrays_that_share_memory_share_it_again() -> None:
    base = np.arange(6.0)
    back = through_bytes({"a": base, "b": base.reshape(2, 3), "c": base.view("i8"), "d": base})
    assert back["a"] is back["d"]
    back["a"][0] = 9.0
    assert 9.0 == back["b"][0, 0] == back["c"].view("f8")[0]


def test_those_that_share_a_part_are_not_kept() -> None:
    base = np.arange(6.0)
    for other in (base[1:], base[::2], base[::-1]):
        assert "share a part" in str(why_not([base, other]))
    square = np.arange(9.0).reshape(3, 3)
    strided = square[:2, ::2], square[:2, ::2]
    assert coder_for(strided) is None  # each would be a copy
    halves = [base[:3], base[3:]]
    assert None is differs(halves, through_bytes(halves))


def test_whole_cubes_in_another_order_do_not_become_one() -> None:
    cube = np.arange(24).reshape(2, 3, 4)
    assert coder_for([cube, cube.transpose(1, 0, 2)]) is None


def test_an_array_with_objects_is_never_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([1, "a"], object), allow_pickle=True)
    assert read("npy", file.getvalue()) is None


def test_a_dtype_that_a_file_says_is_one_that_would_be_written() -> None:
    from warmcache._disk.codecs.blob_file import Blob, packed

    for dtype in ("O", "|O", "<f4,<f4", "numpy.float32", [["a", "|O"]], ["f4"], "<f9", "|S0", 5):
        tree = {"$": "ndarray", "v": ["x", dtype, [1], "C", True]}
        data = b"".join(packed(tree, {"x": Blob(bytes(8), 8)}))
        assert read("safetensors", data) is None, dtype


def test_a_shape_that_the_bytes_do_not_have_is_refused() -> None:
    from warmcache._disk.codecs.blob_file import Blob, packed

    for shape in ([3], [-2], [-1, -2], [2**62, 4], [True, 2], [2.0], ["2"], 2, [0], None):
        tree = {"$": "ndarray", "v": ["x", "<f4", shape, "C", True]}
        data = b"".join(packed(tree, {"x": Blob(bytes(8), 8)}))
        assert read("safetensors", data) is None, shape


def test_each_array_in_a_file_is_aligned(tmp_path: Path) -> None:
    value = [
        b"x" * 601,
        np.arange(3, dtype="i1"),
        np.arange(3.0),
        np.arange(3, dtype="i2"),
        "y" * 601,
    ]
    value += [np.zeros(3, "U1"), np.zeros(2, "g")]
    back = through_file(value, tmp_path / "file")
    assert None is differs(value, back)
    assert all(each.flags.aligned for each in back if type(each) is np.ndarray)


def test_files_of_a_mapped_array_are_no_longer_open_where_python_can(tmp_path: Path) -> None:
    import os
    import sys

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    back = through_file(np.zeros(LARGE), tmp_path / "file")
    kept = len(os.listdir("/proc/self/fd")) - before  # noqa: PTH208
    assert (0 if sys.version_info >= (3, 13) else 1) == kept
    del back
    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    coder = coder_of(np.arange(3))
    coder.dump(np.arange(3), tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError):
        coder.load(tmp_path / "link", (), {})


def test_what_is_no_file_makes_nobody_wait(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    coder = coder_of(np.arange(3))
    with pytest.raises(CodecError, match="is no file"):
        coder.load(tmp_path / "pipe", (), {})
    with pytest.raises((CodecError, OSError)):
        coder.load(tmp_path / "folder", (), {})


arrays = hnp.arrays(
    st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes(allow_subarrays=False)),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@pytest.mark.property
@given(arrays, st.booleans(), st.booleans())
def test_whatever_array_is_kept_comes_back_exactly(array: Any, turned: bool, fixed: bool) -> None:
    array = array.T if turned else array
    array.flags.writeable = not fixed
    for value in (array, {"a": [array, array[()] if array.shape == () else 1]}):
        coder = coder_for(value)
        if coder is None:
            continue
        data = coder.dumps(value)
        assert data is not None and len(data) == coder.size_of(value)
        assert None is differs(value, coder.loads(data, (), {}))
