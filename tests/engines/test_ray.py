"""A pool of Ray actors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bodies
import pytest
import ray
from bodies import Gate, gone, journal, side_by_side, torn_down_once, wanted
from ray.exceptions import RayActorError

from warmcache._engines.routed_executor import RoutedExecutor
from warmcache._engines.worker_side import Report
from warmcache.ray import WarmActor, WarmActorPool

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("default"),  # Ray's own are many
]
CAP = 60.0
HERE = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        ray.init(
            num_cpus=2,
            resources={"seat": 1},
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            object_store_memory=80 * 2**20,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def pool(cluster: None) -> Iterator[WarmActorPool]:
    with WarmActorPool(2) as pool:
        yield pool


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


def submit(pool: WarmActorPool, body: Any, folder: Path, name: str, *args: Any) -> Any:
    return pool.submit(body, str(folder), name, *args, warm=wanted(folder, name))


def result(future: Any) -> Any:
    return future.result(CAP)


def both_run(pool: WarmActorPool, folder: Path) -> set[int]:
    """Have both actors run, and return their processes."""
    return side_by_side(folder, lambda gate: pool.submit(bodies.waiting, str(folder), "", gate))


def test_each_model_is_loaded_once_and_asked_where_it_is(
    pool: WarmActorPool, tmp_path: Path
) -> None:
    assert 2 == len(both_run(pool, tmp_path))
    answers = {result(submit(pool, bodies.use, tmp_path, name)) for name in "abababab"}
    assert ["a", "b"] == sorted(name for _, name in answers)
    assert ["a", "b"] == sorted(journal(tmp_path, "loads"))


def test_a_body_holds_a_lease_for_as_long_as_it_runs(pool: WarmActorPool, tmp_path: Path) -> None:
    assert "leased" == result(submit(pool, bodies.want_another, tmp_path, "a"))


def test_an_argument_that_is_a_reference_arrives_as_the_object(pool: WarmActorPool) -> None:
    assert [1, 2, 3] == result(pool.submit(sorted, ray.put([3, 1, 2])))


def test_what_a_body_raises_is_raised_and_its_model_stays_warm(
    pool: WarmActorPool, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="a"):
        result(submit(pool, bodies.fail, tmp_path, "a"))
    result(submit(pool, bodies.use, tmp_path, "a"))
    assert ["a"] == journal(tmp_path, "loads")


def test_what_a_failed_load_has_thrown_out_is_learned(pool: WarmActorPool, tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        result(submit(pool, bodies.use, tmp_path, "none"))
    warm = {name for slot in pool._backlog._workers.values() for name in map(_key, slot.warm)}
    assert not any("none" in name for name in warm)


def _key(model: Any) -> str:
    return str(model.key)


def test_loaders_of_main_and_closures_are_warm_across_calls(
    pool: WarmActorPool, tmp_path: Path
) -> None:
    nested, use_nested = bodies.unimportable()
    each = [partial(nested, str(tmp_path), "a")] * 5
    answers = pool.map(use_nested, [str(tmp_path)] * 5, "aaaaa", warm=each, timeout=CAP)
    assert len({*answers}) == len(journal(tmp_path, "loads")), "once in each actor"


def test_an_actor_that_is_killed_takes_only_its_own_call_with_it(
    tmp_path: Path, gate: Gate, pool: WarmActorPool
) -> None:
    dying = submit(pool, bodies.waiting, tmp_path, "a", "gate")
    others = [submit(pool, bodies.use, tmp_path, name) for name in "abab"]
    os.kill(process := gate.entered(), signal.SIGKILL)
    with pytest.raises(RayActorError):
        result(dying)
    assert ["a", "b", "a", "b"] == [result(future)[1] for future in others]
    assert process not in {result(future)[0] for future in others}
    assert 2 == len(both_run(pool, tmp_path)), "another has taken its place"


def test_an_actor_that_died_idle_takes_no_call_with_it(tmp_path: Path) -> None:
    with WarmActorPool(1, num_cpus=0) as pool:
        process, _ = result(submit(pool, bodies.use, tmp_path, "a"))
        [actor] = pool._slots
        os.kill(process, signal.SIGKILL)
        with pytest.raises(RayActorError):  # by then Ray has told us
            ray.get(actor.hello.remote(), timeout=CAP)
        assert process != result(submit(pool, bodies.use, tmp_path, "a"))[0]


# -- what ends with what ---------------------------------------------------------------


def test_shutdown_tears_down_once(tmp_path: Path) -> None:
    with WarmActorPool(1, num_cpus=0) as pool:
        process, _ = result(submit(pool, bodies.use, tmp_path, "a"))
    assert ["a"] == journal(tmp_path, "torn down"), "before shutdown() has returned"
    assert gone(process)
    assert torn_down_once(tmp_path)


def test_shutdown_does_not_wait_for_an_actor_without_room(tmp_path: Path) -> None:
    with WarmActorPool(2, num_cpus=0, resources={"seat": 1}) as pool:
        result(submit(pool, bodies.use, tmp_path, "a"))
        assert 1 == len(pool._asked)
    assert ["a"] == journal(tmp_path, "torn down")


def test_an_actor_that_joins_as_the_others_close_is_ended_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []

    def method(act: Callable[[], Any]) -> Any:
        return SimpleNamespace(remote=act)

    class Actor:
        def __init__(self, number: int) -> None:
            self.answer: Future[Report] = Future()
            if number < 2:
                self.answer.set_result(Report(()))
            self.serve = method(lambda: None)
            self.hello = method(lambda: SimpleNamespace(future=lambda: self.answer))
            self.close = method(lambda: number or actors[2].answer.set_result(Report(())))
            self.__dict__["__ray_terminate__"] = method(lambda: ended.append(number))

    actors: list[Actor] = []
    actors.extend(Actor(number) for number in range(3))
    monkeypatch.setattr(ray, "get", lambda reference: None)
    pool = WarmActorPool.__new__(WarmActorPool)
    RoutedExecutor.__init__(pool, [*actors])  # type: ignore[list-item]
    pool.shutdown()
    assert [0, 1, 2] == ended


def test_a_pool_that_nobody_has_any_more_tears_down_once(tmp_path: Path) -> None:
    pool = WarmActorPool(1, num_cpus=0)
    process, _ = result(submit(pool, bodies.use, tmp_path, "a"))
    del pool
    assert gone(process)
    assert torn_down_once(tmp_path)


@ray.remote(num_cpus=0)
class Own(WarmActor):
    """An actor as users write them."""

    def use(self, folder: str) -> tuple[int, str]:
        return bodies.use(folder, "a")


@ray.remote(num_cpus=0)
class Plain:
    """One that does not know of warmcache."""

    def use(self, folder: str) -> tuple[int, str]:
        return bodies.use(folder, "a")


def _terminate(actor: Any, process: int) -> None:
    actor.__ray_terminate__.remote()


def _kill(actor: Any, process: int) -> None:
    ray.kill(actor)


def _sigterm(actor: Any, process: int) -> None:
    os.kill(process, signal.SIGTERM)


def _sigkill(actor: Any, process: int) -> None:
    os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "torn_down"),
    [(_terminate, 1), (None, 1), (_sigterm, 1), (_kill, 0), (_sigkill, 0)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.parametrize("kind", [Own, Plain], ids=["WarmActor", "plain"])
def test_what_ends_with_an_actor(kind: Any, end: Any, torn_down: int, tmp_path: Path) -> None:
    actor = kind.remote()
    process, _ = ray.get(actor.use.remote(str(tmp_path)), timeout=CAP)
    if end is None:  # it goes out of scope
        del actor
    else:
        end(actor, process)
    assert gone(process)
    assert torn_down == len(journal(tmp_path, "torn down"))


SCRIPT = """
    import sys
    import bodies, ray
    from warmcache.ray import WarmActorPool
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    pool = WarmActorPool(1)
    pool.submit(bodies.use, sys.argv[1], "a", warm=bodies.wanted(sys.argv[1], "a")).result(60)
    ray.shutdown()
"""


def test_what_ends_with_the_cluster(tmp_path: Path) -> None:
    script = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)]
    subprocess.run(script, timeout=CAP, check=True)
    # Its actors are killed, and some get as far as that: shut pools down first.
    assert len(journal(tmp_path, "torn down")) <= 1


@ray.remote(num_cpus=0, max_calls=0)
def task(folder: str) -> tuple[int, str]:
    return bodies.use(folder, "a")


def test_what_ends_with_a_worker_of_tasks(tmp_path: Path) -> None:
    process, _ = ray.get(task.remote(str(tmp_path)), timeout=CAP)
    os.kill(process, signal.SIGTERM)
    assert gone(process)
    assert ["a"] == journal(tmp_path, "torn down")
