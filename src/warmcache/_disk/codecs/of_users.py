"""A codec that users write, as one of our coders: it writes a folder, and says who failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmcache.errors import WarmcacheError

from .coder import Codec, is_of_the_disk, unreadable, unwritable


class OfUsers:
    """A user's codec. What it does is its own business, so it is safe only if it says ``safe``."""

    def __init__(self, codec: Codec) -> None:
        kind = type(codec)
        self.name = f"{kind.__module__}.{kind.__qualname__}"
        self.safe = getattr(codec, "safe", False) is True
        self._codec = codec

    def size_of(self, value: object, /) -> None:
        return None

    def dumps(self, value: object, /) -> None:
        return None

    def dump(self, value: object, path: Path, /) -> None:
        path.mkdir()
        try:
            self._codec.dump(value, path)
        except WarmcacheError:  # such as that it waits for itself
            raise
        except Exception as error:
            if is_of_the_disk(error):
                raise
            raise unwritable(self.name, value, error) from error

    def loads(self, data: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        raise unreadable(self.name, "it writes folders, and there is none")

    def load(self, path: Path, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        try:
            return self._codec.load(path, *args, **kwargs)
        except (OSError, WarmcacheError):
            raise
        except Exception as error:
            raise unreadable(self.name, error) from error
