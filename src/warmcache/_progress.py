"""A progress bar for long work: in a terminal, where rich is there to draw it, or in a notebook."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

_PERIOD = 0.1  # seconds between two looks of a notebook's bar


@contextmanager
def progress_bar(total: int, text: str = "") -> Iterator[Callable[..., object]]:
    """Show a bar; give what is told how far it is: ``advance=``, or a new ``description=``."""
    if _in_notebook():
        bar = _NotebookBar(total, text)
        try:
            yield bar.tell
        finally:
            bar.end()
        return
    if sys.stderr is not None and sys.stderr.isatty():  # it may be closed
        try:
            from rich.console import Console
            from rich.progress import Progress
        except ImportError:
            pass
        else:
            with Progress(console=Console(stderr=True), transient=True) as drawn:
                yield partial(drawn.update, drawn.add_task(text, total=total))
            return
    yield lambda **_: None


def track(items: Sequence[T], text: str) -> Iterator[T]:
    """Yield ``items``, showing how many have been."""
    with progress_bar(len(items), text) as tell:
        for item in items:
            yield item
            tell(advance=1)


def display(bundle: dict[str, str], **options: Any) -> Any:
    """Have IPython, which runs, display texts by their kind."""
    shown: Any = importlib.import_module("IPython.display")
    return shown.display(bundle, raw=True, **options)


def _in_notebook() -> bool:
    """Whether IPython runs in a kernel: what is displayed is seen in a browser, or an editor."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class _NotebookBar:
    """One that a browser draws; that of rich wants ipywidgets there, and warns."""

    def __init__(self, total: int, text: str) -> None:
        self._total, self._text = total, text
        self._done, self._shown_at = 0, time.monotonic()
        self._handle = display(self._bundle(), display_id=True)

    def tell(self, *, advance: int = 0, description: str | None = None) -> None:
        self._done += advance
        self._text = self._text if description is None else description
        if time.monotonic() - self._shown_at >= _PERIOD:
            self._shown_at = time.monotonic()
            self._handle.update(self._bundle(), raw=True)

    def end(self) -> None:
        """Leave nothing behind."""
        self._handle.update({"text/plain": "", "text/html": ""}, raw=True)

    def _bundle(self) -> dict[str, str]:
        from html import escape

        bar = f'<progress value="{self._done}" max="{self._total}"></progress>'
        text = f"{self._text} {self._done:,} of {self._total:,}".strip()
        return {"text/plain": text, "text/html": f"{bar} {escape(text)}"}
