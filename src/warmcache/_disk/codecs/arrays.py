"""numpy's arrays and scalars: in a tree, and an array by itself as a file of npy.

Kept are dtype, shape, contents, order (C or Fortran) and whether it may be written to; who shares
memory does so again. Not kept is a subclass, what refers to objects, what numpy does not describe
in full (dtypes of other packages, metadata, aligned structures), and whose elements overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from math import prod
from typing import Any, TypeAlias

from warmcache._texts import kind_of

from .blob_file import ALIGNED, Blob
from .coder import imported
from .tree import Decoder, Encoder, Maker, NotKept, Path

Dtype: TypeAlias = Any  # numpy's

# All that a file may say of a dtype: numbers, booleans, times, texts, bytes and rows of these.
_DTYPE = re.compile(r"[<>|](?:[biufc]\d{1,2}|[mM]8(?:\[\d*[A-Za-zμ]{1,2}\])?|[SUV]\d{1,9})")
_SAFETENSORS = {
    **{f"<f{size}": f"F{size * 8}" for size in (2, 4, 8)},
    **{f"{'|' if size == 1 else '<'}i{size}": f"I{size * 8}" for size in (1, 2, 4, 8)},
    **{f"{'|' if size == 1 else '<'}u{size}": f"U{size * 8}" for size in (1, 2, 4, 8)},
    "|b1": "BOOL",
    "<c8": "C64",
}
_SCALARS = ("AllInteger", "AllFloat", "Datetime")  # numpy's texts drop zeros at their end


def makers() -> Mapping[type, Maker]:
    """Return how numpy's values become trees. Where nobody has imported it, there are none."""
    numpy = imported("numpy")
    if numpy is None:
        return {}
    dtypes = map(numpy.dtype, "?" + "".join(numpy.typecodes[each] for each in _SCALARS))
    # Of two that are as long one alone comes back: long long is that of nobody.
    kinds = {each.type for each in dtypes if numpy.dtype(each.str).type is each.type}
    makers: dict[type, Maker] = dict.fromkeys(kinds, (_scalar, None))
    makers[numpy.ndarray] = (_array, True)
    return makers


# -- in a tree -------------------------------------------------------------------------


def _array(encoder: Encoder, array: Any, path: Path) -> Any:
    blob, order = blob_of(array, path)
    name = encoder.add(blob, path)
    parts = [name, _written(array.dtype), [*array.shape], order, bool(array.flags.writeable)]
    return {"$": "ndarray", "v": parts}


def _read_array(decoder: Decoder, parts: list[Any]) -> Any:
    name, dtype, shape, order, writeable = parts
    array = _of_bytes(decoder.blobs[name], _dtype(dtype), shape, order)
    array.flags.writeable = writeable
    return array


def _scalar(encoder: Encoder, value: Any, path: Path) -> Any:
    return {"$": "numpy", "v": [value.dtype.str, value.tobytes().hex()]}


def _read_scalar(decoder: Decoder, parts: list[Any]) -> Any:
    import numpy

    dtype = _dtype(parts[0])
    (value,) = numpy.frombuffer(bytes.fromhex(parts[1]), dtype=dtype)
    return value


READERS = {"ndarray": _read_array, "numpy": _read_scalar}


def blob_of(array: Any, path: Path) -> tuple[Blob, str]:
    """Return the bytes of an array, and in which order they are: its own if it has one.

    Raises:
        NotKept: it is not all in its bytes.
    """
    import numpy

    dtype, flags = array.dtype, array.flags
    if not _described(dtype):
        raise NotKept(path, f"{kind_of(array)} of {dtype!r}")
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    if overlaps_itself(array.strides, array.shape, dtype.itemsize):
        raise NotKept(path, f"{kind_of(array)} whose elements overlap")
    flat = (array.T if order == "F" else numpy.ascontiguousarray(array)).reshape(-1)
    start = array.__array_interface__["data"][0]
    blob = Blob(
        flat.view(numpy.uint8).data,
        array.nbytes,
        alignment=dtype.alignment,
        dtype=_SAFETENSORS.get(dtype.str) if order == "C" else None,
        shape=array.shape,
        span=span(start, array.strides, array.shape, dtype.itemsize),
        copied=not flags.forc,
    )
    return blob, order


def overlaps_itself(strides: Sequence[int], shape: Sequence[int], itemsize: int) -> bool:
    """Whether elements of an array lie in the same bytes, as strides of 0 or a moving window do."""
    extent = itemsize
    for step, n in sorted((abs(step), n) for step, n in zip(strides, shape, strict=True) if n > 1):
        if step < extent:
            return 0 not in shape
        extent += step * (n - 1)
    return False


def span(
    start: int, strides: Sequence[int], shape: Sequence[int], itemsize: int
) -> tuple[int, int] | None:
    """Return from where to where in memory an array lies; all in bytes. None: it is empty."""
    if 0 in shape:
        return None
    steps = [step * (n - 1) for step, n in zip(strides, shape, strict=True)]
    below = sum(step for step in steps if step < 0)
    return start + below, start + sum(steps) - below + itemsize


def check_shape(shape: Iterable[object], itemsize: int, data: memoryview) -> None:
    """See that bytes are as many as an array of this shape has.

    Raises:
        ValueError: they are not.
    """
    lengths = [n for n in shape if type(n) is int and n >= 0]
    if len(lengths) != len([*shape]) or prod(lengths) * itemsize != len(data):
        raise ValueError(f"{len(data)} bytes are no array of shape {shape}")


def _described(dtype: Dtype) -> bool:
    """Whether numpy makes the same dtype again of what is written of it."""
    if not dtype.itemsize or dtype.hasobject or not _bare(dtype):
        return False
    return bool(_dtype(_written(dtype)) == dtype)


def _bare(dtype: Dtype) -> bool:
    if dtype.kind not in "biufcmMSUV" or dtype.metadata or dtype.isalignedstruct:
        return False
    if dtype.subdtype:
        return _bare(dtype.subdtype[0])
    return all(_bare(field[0]) for field in (dtype.fields or {}).values())


def _written(dtype: Dtype) -> Any:
    import numpy

    return numpy.lib.format.dtype_to_descr(dtype) if dtype.fields else dtype.str


def _dtype(written: Any) -> Dtype:
    import numpy

    return numpy.lib.format.descr_to_dtype(_checked(written))


def _checked(written: Any) -> Any:
    """Return what numpy describes a dtype by, and see that it describes nothing else."""
    if isinstance(written, str):
        if not _DTYPE.fullmatch(written):
            raise ValueError(f"{written!r} is no dtype that would be written")
        return written
    return [_checked_field(*field) for field in written]


def _checked_field(name: Any, written: Any, *shape: Any) -> tuple[Any, ...]:
    names = name if isinstance(name, str) else tuple(name)
    return (names, _checked(written), *(tuple(each) for each in shape))


def _of_bytes(data: memoryview, dtype: Dtype, shape: Any, order: Any) -> Any:
    import numpy

    check_shape(shape, dtype.itemsize, data)
    flat = numpy.frombuffer(data, dtype=dtype) if len(data) else numpy.empty(0, dtype=dtype)
    return flat.reshape(shape, order=order)


# -- by itself -------------------------------------------------------------------------

_LENGTHS = 10  # bytes, the last two of which say how long the header is
_LONGEST = 8192  # bytes of a header: of those that are longer numpy refuses some


def npy_parts(array: Any) -> list[Any] | None:
    """Return what a file of npy consists of; None where that does not say all of an array.

    Raises:
        NotKept: it cannot be kept at all.
    """
    import numpy

    blob, _ = blob_of(array, ())
    if not array.flags.writeable:
        return None
    head = BytesIO()
    try:
        numpy.lib.format.write_array_header_1_0(
            head, numpy.lib.format.header_data_from_array_1_0(array)
        )
    except ValueError:  # it is too long, or names a field in another alphabet
        return None
    return [head.getvalue(), blob.data] if head.tell() <= _LONGEST else None


def read_npy(data: memoryview) -> Any:
    """Return the array of a file of npy, over its bytes.

    Raises:
        Exception: whatever comes of reading what is none.
    """
    end = _LENGTHS + int.from_bytes(data[_LENGTHS - 2 : _LENGTHS], "little")
    shape, order, dtype = _read_head(bytes(data[: min(end, _LONGEST + ALIGNED)]))
    return _of_bytes(data[end:], _dtype(dtype), shape, order)


@lru_cache(128)  # for numpy compiles it, and arrays of one loader are often alike
def _read_head(data: bytes) -> tuple[tuple[int, ...], str, Any]:
    """Return the shape, the order, and what is written of the dtype."""
    import numpy

    head = BytesIO(data)
    version = numpy.lib.format.read_magic(head)
    if version != (1, 0):
        raise ValueError(f"npy {version} is not what would be written")
    shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(head)
    if not _described(dtype):
        raise ValueError(f"{dtype} is not what would be written")
    return shape, "F" if fortran else "C", _written(dtype)
