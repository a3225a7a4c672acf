"""Ctrl-C while the ``warmcache`` command is still being imported, which takes a moment.

Nothing is warm then, and a traceback through our imports says nothing to who pressed it. The
package imports this before anything else of its own, for ``python -m warmcache`` and the script
import the package before any module of it that could catch an exception.
"""

from __future__ import annotations

import os
import sys

_NAMES = {"warmcache", "warmcache.exe"}
INTERRUPTED = b"warmcache: interrupted\n"


def _end_quietly_if_command() -> None:
    """Have an interrupt end the process with a line and status 130, if it is the command's."""
    name = sys.argv[0] if getattr(sys, "argv", None) else ""
    is_module = name == "-m" and "warmcache" in sys.orig_argv  # while its package is imported
    is_command = is_module or name.rpartition(os.sep)[2] in _NAMES
    if not is_command:
        return
    import signal  # which programs need not wait for

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _end)
        except ValueError:  # another thread imports it: so it is no command
            pass


def be_interruptible() -> None:
    """Have interrupts raise KeyboardInterrupt again, where somebody catches it."""
    import signal

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    try:
        os.write(2, INTERRUPTED)
    finally:
        os._exit(130)


_end_quietly_if_command()
