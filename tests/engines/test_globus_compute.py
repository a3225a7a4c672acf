"""Loaders and functions through the serializer of Globus Compute's SDK, without its service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from bodies import unimportable
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
import json
from globus_compute_sdk.serialize import ComputeSerializer
import warmcache

loads = []

@warmcache.warm(policy="lru", maxsize=2)
def load(name):
    loads.append(name)
    return loads

def use(name):
    return len(load(name))

serializer = ComputeSerializer()
function = warmcache.task(use)
parts = [serializer.serialize(each) for each in (function, ("a",), {})]
print(json.dumps([serializer.pack_buffers(parts) for _ in range(4)]))
"""


def run(program: str, given: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program],
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


def test_a_nested_loader_is_loaded_once_for_several_tasks() -> None:
    _, count = unimportable()
    tasks = [packed(count, "a") for _ in range(4)]
    assert ["1"] * 4 == run(WORKER, json.dumps(tasks)).split()


def test_a_loader_of_the_main_module_is_too_in_a_task() -> None:
    assert ["1"] * 4 == run(WORKER, run(MAIN)).split()


def test_what_a_routed_executor_sends_arrives_and_reports() -> None:
    nested, count = unimportable()
    wanted = Wanted.of(partial(nested, "a"))
    tasks = [packed(serve, wanted, count, "a") for _ in range(2)]
    first, second = run(WORKER, json.dumps(tasks)).splitlines()
    assert first.startswith("Answer(value=1,") and second.startswith("Answer(value=1,")
    assert wanted.name in first and wanted.name in second
    assert "loading=None" not in first and "loading=None" in second
