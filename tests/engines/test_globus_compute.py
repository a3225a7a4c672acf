"""Loaders and functions through the serializer of Globus Compute's SDK, without its service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bodies import journal, unimportable
from globus_compute_sdk.serialize import ComputeSerializer

from warmcache._serve import serve
from warmcache._wanted import Wanted

pytestmark = pytest.mark.engines
WORKER = """
import json, sys
from globus_compute_sdk.serialize import ComputeSerializer
serializer = ComputeSerializer()
for task in json.load(sys.stdin):
    function, args, kwargs = serializer.unpack_and_deserialize(task)
    print(function(*args, **kwargs))
"""
MAIN = """
import json, sys
from bodies import note
from globus_compute_sdk.serialize import ComputeSerializer
import warmcache

@warmcache.warm(policy="lru", maxsize=2)
def load(folder, name):
    note(folder, "loads", name)
    return name

def use(folder, name):
    return load(folder, name)

serializer = ComputeSerializer()
function = warmcache.task(use)
parts = [serializer.serialize(each) for each in (function, (sys.argv[1], "a"), {})]
print(json.dumps([serializer.pack_buffers(parts) for _ in range(4)]))
"""


def run(program: str, *args: str, given: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program, *args],
        input=given,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "" == ran.stderr
    return ran.stdout


def packed(function: Callable[..., Any], *args: Any) -> str:
    serializer = ComputeSerializer()
    parts = [serializer.serialize(each) for each in (function, args, {})]
    packed: str = serializer.pack_buffers(parts)
    return packed


def test_a_nested_loader_is_loaded_once_for_several_tasks(tmp_path: Path) -> None:
    _, use_nested = unimportable()
    tasks = [packed(use_nested, str(tmp_path), "a") for _ in range(4)]
    assert 4 == len(run(WORKER, given=json.dumps(tasks)).splitlines())
    assert ["a"] == journal(tmp_path, "loads")


def test_a_loader_of_the_main_module_is_too_in_a_task(tmp_path: Path) -> None:
    assert ["a"] * 4 == run(WORKER, given=run(MAIN, str(tmp_path))).split()
    assert ["a"] == journal(tmp_path, "loads")


def test_what_a_routed_executor_sends_arrives_and_reports(tmp_path: Path) -> None:
    nested, use_nested = unimportable()
    wanted = Wanted.of(partial(nested, str(tmp_path), "a"))
    tasks = [packed(serve, wanted, use_nested, str(tmp_path), "a") for _ in range(2)]
    first, second = run(WORKER, given=json.dumps(tasks)).splitlines()
    assert first.startswith("Answer(value=(") and second.startswith("Answer(value=(")
    assert wanted.name in first and wanted.name in second
    assert "loading=None" not in first and "loading=None" in second
