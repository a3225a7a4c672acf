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
    gc.collect()  # what other tests have left tears something down
    janitor.drain(5.0)
    journal.clear()
    yield
    for name in in_turns():
        name.cache.close()
    loader_names._names.clear()
