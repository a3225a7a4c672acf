"""What some interpreters cannot do."""

import pytest

from warmcache._process.gil import FREE_THREADED

# CPython 3.13t does, once a thread was started.
forgets_classes = pytest.mark.xfail(FREE_THREADED, reason="it keeps each class", strict=False)
