"""What tests of loaders that reconnect begin with and leave behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from by_value import journal
from travellers import in_turns

from warmcache._by_value import loader_names
from warmcache._process.janitor import janitor


@pytest.fixture
def a_process_that_knows_of_no_loader() -> Iterator[None]:
    loader_names._names.clear()
    _have_all_torn_down()  # what other tests have left
    journal.clear()
    yield
    for name in in_turns():
        name.cache.close()
    loader_names._names.clear()


def _have_all_torn_down() -> None:
    """Have what is garbage torn down now, and what that held, rather than during a test.

    A job that ends may drop the last reference to what makes another one, after whoever waits for
    the first has been told; and a collection that another thread is making already is not ours.
    """
    for _ in range(2):
        gc.collect()
        for job in janitor.drain(5.0):
            job()
