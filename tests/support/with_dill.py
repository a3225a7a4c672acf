"""Which tests need a dill that can pickle functions on the Python that runs them."""

from __future__ import annotations

import dill
import pytest


def _pickles_code() -> bool:
    try:
        dill.dumps(_pickles_code.__code__)
    except AttributeError:
        return False
    return True


# Not run, for the values in the frames of a failure would be torn down in other tests.
needs_dill = pytest.mark.xfail(
    not _pickles_code(),
    reason="dill 0.4.1 reads co_lnotab of code objects, which 3.15 has no longer",
    run=False,
)
DILL_DUMPS = pytest.param(dill.dumps, marks=needs_dill)
