"""Models in Dask's workers; see models.py. Run it with --requests 40 for a short one."""

from __future__ import annotations

from collections.abc import Iterable

from distributed import Client, LocalCluster
from models import Request, Served, answer, main, wanted

import warmcache.dask as wd


def serve(requests: list[Request], workers: int) -> Iterable[Served]:
    """Have each request answered by the worker that has its model warm."""
    with (
        LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        wd.install(client)
        futures = wd.map(client, answer, requests, warm=[*map(wanted, requests)])
        results: list[Served] = client.gather(futures)
        return results


if __name__ == "__main__":
    main(serve)
