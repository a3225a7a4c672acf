"""Models in Ray actors; see models.py. Run it with --requests 40 for a short one."""

from __future__ import annotations

from collections.abc import Iterable

import ray
from models import Request, Served, answer, main, wanted

from warmcache.ray import WarmActorPool


def serve(requests: list[Request], workers: int) -> Iterable[Served]:
    """Have each request answered by the actor that has its model warm."""
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    with WarmActorPool(workers) as pool:
        return [*pool.map(answer, requests, warm=map(wanted, requests))]


if __name__ == "__main__":
    main(serve)
