"""What some interpreters cannot do."""

import sys

import pytest

from warmcache._process.gil import FREE_THREADED

# CPython 3.13t does, once a thread was started.
forgets_classes = pytest.mark.xfail(FREE_THREADED, reason="it keeps each class", strict=False)

# What threads that are left begin once the main thread has ended.
starts_threads_late = pytest.mark.xfail(
    sys.version_info[:3] in [(3, 12, 0), (3, 12, 1)],
    reason="it starts no thread once the main thread has ended",
    strict=False,
)
