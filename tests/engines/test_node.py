"""Workers of engines and servers share one budget of their machine, each with its own record."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from processes import METHODS, run

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # the engines' own are many
]
CAP = 60.0
MiB = 2**20
HERE = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module")
def meet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, ...]]]:
    """Give what workers run, which meet in a folder of these tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARMCACHE_NODE", str(home / "node"))
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        import node_models  # which looks for the folder

        yield node_models.meet


def share_one_budget(seen: list[Any]) -> bool:
    """Whether two workers have loaded, and what one of them has loaded is gone for it."""
    workers = {each[0] for each in seen}
    assert os.getpid() not in workers
    return 2 == len(workers) and {(2, 60 * MiB)} == {tuple(each[1:]) for each in seen}


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing(method: str, tmp_path: Path, meet: Any) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        asked = [pool.apply_async(meet, (str(tmp_path), name)) for name in "ab"]
        assert share_one_budget([each.get(CAP) for each in asked])


@pytest.mark.parametrize("method", METHODS)
def test_a_process_pool(method: str, tmp_path: Path, meet: Any) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        assert share_one_budget([*pool.map(meet, [str(tmp_path)] * 2, "ab")])


def test_a_warm_process_pool(tmp_path: Path, meet: Any) -> None:
    from warmcache.executors import WarmProcessPool

    with WarmProcessPool(2) as pool:
        asked = [pool.submit(meet, str(tmp_path), name) for name in "ab"]
        assert share_one_budget([each.result(CAP) for each in asked])


def test_loky(tmp_path: Path, meet: Any) -> None:
    from loky import ProcessPoolExecutor as Loky

    with Loky(max_workers=2) as pool:
        asked = [pool.submit(meet, str(tmp_path), name) for name in "ab"]
        assert share_one_budget([each.result(CAP) for each in asked])


def test_dask(tmp_path: Path, meet: Any) -> None:
    from distributed import Client, LocalCluster

    options: dict[str, Any] = dict(dashboard_address=":0", threads_per_worker=1)
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        asked = [client.submit(meet, str(tmp_path), name, pure=False) for name in "ab"]
        assert share_one_budget(client.gather(asked))


def test_ray(tmp_path: Path, meet: Any) -> None:
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=80 * MiB,
    )
    try:
        task = ray.remote(num_cpus=1)(meet)
        asked = [task.remote(str(tmp_path), name) for name in "ab"]
        assert share_one_budget(ray.get(asked, timeout=2 * CAP))
    finally:
        ray.shutdown()


def test_parsl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meet: Any) -> None:
    import parsl
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    two = HighThroughputExecutor(
        label="two",
        max_workers_per_node=2,
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        encrypted=False,
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )
    config = Config(executors=[two], run_dir=str(tmp_path / "runs"), initialize_logging=False)
    with parsl.load(config):
        app = parsl.python_app(meet)
        asked = [app(str(tmp_path), name) for name in "ab"]
        assert share_one_budget([each.result(CAP) for each in asked])


GUNICORN = """
import signal
from gunicorn.app.base import BaseApplication
from node_models import load, meet

def begun(worker):
    name = "ab"[worker.age - 1]
    seen = meet(sys.argv[1], name)
    say(*seen[1:])
    open(os.path.join(sys.argv[1], "said " + name), "w").close()
    if name == "a":
        meet(sys.argv[1], "said a", ["said a", "said b"])
        os.kill(os.getppid(), signal.SIGTERM)

class Application(BaseApplication):
    def load_config(self):
        told = dict(bind="127.0.0.1:0", workers=2, post_worker_init=begun)
        for name, value in told.items():
            self.cfg.set(name, value)

    def load(self):
        return lambda environ, start_response: []

if __name__ == "__main__":
    if "preload" in sys.argv:
        load("before the fork")
    Application().run()
"""


@pytest.mark.parametrize("how", ["", "preload"])
def test_gunicorn(how: str, tmp_path: Path, meet: Any) -> None:
    said = run(tmp_path, GUNICORN, str(tmp_path), how, stderr=None)
    others = 1 if how else 0  # who has loaded before the fork has a record, and gives as well
    assert [f"{2 + others} {60 * MiB}"] * 2 == said
