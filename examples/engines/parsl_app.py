"""Models in Parsl's workers; see models.py. Run it with --requests 40 for a short one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import parsl
from models import Request, Served, answer, main, wanted
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from warmcache.parsl import WarmExecutor, warm_app

app = warm_app(wanted)(answer)


def slot(number: int) -> HighThroughputExecutor:
    """Return an executor of one worker, which can import what is beside this file."""
    folder = Path(__file__).resolve().parent
    return HighThroughputExecutor(
        label=f"slot-{number}",
        address="127.0.0.1",
        max_workers_per_node=1,
        provider=LocalProvider(
            worker_init=f'export PYTHONPATH="{folder}:$PYTHONPATH"',
            init_blocks=1,
            min_blocks=1,
            max_blocks=1,
        ),
    )


def serve(requests: list[Request], workers: int) -> Iterable[Served]:
    """Have each request answered by the worker that has its model warm."""
    slots = [slot(number) for number in range(workers)]
    with parsl.load(Config(executors=[*slots, WarmExecutor(slots)], usage_tracking=0)):
        return [future.result() for future in [app(request) for request in requests]]


if __name__ == "__main__":
    main(serve)
