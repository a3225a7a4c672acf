"""Files that only their owner may read: the arguments of calls are nobody else's business."""

from __future__ import annotations

import os
import stat


def private(path: str, flags: int) -> int:
    """Open a file for its owner alone; an ``opener`` for ``open``.

    It is so from its first moment on, and so is a file that was there before and is emptied. A
    symbolic link is followed. What is no file, such as a pipe, stays as it is.
    """
    handle = os.open(path, flags, 0o600)
    try:
        mode = os.fstat(handle).st_mode
        if flags & os.O_TRUNC and stat.S_ISREG(mode) and mode & 0o077:
            opened = handle if os.chmod in os.supports_fd else path
            os.chmod(opened, 0o600)  # noqa: PTH101  # what is open, whatever has its name now
    except BaseException:
        os.close(handle)
        raise
    return handle


def not_followed(path: str, flags: int) -> int:
    """Open what has that name itself, and wait for nobody; an ``opener`` for ``open``.

    A symbolic link is an OSError. What is no file opens at once: look before you read.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
