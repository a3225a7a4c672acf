"""What a callable can be called with, whatever its parameters are annotated with."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def signature_of(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of ``target``, as :func:`inspect.signature` does.

    Since 3.14 annotations are evaluated when they are asked for. They may name what is
    defined only later, or what only type checkers import, and are no business of ours:
    all are texts then, as they are where a file defers them with the ``__future__``
    import. They are no ``ForwardRef``, for it would keep, and be pickled with, the
    globals that it is to be found in.

    Raises:
        ValueError: nobody knows it, as of some built in.
        TypeError: ``target`` is not callable.
    """
    if sys.version_info >= (3, 14):
        try:
            return inspect.signature(target)
        except Exception:  # whatever an expression may raise
            from annotationlib import Format

            return inspect.signature(target, annotation_format=Format.STRING)
    return inspect.signature(target)
