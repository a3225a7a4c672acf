"""Of arrays and buffers, of the host and of a card, each byte is counted once."""

from __future__ import annotations

import mmap
from array import array

import numpy as np
from footprints import KIB, CudaArray, alive, kib, size

from warmcache.memory.footprint import footprint

# -- arrays and buffers of the host ----------------------------------------------------


def test_shared_memory_counts_once() -> None:
    values = kib(4)
    assert 4 * KIB == size([values, values])
    assert 4 * KIB == size([values, values[10:20], values.view(np.int32), values[::-1]])


def test_a_view_holds_all_of_what_it_views() -> None:
    assert 4 * KIB == size(kib(4)[10:20])
    assert 4 * KIB == size(kib(4).reshape(2, -1)[1].view(np.int16))


def test_buffers_count_however_they_are_seen() -> None:
    data = bytearray(5000)
    seen = [data, memoryview(data), memoryview(data)[7:9], np.frombuffer(data, np.uint8, 10)]
    for thing in [*seen, seen]:
        assert 5000 == size(thing)
    assert 5000 == size(bytes(5000))
    assert 5000 == size(np.frombuffer(bytes(5000), np.uint8))
    assert 8000 == size(array("d", range(1000)))
    assert KIB == size(memoryview(kib()))


def test_what_is_mapped_and_of_no_file_counts() -> None:
    mapped = mmap.mmap(-1, 4096)
    assert 4096 == size(mapped) == size([mapped, np.frombuffer(mapped, np.uint8)])
    mapped.close()
    assert size(mapped) is None


def test_a_buffer_can_be_resized_after_it_was_seen() -> None:
    data = bytearray(5000)
    assert 5000 == size(data)
    data.extend(b"more")  # a BufferError, as long as somebody has a view of it
    assert 5004 == size(data)


def test_views_that_were_made_from_addresses_overlap() -> None:
    values = kib(4)

    class Window:
        __array_interface__ = {
            **values.__array_interface__,
            "data": (values.__array_interface__["data"][0] + KIB, False),
            "strides": (2,),
            "shape": (2 * KIB,),
        }
        keep = values

    assert 5 * KIB - 1 == size([values, np.asarray(Window())])


def test_empty_ones_are_nothing() -> None:
    assert size([np.zeros(0), bytearray(), memoryview(b""), array("d")]) is None


def test_host_memory_is_not_on_a_card_nor_a_cards_on_the_host() -> None:
    assert size(kib(), "cuda:0") is None
    assert size(CudaArray(2, 4), "cpu") is None


# -- arrays of a card ------------------------------------------------------------------


def test_arrays_of_a_card_are_seen_by_their_interface() -> None:
    one = CudaArray(10, 100)
    other = CudaArray(10, 100, start=4596)
    assert 1000 == size(one, "cuda:0") == size(one, 0) == size(one, "cuda")
    assert 1500 == size([one, other, CudaArray(10, start=4096)], "cuda:0")
    strided = CudaArray(10, 10)
    strided.strides = (-100, 2)  # type: ignore[assignment]
    assert 900 + 18 + 1 == size(strided, "cuda:0")
    empty = CudaArray(0, 5)
    assert size([empty, CudaArray(5, start=0)], "cuda:0") is None
    empty.strides = (5, 1)  # type: ignore[assignment]
    assert size(empty, "cuda:0") is None


def test_memory_that_two_own_is_alive_as_long_as_one_of_them() -> None:
    arrays = [CudaArray(10), CudaArray(10, start=4100)]
    found = footprint(arrays, "cuda:0")
    assert found is not None
    assert (14, 14, 1) == (found.nbytes, alive(found), len(found.parts))
    del arrays[0]
    assert 14 == alive(found)
    del arrays[0]
    assert 0 == alive(found)


def test_an_array_that_tells_its_card_is_on_that_one_alone() -> None:
    values = CudaArray(8, device=1)
    assert (None, 8, 8) == (size(values, 0), size(values, 1), size(values, "cuda"))
