"""A thread that C begins: Python knows it only while it is called back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any


def in_a_c_thread(work: Callable[[], Any]) -> Any:
    """Return what ``work()`` does, called back by a thread of C's, once that has ended."""
    returned: list[Any] = []
    raised: list[BaseException] = []

    def called_back(_: object) -> None:
        try:
            returned.append(work())
        except BaseException as error:
            raised.append(error)

    c: Any = ctypes.CDLL(None)
    begin = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(called_back)
    c.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
    thread = ctypes.c_ulong()
    assert 0 == c.pthread_create(ctypes.byref(thread), None, begin, None)
    assert 0 == c.pthread_join(thread, None)
    if raised:
        raise raised[0]
    return returned[0]
