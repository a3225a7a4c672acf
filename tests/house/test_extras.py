"""What takes an extra that is not installed says which one, and how to install it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from warmcache._extras import brought_by

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
# The module, the extra, and each package that may be the one that is missing.
ADAPTERS = [
    ("warmcache.dask", "dask", "dask"),
    ("warmcache.dask", "dask", "distributed"),
    ("warmcache.dask", "dask", "tornado"),
    ("warmcache.parsl", "parsl", "parsl"),
    ("warmcache.ray", "ray", "ray"),
]


def said(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=50
    )
    return ran.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize("missing", ["dask", "parsl", "ray"])
def test_an_adapter_names_its_extra(missing: str) -> None:
    error = said(f"import sys; sys.modules[{missing!r}] = None; import warmcache.{missing}")
    assert (
        f"ModuleNotFoundError: warmcache.{missing} needs {missing}, which is not installed: "
        f'pip install "warmcache[{missing}]"'
    ) == error


@pytest.mark.engines
@pytest.mark.parametrize(("module", "extra", "missing"), ADAPTERS)
def test_so_it_does_whichever_package_is_missing(module: str, extra: str, missing: str) -> None:
    error = said(f"import sys; sys.modules[{missing!r}] = None; import {module}")
    assert error.endswith(
        f'needs {missing}, which is not installed: pip install "warmcache[{extra}]"'
    )


def test_what_goes_by_value_names_its_extra() -> None:
    program = """
        import pickle, sys
        sys.modules["cloudpickle"] = None
        import warmcache
        pickle.dumps(warmcache.task(lambda: 1))
    """
    assert 'needs cloudpickle, which is not installed: pip install "warmcache[byvalue]"' in said(
        program
    )


def test_a_probe_names_its_extra() -> None:
    program = """
        import sys
        sys.modules["pynvml"] = None
        from warmcache.probes import NvmlProbe
        NvmlProbe(0)
    """
    assert said(program).endswith('pip install "warmcache[gpu]"')


def test_what_else_is_missing_is_said_as_it_is() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'of_somebody_else'"):
        with brought_by("dask", "dask", what="it"):
            import of_somebody_else  # type: ignore[import-not-found]  # noqa: F401  # pyright: ignore[reportMissingImports]


def test_the_extras_that_are_named_are_there() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert {"byvalue", "dask", "demo", "disk", "gpu", "parsl", "plot", "ray"} == {*extras}
