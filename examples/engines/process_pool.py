"""Models in a pool of processes; see models.py. Run it with --requests 40 for a short one."""

from __future__ import annotations

from collections.abc import Iterable

from models import Request, Served, answer, main, wanted

from warmcache.executors import WarmProcessPool


def serve(requests: list[Request], workers: int) -> Iterable[Served]:
    """Have each request answered by the process that has its model warm."""
    with WarmProcessPool(workers) as pool:
        return [*pool.map(answer, requests, warm=map(wanted, requests))]


if __name__ == "__main__":
    main(serve)
