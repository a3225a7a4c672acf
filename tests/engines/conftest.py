"""The engines are there in `tox -e engines` alone; elsewhere their tests cannot be imported."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("distributed") else ["test_*.py"]
