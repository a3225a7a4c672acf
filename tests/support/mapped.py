"""Files that are mapped: on a disk, whatever the folder for temporary files is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = 4096


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """Give a folder beside the tests, where files are on the disk that these are on."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".mapped-") as folder:
        yield Path(folder)
