"""The engines are there in `tox -e engines` alone; elsewhere their tests cannot be imported."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("distributed") else ["test_dask.py", "test_dask_scheduling.py"]
