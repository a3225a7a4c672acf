"""The engines are there in `tox -e engines` alone; elsewhere what imports them is left out."""

from __future__ import annotations

from importlib.util import find_spec

_NEED_ENGINES = [
    *("test_by_value_matrix.py", "test_dask*.py", "test_examples.py", "test_globus_compute.py"),
    *("test_parsl.py", "test_pool_ends.py", "test_ray*.py", "test_routing_benchmark.py"),
]
collect_ignore_glob = [] if find_spec("distributed") else _NEED_ENGINES
