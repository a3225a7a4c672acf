"""Loaders and functions through the serializer of Globus Compute's SDK, without its service."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bodies import journal, load, unimportable, use
from compute_worker import work
from globus_compute_sdk.serialize import ComputeSerializer

from warmcache.executors import RoutedExecutor

pytestmark = pytest.mark.engines
CAP = 50.0
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


def packed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    serializer = ComputeSerializer()
    parts = [serializer.serialize(each) for each in (function, args, kwargs)]
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


class Endpoint(Executor):
    """An endpoint of one worker; what it is sent, and answers, goes through the serializer."""

    def __init__(self) -> None:
        self._worker = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def answered(answer: Future[str]) -> None:
            future.set_result(ComputeSerializer().deserialize(answer.result()))

        self._worker.submit(work, packed(fn, *args, **kwargs)).add_done_callback(answered)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._worker.shutdown(wait)


def test_a_routed_executor_asks_the_endpoint_that_has_it_warm(tmp_path: Path) -> None:
    nested, use_nested = unimportable()
    with RoutedExecutor([Endpoint(), Endpoint()]) as pool:
        for name in "abababab":
            wanted = partial(nested, str(tmp_path), name)
            _, answer = pool.submit(use_nested, str(tmp_path), name, warm=wanted).result(CAP)
            assert name == answer
    assert ["a", "b"] == sorted(journal(tmp_path, "loads"))


def test_what_its_endpoints_have_warm_is_torn_down_as_they_end(tmp_path: Path) -> None:
    with RoutedExecutor([Endpoint()]) as pool:
        pool.submit(use, str(tmp_path), "a", warm=partial(load, str(tmp_path), "a")).result(CAP)
    assert ["a"] == journal(tmp_path, "torn down")
