"""What an array holds, as a part of a key, whatever it is laid out like in memory.

Two arrays of one library stand for the same if their dtypes, shapes and elements are the same, bit
for bit; so ``-0.0`` is not ``0.0``. Neither their strides count, nor the device a tensor is on,
nor which byte comes first on a machine: the digest is of elements in C order, little-endian.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Any

from .errors import KeyingError

_BYTES_LIKE = {
    *(("builtins", name) for name in ("bytes", "bytearray", "memoryview")),
    *(("array", "array"), ("mmap", "mmap")),
}
_FORMATS = {*"bBhHiIlLqQnNefd?c"}  # of elements that are numbers, in the machine's own order
# What numpy has elements of that are no references, and whose every bit counts.
_KINDS = {*"biufcSUmMV"}
_PADDED = {*"gG"}  # long doubles, of 80 bits or another machine's 128


def by_content(value: Any) -> Hashable:
    """Return what stands in a key for an array: its dtype, shape and contents.

    It is for ``key=``, and takes arrays of numpy, tensors of torch and what is like bytes::

        @warm(key={"image": by_content})

    The contents are a digest (blake2b) of all elements, taken at each call; a tensor that is on a
    GPU is copied to the CPU for it. None, for an argument that may be missing, is None.

    Raises:
        KeyingError: ``value`` is something else, or has elements that are objects.
    """
    if value is None:
        return None
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "numpy" and kind.__name__ in ("ndarray", "memmap"):
        return _of_numpy(value)
    if library == "torch" and kind.__name__ in ("Tensor", "Parameter"):
        return _of_torch(value)
    if (kind.__module__, kind.__name__) in _BYTES_LIKE:
        return _of_buffer(value)
    raise KeyingError(
        f"by_content() takes arrays of numpy, tensors of torch and bytes, not a "
        f"{kind.__module__}.{kind.__qualname__}; say with key= what stands for it"
    )


class ArrayContents:
    """The contents of an array as a part of a key: its library, dtype, shape and digest."""

    __slots__ = ("digest", "dtype", "library", "shape")

    def __init__(self, library: str, dtype: str, shape: tuple[int, ...], digest: str) -> None:
        self.library = library
        self.dtype = dtype
        self.shape = shape
        self.digest = digest

    @property
    def parts(self) -> tuple[str, str, tuple[int, ...], str]:
        """All that it is compared by."""
        return self.library, self.dtype, self.shape, self.digest

    def __eq__(self, other: object) -> bool:
        return self.parts == other.parts if isinstance(other, ArrayContents) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<{self.library} {self.dtype}{[*self.shape]} {self.digest[:12]}>"


class _Hasher:
    def __init__(self) -> None:
        import hashlib

        self._found = hashlib.blake2b(digest_size=20)

    def feed(self, elements: Any, width: int = 1) -> None:
        """Take in bytes of elements of ``width`` bytes, in the machine's order."""
        self._found.update(_little_endian(elements, width))

    def digest(self) -> str:
        return self._found.hexdigest()


def _little_endian(elements: Any, width: int) -> Any:
    if sys.byteorder == "little" or width == 1:
        return elements
    turned = bytearray(elements)
    for at in range(width):
        turned[at::width] = memoryview(elements)[width - 1 - at :: width]
    return turned


def _of_numpy(array: Any) -> ArrayContents:
    hasher = _Hasher()
    feed_numpy(array, hasher.feed)
    return ArrayContents("numpy", dtype_text(array.dtype), array.shape, hasher.digest())


def feed_numpy(array: Any, feed: Callable[[Any], object]) -> None:
    """Give ``feed`` the elements of ``array``, field by field: what is between them is no content.

    Raises:
        KeyingError: they are objects, or have bits of which nobody knows what they are.
    """
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            feed_numpy(array[name], feed)
        return
    if dtype.kind not in _KINDS or dtype.char in _PADDED:
        raise KeyingError(
            f"an array of dtype {dtype} cannot be part of a key: its elements are no plain bytes; "
            f"convert it, or say with key= what stands for it"
        )
    feed(array.astype(dtype.newbyteorder("<"), order="C", copy=False).reshape(-1).view("u1"))


def dtype_text(dtype: Any) -> str:
    """Return what tells a dtype of numpy from all others, the same on any machine.

    Raises:
        KeyingError: it has no such text, as numpy's ``StringDType``.
    """
    if dtype.names is not None:
        fields = [
            (name, dtype_text(field), *rest)
            for name, (field, *rest) in ((name, dtype.fields[name]) for name in dtype.names)
        ]
        return f"{fields}{dtype.itemsize}{'aligned' * dtype.isalignedstruct}"
    if dtype.subdtype is not None:
        return f"{dtype_text(dtype.subdtype[0])}{[*dtype.shape]}"
    if dtype.kind not in {*_KINDS, "O"}:
        raise KeyingError(f"the dtype {dtype} cannot be part of a key")
    owner = dtype.type.__module__
    others = "" if owner.partition(".")[0] == "numpy" else f"{owner}.{dtype.type.__qualname__} "
    return f"{'' if dtype.isnative else 'swapped '}{others}{dtype.str[1:]}"


def _of_torch(tensor: Any) -> ArrayContents:
    if str(tensor.layout) != "torch.strided" or tensor.is_quantized or tensor.is_meta:
        raise KeyingError(
            "a tensor that is sparse, quantized or without data cannot be part of a key; convert "
            "it, or say with key= what stands for it"
        )
    import ctypes

    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    hasher = _Hasher()
    if size := plain.numel() * plain.element_size():
        elements = (ctypes.c_char * size).from_address(plain.data_ptr())
        hasher.feed(elements, plain.element_size() // (2 if plain.is_complex() else 1))
    dtype = str(tensor.dtype).removeprefix("torch.")
    return ArrayContents("torch", dtype, tuple(tensor.shape), hasher.digest())


def _of_buffer(value: Any) -> ArrayContents:
    with memoryview(value) as view:
        if view.format not in _FORMATS:
            raise KeyingError(
                f"a buffer of format {view.format!r} cannot be part of a key: nobody knows which "
                f"of its bytes count"
            )
        hasher = _Hasher()
        plain = view.c_contiguous and view.nbytes
        hasher.feed(view.cast("B") if plain else view.tobytes(), view.itemsize)
        return ArrayContents(
            type(value).__name__, view.format, tuple(view.shape or ()), hasher.digest()
        )
