"""A progress bar for long work, where there are a terminal to show it and rich to draw it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def progress_bar(total: int, text: str = "") -> Iterator[Callable[..., object]]:
    """Show a bar; give what is told how far it is: ``advance=``, or a new ``description=``."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import Progress
        except ImportError:
            pass
        else:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                yield partial(bar.update, bar.add_task(text, total=total))
            return
    yield lambda **_: None


def track(items: Sequence[T], text: str) -> Iterator[T]:
    """Yield ``items``, showing how many have been."""
    with progress_bar(len(items), text) as tell:
        for item in items:
            yield item
            tell(advance=1)
