"""How the engines that the tests of loading once run on are set up: one worker each."""

from __future__ import annotations

import base64
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

BATCH = 10
CAP = 20  # seconds, after which something hangs

Run = Callable[..., list[Any]]
Connect = Callable[[], AbstractContextManager[Run]]


def _batch(submit: Callable[..., Any]) -> Run:
    def run(function: Any, *args: Any) -> list[Any]:
        futures = [submit(function, *args) for _ in range(BATCH)]
        return [future.result(CAP) for future in futures]

    return run


def _pool(make: Callable[[], Executor]) -> Callable[[], AbstractContextManager[Connect]]:
    """Return an engine with a new pool for each measurement, for a pool may break."""

    @contextmanager
    def connect() -> Iterator[Run]:
        with make() as pool:
            yield _batch(pool.submit)

    return lambda: nullcontext(connect)


def _process_pool(method: str) -> Callable[[], AbstractContextManager[Connect]]:
    return _pool(lambda: ProcessPoolExecutor(1, multiprocessing.get_context(method)))


def _loky() -> Executor:
    from loky import ProcessPoolExecutor

    pool: Executor = ProcessPoolExecutor(1)
    return pool


def _shared(run: Run) -> Connect:
    return lambda: nullcontext(run)


@contextmanager
def _dask(*address: str) -> Iterator[Connect]:
    from distributed import Client, LocalCluster

    def cluster() -> Any:
        return LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)

    with nullcontext(address[0]) if address else cluster() as where, Client(where) as client:

        def submit(function: Any, *args: Any) -> Any:
            return client.submit(function, *args, pure=False)

        yield _shared(_batch(submit))


@contextmanager
def _ray() -> Iterator[Connect]:
    import ray

    ray.init(address=os.environ["RAY_AT"], log_to_driver=False)

    def run(function: Any, *args: Any) -> list[Any]:
        remote = ray.remote(function)
        found: list[Any] = ray.get([remote.remote(*args) for _ in range(BATCH)], timeout=CAP)
        return found

    yield _shared(run)
    ray.shutdown()


def _parsl(processes: bool) -> Callable[[], AbstractContextManager[Connect]]:
    @contextmanager
    def connect() -> Iterator[Connect]:
        import parsl
        from parsl.providers import LocalProvider

        executor: Any = parsl.ThreadPoolExecutor(max_threads=1)
        if processes:
            executor = parsl.HighThroughputExecutor(
                address="127.0.0.1",
                loopback_address="127.0.0.1",
                max_workers_per_node=1,
                provider=LocalProvider(init_blocks=1, max_blocks=1),
            )
        with parsl.load(parsl.Config(executors=[executor], strategy="none")) as kernel:

            def submit(function: Any, *args: Any) -> Any:
                return parsl.python_app(function, data_flow_kernel=kernel)(*args)

            yield _shared(_batch(submit))

    return connect


@contextmanager
def _globus_compute() -> Iterator[Connect]:
    """Yield what runs tasks in a process that gets what Globus Compute would send it."""
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    command = [sys.executable, "-c", "import by_value_engines as b; b.globus_compute_worker()"]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(command, **pipes) as worker:  # type: ignore[call-overload]

        def run(function: Any, *args: Any) -> list[Any]:
            found = []
            for _ in range(BATCH):
                parts = [serializer.serialize(each) for each in (function, args, {})]
                packed = serializer.pack_buffers(parts)
                print(base64.b64encode(packed.encode()).decode(), file=worker.stdin, flush=True)
                answer = serializer.deserialize(base64.b64decode(worker.stdout.readline()).decode())
                if isinstance(answer, Exception):
                    raise answer
                found.append(answer)
            return found

        yield _shared(run)
        worker.stdin.close()


def globus_compute_worker() -> None:
    """Do what a worker of Globus Compute does with each task it gets."""
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    for line in sys.stdin:
        try:
            packed = base64.b64decode(line).decode()
            function, args, kwargs = serializer.unpack_and_deserialize(packed)
            answer = function(*args, **kwargs)
        except Exception as error:
            answer = RuntimeError(repr(error))
        print(base64.b64encode(serializer.serialize(answer).encode()).decode(), flush=True)


ENGINES: dict[str, Callable[[], AbstractContextManager[Connect]]] = {
    "ProcessPoolExecutor, spawn": _process_pool("spawn"),
    "ProcessPoolExecutor, forkserver": _process_pool("forkserver"),
    "ProcessPoolExecutor, fork": _process_pool("fork"),
    "loky": _pool(_loky),
    "Dask": lambda: _dask(os.environ["DASK_AT"]),
    "Dask, LocalCluster": _dask,
    "Ray": _ray,
    "Parsl, HighThroughputExecutor": _parsl(processes=True),
    "Parsl, ThreadPoolExecutor": _parsl(processes=False),
    "Globus Compute": _globus_compute,
}
