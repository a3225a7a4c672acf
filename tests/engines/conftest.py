"""The engines are there in `tox -e engines,globus`; elsewhere their tests cannot be imported."""

from __future__ import annotations

from importlib.util import find_spec

_TESTS = {
    "globus_compute_sdk": ["test_globus_compute.py"],
    "distributed": ["test_dask.py", "test_dask_scheduling.py"],
    "loky": ["test_pool_ends.py"],
    "parsl": ["test_parsl.py"],
    "ray": ["test_ray.py", "test_ray_serve.py", "test_examples.py"],
}
collect_ignore = [
    test for engine, tests in _TESTS.items() if not find_spec(engine) for test in tests
]
