"""A value as a tree that JSON can hold, and back: each part of exactly the type that it had.

What JSON has, a tree has as it is: None, bool, float, str, small ints, lists, and dicts whose keys
are texts. All else is a dict with the one key that no such dict has, ``"$"``: ``{"$": tag, "v":
...}``. Large bytes, long texts and arrays are blobs, beside the tree, which names them.

A value is kept if each of its parts is of one of these types exactly, not of a subclass; else
there is a :class:`NotKept`, which says which part is not. What holds for the whole:

- What is one object is one object again, if anybody could tell by changing it: a list that two
  dicts have, two arrays that share memory, as tied weights do. The first pass finds such lists and
  dicts; where there are any, a second one numbers them. Arrays that overlap only in part are not
  kept. Nor is what contains itself.
- Tuples and frozensets are written wherever they stand, for nobody can tell; but a few of them,
  each twice in the next, would be written for ever, so the repeated ones are counted.

What is plain already, such as a list of a million texts, is not walked but looked at by the types
that occur in it, and stays the caller's own list. One of floats alone, as an embedding, is a blob.
"""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from warmcache._texts import kind_of

from .blob_file import Blob, text_of_json
from .leaves import LEAVES, Foreign

Node = Any
Path = tuple[Any, ...]
# How the tree of one type is made; and whether who has a value could change it, None for what has
# no parts.
Maker = tuple[Callable[["Encoder", Any, Path], Node], bool | None]

_DEEP = 50  # containers within one another: more could not be read where the stack is high
_REPEATED = 2**16
_LONG = 512  # characters or bytes: what is longer is a blob
_MANY = 64  # floats: as text they take three times the bytes, and twenty times as long
_SMALL_INT = 2**63
_PLAIN = frozenset([type(None), bool, int, float, str])


class NotKept(Exception):  # noqa: N818  # no error, but an answer
    """A value cannot be kept exactly, for ``what`` its part at ``path`` is."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)
        self.path, self.what = path, what

    def __str__(self) -> str:
        return f"result{''.join(f'[{key!r}]' for key in self.path)}: {self.what}"


# -- to a tree -------------------------------------------------------------------------


class Encoder:
    """One pass over one value."""

    def __init__(self, numbers: Mapping[int, int], extensions: Mapping[type, Maker]) -> None:
        self.blobs: dict[str, Blob] = {}
        self.shared: dict[int, int] = {}  # what was met again, by its address: a number for each
        self._numbers = numbers
        self._extensions = extensions
        self._names: dict[tuple[int, int], str] = {}  # of blobs, by where they lie
        self._seen: set[int] = set()
        self._inside: set[int] = set()
        self._repeated = 0

    def node(self, value: Any, path: Path) -> Node:
        """Return the tree of one part of the value."""
        kind = type(value)
        if kind is str:
            return value if len(value) <= _LONG else self._raw(value, path)
        if kind in _PLAIN:
            return value if kind is not int or _small(value) else _leaf(value, path)
        if kind is bytes:
            return _leaf(value, path) if len(value) <= _LONG else self._raw(value, path)
        if kind in LEAVES:
            return _leaf(value, path)
        maker = _CONTAINERS.get(kind) or self._extensions.get(kind)
        if maker is None:
            raise NotKept(path, kind_of(value))
        return self._container(value, path, *maker)

    def _container(self, value: Any, path: Path, make: Any, mutable: bool | None) -> Node:
        if mutable is None:
            return make(self, value, path)
        address = id(value)
        if address in self._inside:
            raise NotKept(path, "contains itself")
        if address in self._seen:
            if mutable:
                number = self.shared.setdefault(address, len(self.shared))
                return {"$": "again", "v": self._numbers.get(address, number)}
            self._repeated += not _plain(value)
            if self._repeated > _REPEATED:
                raise NotKept(path, "repeats the same tuples too often")
        if len(path) >= _DEEP:
            raise NotKept(path[:3], f"is more than {_DEEP} deep")
        self._seen.add(address)
        self._inside.add(address)
        node = make(self, value, path)
        self._inside.discard(address)
        if address in self._numbers:
            return {"$": "numbered", "v": [self._numbers[address], node]}
        return node

    def _items(self, values: Collection[Any], path: Path) -> Node:
        if _plain(values):
            if len(values) > _MANY and {*map(type, values)} == {float}:
                return self._floats(values, path)
            return values if type(values) in (list, tuple) else [*values]
        return [self.node(value, (*path, at)) for at, value in enumerate(values)]

    def _list(self, value: list[Any], path: Path) -> Node:
        return self._items(value, path)

    def _tuple(self, value: tuple[Any, ...], path: Path) -> Node:
        return {"$": "tuple", "v": self._items(value, path)}

    def _set(self, value: Collection[Any], path: Path) -> Node:
        return {"$": type(value).__name__, "v": self._items(value, path)}

    def _dict(self, value: dict[Any, Any], path: Path) -> Node:
        if {*map(type, value)} <= {str} and "$" not in value:
            if _plain(value.values()):
                return value
            return {key: self.node(each, (*path, key)) for key, each in value.items()}
        return {"$": "dict", "v": self._pairs(value, path)}

    def _pairs(self, value: Mapping[Any, Any], path: Path) -> list[Node]:
        return [
            [self.node(key, (*path, key)), self.node(each, (*path, key))]
            for key, each in value.items()
        ]

    def _ordered(self, value: OrderedDict[Any, Any], path: Path) -> Node:
        # Its attributes are what a state_dict of torch keeps versions in.
        attributes = self._dict(vars(value), (*path, "__dict__"))
        return {"$": "OrderedDict", "v": [self._pairs(value, path), attributes]}

    def _bytearray(self, value: bytearray, path: Path) -> Node:
        return self._raw(value, path)

    # -- blobs ---------------------------------------------------------------------------

    def _raw(self, value: Any, path: Path) -> Node:
        data = value.encode("utf-8", "surrogatepass") if type(value) is str else value
        name = self.add(Blob(data, len(data)), path)
        return {"$": "raw", "v": [type(value).__name__, name]}

    def _floats(self, values: Collection[float], path: Path) -> Node:
        data = struct.pack(f"<{len(values)}d", *values)
        blob = Blob(data, len(data), alignment=8, dtype="F64", shape=(len(values),))
        return {"$": "raw", "v": ["floats", self.add(blob, path)]}

    def add(self, blob: Blob, path: Path) -> str:
        """Add a blob, and return its name: where it stands in the value.

        What lies where another one lies is that, under its name.
        """
        if blob.span and not blob.copied and blob.span in self._names:
            return self._names[blob.span]
        wanted = ".".join(map(str, path)).encode("utf-8", "replace").decode() or "result"
        name, again = wanted, 1
        while name in self.blobs or name == "__metadata__":
            again += 1
            name = f"{wanted} ({again})"
        self.blobs[name] = blob
        if blob.span and not blob.copied:
            self._names[blob.span] = name
        return name


_CONTAINERS: dict[type, Maker] = {
    list: (Encoder._list, True),
    tuple: (Encoder._tuple, False),
    set: (Encoder._set, True),
    frozenset: (Encoder._set, False),
    dict: (Encoder._dict, True),
    OrderedDict: (Encoder._ordered, True),
    bytearray: (Encoder._bytearray, True),
}


def encode(value: Any, extensions: Mapping[type, Maker]) -> tuple[Node, dict[str, Blob]]:
    """Return a value's tree and its blobs.

    Args:
        value: what is to be kept.
        extensions: what makes the tree of further values, by their type.

    Raises:
        NotKept: some part of it is of another type.
    """
    encoder = Encoder({}, extensions)
    tree = encoder.node(value, ())
    if encoder.shared:
        encoder = Encoder(encoder.shared, extensions)
        tree = encoder.node(value, ())
    _check_apart(encoder.blobs.values())
    return tree, encoder.blobs


def _check_apart(blobs: Iterable[Blob]) -> None:
    """See that no two blobs share a part of their memory: changing one would change the other."""
    end = 0
    for span in sorted(blob.span for blob in blobs if blob.span and blob.nbytes):
        if span[0] < end:
            raise NotKept((), "has arrays that share a part of their memory")
        end = span[1]


def _leaf(value: Any, path: Path) -> Node:
    tag, parts, _ = LEAVES[type(value)]
    try:
        return {"$": tag, "v": parts(value)}
    except Foreign as kind:
        raise NotKept(path, f"{kind_of(value)} with {kind}") from None


def _small(number: int) -> bool:
    return -_SMALL_INT <= number < _SMALL_INT


def _plain(values: Collection[Any]) -> bool:
    kinds = {*map(type, values)}
    if not kinds <= _PLAIN:
        return False
    if int not in kinds:
        return True
    if len(kinds) == 1:
        return _small(min(values)) and _small(max(values))
    return all(type(each) is not int or _small(each) for each in values)


# -- and back --------------------------------------------------------------------------


class Decoder:
    """One reading of one tree. What a tag calls stands in a table, and is nothing of the file's."""

    def __init__(self, blobs: Mapping[str, memoryview], extensions: Mapping[str, Any]) -> None:
        self.blobs = blobs
        self._extensions = extensions
        self._numbered: dict[int, Any] = {}

    def decode(self, text: str) -> Any:
        """Return the value of a tree.

        Raises:
            Exception: whatever comes of reading what is no tree.
        """
        return json.loads(text, object_hook=self._of_node)

    def _of_node(self, node: dict[str, Any]) -> Any:
        tag = node.get("$")
        if tag is None:
            return node
        (value,) = (node[key] for key in node.keys() - {"$"})
        make = _BY_TAG.get(tag) or self._extensions[tag]
        return make(self, value)

    def _again(self, number: Any) -> Any:
        return self._numbered[number]

    def _number(self, parts: list[Any]) -> Any:
        number, value = parts
        if type(value) in (tuple, frozenset):  # whose hash, made of few, may take for ever
            raise ValueError("a tuple is written wherever it stands")
        self._numbered[number] = value
        return value

    def _raw(self, parts: list[Any]) -> Any:
        kind, name = parts
        return _RAW[kind](self.blobs[name])

    def _ordered(self, parts: list[Any]) -> Any:
        pairs, attributes = parts
        value: OrderedDict[Any, Any] = OrderedDict(map(_two, pairs))
        vars(value).update(attributes)
        return value


def _two(pair: list[Any]) -> tuple[Any, Any]:
    key, value = pair
    return key, value


_RAW: dict[str, Callable[[memoryview], Any]] = {
    "str": text_of_json,
    "bytes": bytes,
    "bytearray": bytearray,
    "floats": lambda data: [*struct.unpack(f"<{len(data) // 8}d", data)],
}


def _reads_leaf(make: Callable[[Any], Any]) -> Callable[[Decoder, Any], Any]:
    return lambda _, value: make(value)


_BY_TAG: dict[str, Callable[[Decoder, Any], Any]] = {
    **{tag: _reads_leaf(make) for tag, _, make in LEAVES.values()},
    "tuple": lambda _, items: tuple(items),
    "set": lambda _, items: set(items),
    "frozenset": lambda _, items: frozenset(items),
    "dict": lambda _, pairs: dict(map(_two, pairs)),
    "OrderedDict": Decoder._ordered,
    "numbered": Decoder._number,
    "again": Decoder._again,
    "raw": Decoder._raw,
}
