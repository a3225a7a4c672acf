"""SIGTERM, by which many engines end their workers: close first, then end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from .after_fork import begins_anew_in_child, in_child
from .at_exit import PATIENCE, as_patience, end

_installed: _Handler | None = None
_asked_here = False


@in_child
def _not_asked_yet() -> None:
    global _asked_here
    _asked_here = False


class _Handler:
    """Closes everything, then does what was done before."""

    def __init__(self, previous: Any, patience: float) -> None:
        self.previous = previous
        self.patience = patience
        self.active = True
        self.closing = False
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Note, in a forked child, that it is not closing, though its parent may be."""
        self.closing = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.active and not self.closing:
            self.closing = True
            try:
                end(self.patience)
            finally:
                self.closing = False
        if callable(self.previous):
            self.previous(number, frame)
        else:  # so that whoever waits for this process is told what ended it
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def undo(self) -> None:
        """Have SIGTERM do what it did before; to be called in the main thread, too."""
        self.active = False
        current: object = signal.getsignal(signal.SIGTERM)
        if current is self:
            signal.signal(signal.SIGTERM, self.previous)


def close_on_sigterm(*, patience: float = PATIENCE) -> Callable[[], None]:
    """Have a SIGTERM tear down everything that is warm before it does what it did before.

    Many engines end their workers by it, and Python then runs nothing at all. All that tears
    anything down is closed as at the end of the process, see :func:`close_all`. Then the handler
    that was there is called; where there was none, the process dies of the signal. A second
    SIGTERM meanwhile does not wait for that. Where SIGTERM is ignored it stays so, and
    nothing is closed, for the process lives on. Forked children inherit it. Calling this
    twice is fine.

    Python runs a handler in the main thread and between two of its own instructions: a
    call into C code that takes a minute delays it by a minute.

    Args:
        patience: seconds that a teardown may take, as in :func:`close_all`. Engines that
            send SIGTERM often send SIGKILL soon after.

    Returns:
        A function that undoes it.

    Raises:
        TypeError: ``patience`` is no number.
        ValueError: it is not more than 0.
        RuntimeError: this is not the main thread, or SIGTERM has a handler that is not
            Python's, which could not be called.
    """
    global _installed, _asked_here
    patience = as_patience(patience)
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "close_on_sigterm() must be called in the main thread, which alone can handle signals"
        )
    _asked_here = True
    previous: Any = signal.getsignal(signal.SIGTERM)
    if previous is None:
        raise RuntimeError(
            "SIGTERM is handled by code that is not Python's and could not be called any more; "
            "call warmcache.close_all() from there"
        )
    if previous is signal.SIG_IGN:
        return lambda: None
    if _installed is None or previous is not _installed:
        if _installed is not None:  # another handler was put over it
            _installed.active = False
        _installed = _Handler(previous, patience)
        signal.signal(signal.SIGTERM, _installed)
    _installed.patience = patience
    return _installed.undo


def close_on_sigterm_by_default() -> None:
    """Do so in a worker, where that can be, unless it was ever done or undone there."""
    in_force: object = signal.getsignal(signal.SIGTERM)
    inherited = _installed is not None and in_force is _installed
    if _asked_here or inherited or threading.current_thread() is not threading.main_thread():
        return
    try:
        close_on_sigterm()
    except RuntimeError:  # it is handled by code that is not Python's
        pass
