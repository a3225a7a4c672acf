"""``@warm`` inside a Ray Serve deployment."""

from __future__ import annotations

import asyncio
import os
import warnings
from pathlib import Path
from typing import Any

import bodies
import pytest
import ray
from bodies import journal

import warmcache

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own are many
    from ray import serve

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # Ray's own are many
]
CAP = 60.0
HERE = Path(__file__).parents[1] / "support"


class Plain:
    """Serves several requests at once, each of which holds its model in a thread."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    async def __call__(self, name: str) -> str:
        return await asyncio.to_thread(self.answer, name)

    def answer(self, name: str) -> str:
        with bodies.load.lease(self.folder, name) as model:
            return model.name


class Closing(Plain):
    """Serve calls this as it ends a replica, before it kills the process."""

    def __del__(self) -> None:
        warmcache.close_all()


class Budgeted(Closing):
    """One with a budget of memory."""

    def answer(self, name: str) -> str:
        with bodies.load_large.lease(self.folder, name) as model:
            return model.name


KINDS = {"closing": Closing, "plain": Plain, "budgeted": Budgeted}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Serve with each kind, and end it; return their journals."""
    folders = {name: tmp_path_factory.mktemp(name) for name in KINDS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{Path(__file__).parent}", os.pathsep)
        options: dict[str, Any] = dict(include_dashboard=False, log_to_driver=False)
        ray.init(num_cpus=2, object_store_memory=80 * 2**20, **options)
        for kind, folder in zip(KINDS.values(), folders.values(), strict=True):
            deployment = serve.deployment(
                kind, ray_actor_options={"num_cpus": 0}, max_ongoing_requests=4
            )
            name = folder.name
            handle = serve.run(deployment.bind(str(folder)), name=name, route_prefix=f"/{name}")
            asked = [*"abab"]
            replies = [handle.remote(name) for name in asked]
            assert asked == [reply.result(timeout_s=CAP) for reply in replies]
            if kind is Budgeted:
                assert "c" == handle.remote("c").result(timeout_s=CAP)
                assert 1 == len(journal(folder, "torn down")), "of three, two fit"
        serve.shutdown()
        ray.shutdown()
    return folders


def test_a_replica_that_closes_all_in_del_tears_down_once(folders: dict[str, Path]) -> None:
    folder = folders["closing"]
    assert sorted(journal(folder, "loads")) == sorted(journal(folder, "torn down"))


def test_one_that_does_not_loses_what_is_warm(folders: dict[str, Path]) -> None:
    folder = folders["plain"]
    assert len(journal(folder, "loads")) == len(journal(folder, "torn down")) + 1


def test_a_replica_keeps_what_a_budget_of_memory_holds(folders: dict[str, Path]) -> None:
    folder = folders["budgeted"]
    assert ["a", "b", "c"] == sorted(journal(folder, "loads"))
    assert ["a", "b", "c"] == sorted(journal(folder, "torn down"))
