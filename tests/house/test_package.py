"""The package as a whole: what it exports, what it imports, which folder may import which."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import pickle
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import warmcache
from warmcache import caches, errors, executors, memory, probes, routing
from warmcache._ours import is_ours

PACKAGE = Path(warmcache.__file__).parent
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
# These may import what an extra brings.
WITH_EXTRAS = {
    *("_engines/dask_scheduler.py", "_engines/dask_worker.py", "dask.py", "parsl.py", "ray.py"),
    "demo",
}
PUBLIC_MODULES = pytest.mark.parametrize(
    "name",
    [
        "warmcache",
        *(
            pytest.param(
                f"warmcache.{file.stem}", marks=[pytest.mark.engines] * (file.name in WITH_EXTRAS)
            )
            for file in sorted(PACKAGE.glob("[!_]*"))
            if file.suffix != ".typed"
        ),
    ],
)
# What has no underscore, and is for the package itself all the same.
INTERNAL = {
    "warmcache.keys": {
        *("Defaults", "Unchanged", "besides", "checked_parts", "fields_of", "frozen"),
        *("frozen_items", "is_array", "is_namespace", "is_record", "shown", "typed_items"),
        "typed_part",
    },
    "warmcache.parsl": {"Body"},
}


# -- what it exports -------------------------------------------------------------------


def test_all_is_what_is_public() -> None:
    public = {
        name
        for name, value in vars(warmcache).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    public = (public | {*warmcache._LAZY}) - {"annotations", "TYPE_CHECKING", "Any"}
    assert public == {*warmcache.__all__} - {"keys", "policies"}


@PUBLIC_MODULES
def test_all_is_sorted_and_names_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted({*module.__all__}) == module.__all__
    assert [] == [each for each in module.__all__ if not hasattr(module, each)]


@PUBLIC_MODULES
def test_all_has_each_class_and_function_that_is_not_internal(name: str) -> None:
    module = importlib.import_module(name)
    public = {
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    assert INTERNAL.get(name, set()) == public - {*module.__all__}


@pytest.mark.parametrize("module", [caches, errors, executors, memory, probes, routing])
def test_classes_and_functions_are_pickled_under_their_public_path(module: ModuleType) -> None:
    for each in (getattr(module, name) for name in module.__all__):
        assert "._" not in each.__module__
        assert each is pickle.loads(pickle.dumps(each))


@pytest.mark.parametrize("module", [caches, errors, memory])
def test_caches_and_errors_are_exported_whole(module: ModuleType) -> None:
    assert {*module.__all__} <= {*warmcache.__all__}


def _exported(module: ModuleType) -> list[Any]:
    return [getattr(module, name) for name in module.__all__]


@PUBLIC_MODULES
def test_what_is_public_says_where_it_is_found(name: str) -> None:
    for thing in _exported(importlib.import_module(name)):
        assert "warmcache._" not in repr(thing)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert "._" not in thing.__module__, thing
        if inspect.isclass(thing):
            place = importlib.import_module(thing.__module__)
            assert thing.__module__.count(".") <= 1, thing
            assert thing.__name__ in place.__all__, thing
            assert getattr(place, thing.__name__) is thing
            assert pickle.loads(pickle.dumps(thing)) is thing


def test_what_is_imported_when_asked_for_says_so_before_anybody_has_asked() -> None:
    code = "from warmcache import warm; print(type(warm(lambda: 1).cache_info()).__module__)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    assert "warmcache" == printed.strip()


# What only type checkers import: who asks for the hints that name it has to bring it along.
ONLY_FOR_TYPE_CHECKERS = {"HostTier", "ParkedBytes", "Recording", "Remains", "Store"}


@PUBLIC_MODULES
def test_the_type_hints_of_what_is_public_can_be_had(name: str) -> None:
    for thing in _exported(importlib.import_module(name)):
        for hinted in _hinted(thing):
            try:
                typing.get_type_hints(hinted)
            except NameError as error:
                if error.name not in ONLY_FOR_TYPE_CHECKERS:
                    raise AssertionError(f"{hinted} of {thing}") from error


def _hinted(thing: Any) -> Iterator[Any]:
    """Yield what may have type hints: a function, or a class and its methods."""
    if inspect.isclass(thing) or inspect.isroutine(thing):
        yield thing
    for member, value in inspect.getmembers(thing) if inspect.isclass(thing) else ():
        if not member.startswith("_") or member == "__init__":
            function = value.fget if isinstance(value, property) else value
            if inspect.isfunction(function) or inspect.ismethod(function):
                yield function


@PUBLIC_MODULES
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert [] == [each for each in module.__all__ if not getattr(module, each).__doc__]


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert importlib.metadata.version("warmcache") == warmcache.__version__


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


# -- what it imports -------------------------------------------------------------------


def _brought_along(by: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has more after importing ``by``.

    What ``logging`` takes is not among them: from 3.15 on, that is ``pathlib``, and a module that
    a distribution generates, which is not in ``sys.stdlib_module_names``.
    """
    code = f"import json, logging, sys; before = {{*sys.modules}}; import {by}; "
    code += "print(json.dumps(sorted({*sys.modules} - before)))"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    return {name.partition(".")[0] for name in json.loads(printed)}


def test_importing_it_imports_the_standard_library_and_cachetools_alone() -> None:
    imported = _brought_along(by="warmcache, warmcache.testing")
    assert {"cachetools", "warmcache"} == imported - sys.stdlib_module_names


def test_importing_it_does_not_wait_for_what_only_few_need() -> None:
    for_few = {"asyncio", "csv", "difflib", "gzip", "hashlib", "pathlib", "uuid"}
    for_few |= {"ctypes", "mmap", "socket", "sqlite3"}  # of the tiers
    assert set() == for_few & _brought_along(by="warmcache")


WHAT_PARKS = {"_core.drivers.parking", "_core.plans.coming_back", "_core.state.parking"}


def _read(by: str) -> set[str]:
    """Return the modules that a fresh interpreter has read to ``import`` these."""
    code = f"import sys; before = {{*sys.modules}}; import {by}; print(*{{*sys.modules}} - before)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    return {*printed.split()}


def test_importing_it_does_not_wait_for_what_reads_code_and_texts() -> None:
    for_few = {"annotationlib", "ast", "inspect", "re", "warnings"}
    needed = _read(by="typing") | _read(by="threading")  # which 3.13 has import warnings
    assert set() == for_few & (_read(by="warmcache") - needed)


def _ours_imported(by: str) -> set[str]:
    """Return the files of this package among these."""
    ours = {name for name in _read(by) if name.startswith("warmcache.")}
    return {name.removeprefix("warmcache.") for name in ours}


def test_importing_it_does_not_wait_for_files_of_its_own_that_few_need() -> None:
    for_few = {"caches.by_cost", "caches.by_time", "caches.gdsf", "policies.shared_caches"}
    for_few |= {"_core.state.cache_info", "_decorator", "_process.sigterm"}
    for_few |= {"memory", "tiers", *WHAT_PARKS}
    assert set() == for_few & _ours_imported(by="warmcache")


def test_what_parks_is_there_before_anything_can_be_parked_under_a_lock() -> None:
    assert set() == WHAT_PARKS - _ours_imported(by="warmcache.memory")


def test_importing_it_compiles_no_annotation() -> None:
    # Of a named tuple each that is put off is compiled, and the first of all takes a millisecond.
    code = "import builtins; own, files = builtins.compile, []; "
    code += "builtins.compile = lambda *args, **rest: files.append(args[1]) or own(*args, **rest); "
    code += "import warmcache; print(files.count('<string>'))"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    assert "0" == printed.strip()


def test_importing_it_evaluates_few_texts() -> None:
    # What public classes are annotated with, where that is put off; a namedtuple() has one, too.
    code = "import builtins, cachetools, typing; own, texts = builtins.eval, []; "
    code += "builtins.eval = lambda *args: texts.append(args[0]) or own(*args); "
    code += "import warmcache; print(len(texts))"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    assert 10 > int(printed)


def test_no_file_of_the_core_imports_more_than_that_as_it_is_imported() -> None:
    allowed = {*sys.stdlib_module_names, "cachetools", "warmcache"}
    core = [
        file
        for file in _files()
        if not {file.relative_to(PACKAGE).as_posix(), file.relative_to(PACKAGE).parts[0]}
        & WITH_EXTRAS
    ]
    assert len(core) > 20
    assert [] == [(file.name, name) for file in core for name in _imported(file) - allowed]


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imported(file: Path) -> set[str]:
    """Return the top-level packages that ``file`` imports at its own top level."""
    found = set()
    for node in _at_import(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module is not None
            found.add(node.module.partition(".")[0])
    return found


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a file is imported: everything outside of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_import(child)


# -- which file may import which -------------------------------------------------------


def _lint_imports(where: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
    code += f"sys.exit(lint_imports(config_filename={str(PYPROJECT)!r}, no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, timeout=50
    )


@pytest.fixture
def copy_of_the_package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "warmcache"))


def test_imports_point_downwards(copy_of_the_package: Path) -> None:
    result = _lint_imports(copy_of_the_package.parent)
    assert 0 == result.returncode, result.stdout


def test_a_file_without_a_place_in_the_layers_breaks_the_contract(
    copy_of_the_package: Path,
) -> None:
    (copy_of_the_package / "_newcomer.py").touch()
    result = _lint_imports(copy_of_the_package.parent)
    assert 1 == result.returncode
    assert "_newcomer" in result.stdout


def test_an_import_that_points_upwards_breaks_the_contract(copy_of_the_package: Path) -> None:
    with (copy_of_the_package / "_core/state/entry.py").open("a") as file:
        file.write("\nfrom warmcache import _decorator\n")
    result = _lint_imports(copy_of_the_package.parent)
    assert 1 == result.returncode
    assert "warmcache._core.state.entry -> warmcache._decorator" in result.stdout


def test_a_heavy_import_in_the_core_breaks_the_contract(copy_of_the_package: Path) -> None:
    with (copy_of_the_package / "_core/state/entry.py").open("a") as file:
        file.write("\ndef _later() -> None:\n    import torch\n")
    result = _lint_imports(copy_of_the_package.parent)
    assert 1 == result.returncode
    assert "warmcache._core.state.entry -> torch" in result.stdout


@pytest.mark.parametrize(
    ("module", "ours"),
    [
        ("warmcache", True),
        ("warmcache._core.plans.get", True),
        ("warmcache.demo._run", False),
        ("warmcache.testing", False),
        ("warmcache_plus.policies", False),
        (None, False),
    ],
)
def test_what_stands_for_users_code_does_not_count_as_ours(module: Any, ours: bool) -> None:
    assert ours is is_ours(module)
