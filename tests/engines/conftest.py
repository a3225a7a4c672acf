"""The engines are there in `tox -e engines` alone; elsewhere what imports them is left out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

_NEED_ENGINES = [
    *("test_by_value_matrix.py", "test_dask*.py", "test_examples.py", "test_globus_compute.py"),
    "test_node.py",
    *("test_parsl.py", "test_pool_ends.py", "test_ray*.py", "test_routing_benchmark.py"),
    "test_servers.py",
]
collect_ignore_glob = [] if find_spec("distributed") else _NEED_ENGINES


@pytest.fixture
def nothing_is_warm() -> Iterator[None]:
    """Have nothing of ``dask_models`` warm in this process, where the workers are too."""
    import dask_models as models

    models.loads.clear()
    models.torn_down.clear()
    yield
    models.load.cache_clear()
    models.fetch.cache.clear()
