"""Parsl's apps on slots, on other executors, and what ends with a worker."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bodies
import parsl
import pytest
from bodies import Gate, gone, journal, side_by_side, torn_down_once
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.executors.high_throughput.errors import WorkerLost
from parsl.providers import LocalProvider

import warmcache
from warmcache.parsl import WarmExecutor, warm_app

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # Parsl's own are many
]
CAP = 60.0
HERE = Path(__file__).parents[1] / "support"


def wants(folder: str, name: str, *_: Any, **__: Any) -> Any:
    return partial(bodies.load, folder, name)


use = warm_app(wants)(bodies.use)
fail = warm_app(wants)(bodies.fail)
want_another = warm_app(wants)(bodies.want_another)
waiting = warm_app(wants)(bodies.waiting)
waiting_for_nothing = warm_app(lambda *_: None)(bodies.waiting)
in_a_thread = warm_app(wants, executors=["threads"])(bodies.want_another)
on_a_plain_executor = warm_app(wants, executors=["slot-0"])(bodies.want_another)


@warm_app(wants)
def in_time(folder: str, name: str, walltime: float = 50) -> tuple[int, str]:
    return bodies.use(folder, name)


def test_warm_app_that_is_used_bare_says_how_it_is_written() -> None:
    bare: Any = warm_app(bodies.use)
    for call in (lambda: bare("folder", "a"), lambda: bare(), lambda: bare(folder="folder")):
        with pytest.raises(
            TypeError, match=r"not used bare; write @warm_app\(lambda name: partial"
        ):
            call()


@pytest.mark.parametrize("wanted", [bodies.load, partial(bodies.load, "folder", "a"), "a", None])
def test_warm_app_takes_a_function_that_says_what_is_wanted_and_no_call(wanted: Any) -> None:
    with pytest.raises(TypeError, match=r"a function of the app's arguments.*write @warm_app\(lam"):
        warm_app(wanted)


def slot(label: str) -> HighThroughputExecutor:
    return HighThroughputExecutor(
        label=label,
        max_workers_per_node=1,
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        heartbeat_period=1,
        heartbeat_threshold=10,
        encrypted=False,
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )


@pytest.fixture(scope="module", autouse=True)
def surroundings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{Path(__file__).parent}", prepend=os.pathsep)
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        assert shutil.which("interchange.py"), "Parsl's scripts are beside the interpreter"
        yield


def config(folder: Path, *executors: Any) -> Config:
    return Config(
        executors=executors,
        run_dir=str(folder / "run"),
        strategy="none",
        initialize_logging=False,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, surroundings: None) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("parsl")
    slots = [slot("slot-0"), slot("slot-1")]
    threads = ThreadPoolExecutor(label="threads")
    with parsl.load(config(folder, *slots, WarmExecutor(slots), threads)):
        both_run(folder)
        yield folder


def both_run(folder: Path) -> set[int]:
    """Have both slots run something, and return their processes."""
    return side_by_side(folder, lambda gate: waiting_for_nothing(str(folder), "", gate))


@pytest.fixture
def folder(cluster: Path, tmp_path: Path) -> Path:
    return tmp_path


def result(future: Any) -> Any:
    return future.result(CAP)


def test_each_model_is_loaded_once_and_asked_where_it_is(folder: Path) -> None:
    answers = {result(use(str(folder), name)) for name in "abababab"}
    assert ["a", "b"] == sorted(name for _, name in answers)
    assert ["a", "b"] == sorted(journal(folder, "loads"))


def test_an_app_with_a_walltime_is_routed_too(folder: Path) -> None:
    answers = {result(in_time(str(folder), name)) for name in "abababab"}
    assert 2 == len(answers) == len(journal(folder, "loads"))


def test_what_it_wants_may_be_known_only_later(folder: Path) -> None:
    @parsl.python_app(executors=["threads"])
    def chosen() -> str:
        return "a"

    assert "a" == result(use(str(folder), chosen()))[1]


def test_an_app_holds_a_lease_for_as_long_as_it_runs(folder: Path) -> None:
    assert "leased" == result(want_another(str(folder), "a"))


def test_it_does_so_in_a_thread_too(folder: Path) -> None:
    assert "leased" == result(in_a_thread(str(folder), "a"))
    bodies.load.cache_clear()


def test_it_does_so_on_an_executor_that_does_not_route(folder: Path) -> None:
    assert "leased" == result(on_a_plain_executor(str(folder), "a"))


def test_what_an_app_raises_is_raised_and_its_model_stays_warm(folder: Path) -> None:
    with pytest.raises(ValueError, match="a"):
        result(fail(str(folder), "a"))
    result(use(str(folder), "a"))
    assert ["a"] == journal(folder, "loads")


def test_a_load_that_fails_fails_its_app(folder: Path) -> None:
    with pytest.raises(LookupError):
        result(use(str(folder), "none"))


def test_loaders_and_functions_that_cannot_be_imported_travel_by_value(folder: Path) -> None:
    nested, use_nested = bodies.unimportable()
    app = warm_app(lambda folder, name: partial(nested, folder, name))(use_nested)
    answers = {result(app(str(folder), "a")) for _ in range(5)}
    assert len(answers) == len(journal(folder, "loads")), "once in each worker"


def test_a_worker_that_is_killed_takes_only_its_own_app_with_it(folder: Path) -> None:
    gate = Gate(folder)
    dying = waiting(str(folder), "a", "gate")
    others = [use(str(folder), name) for name in "abab"]
    os.kill(process := gate.entered(), signal.SIGKILL)
    with pytest.raises(WorkerLost):
        result(dying)
    assert ["a", "b", "a", "b"] == [result(future)[1] for future in others]
    assert process not in both_run(folder), "another has taken its place"
    assert "a" not in journal(folder, "torn down")[:1]
    gate.close()


def test_a_worker_that_gets_sigterm_tears_down(folder: Path) -> None:
    gate = Gate(folder)
    dying = waiting(str(folder), "a", "gate")
    os.kill(gate.entered(), signal.SIGTERM)
    with pytest.raises(WorkerLost):
        result(dying)
    assert ["a"] == journal(folder, "torn down")
    gate.close()


def test_slots_of_more_than_one_worker_are_refused() -> None:
    with pytest.raises(ValueError, match="max_workers_per_node=1"):
        WarmExecutor([HighThroughputExecutor(label="wide", max_workers_per_node=2)])


def test_slots_that_parsl_has_not_been_told_of_are_refused(cluster: Path) -> None:
    with pytest.raises(ValueError, match="before it"):
        WarmExecutor([slot("unknown")]).start()


# -- the end, with a cluster of its own ------------------------------------------------


def test_what_is_warm_is_torn_down_when_parsl_is_cleaned_up(tmp_path: Path) -> None:
    only = slot("only")
    with DataFlowKernel(config(tmp_path, only, WarmExecutor([only]))) as kernel:
        app = warm_app(wants, data_flow_kernel=kernel)(bodies.use)
        process, _ = result(app(str(tmp_path), "a"))
    assert gone(process)
    assert torn_down_once(tmp_path)


def test_what_hangs_has_the_patience_that_an_app_asked_for(tmp_path: Path) -> None:
    @warmcache.warm(policy="lru", maxsize=2, teardown=lambda model: model.close())
    def load(name: str) -> bodies.Model:
        kind = bodies.Hanging if name == "hangs" else bodies.Model
        return kind(str(tmp_path), name)

    only = slot("only")
    with DataFlowKernel(config(tmp_path, only, WarmExecutor([only]))) as kernel:

        @warm_app(lambda name: partial(load, name), data_flow_kernel=kernel)
        def process(name: str) -> int:
            warmcache.close_on_sigterm(patience=0.5)
            return os.getpid()

        result(process("a"))
        worker = result(process("hangs"))
    assert gone(worker)
    assert ["hangs", "a"] == journal(tmp_path, "torn down")


@pytest.mark.parametrize(
    ("kind", "torn_down"), [("warm_app", ["sigterm", "cleanup"]), ("python_app", [])]
)
def test_what_ends_with_a_worker(tmp_path: Path, kind: str, torn_down: list[str]) -> None:
    with DataFlowKernel(config(tmp_path, slot("only"))) as kernel:
        options = {"executors": ["only"], "data_flow_kernel": kernel}
        warms = kind == "warm_app"
        make = warm_app(wants, **options) if warms else parsl.python_app(**options)
        app, wait = make(bodies.use), make(bodies.waiting)
        for name, number in (("sigterm", signal.SIGTERM), ("sigkill", signal.SIGKILL)):
            result(app(str(tmp_path), name))
            # Busy, for one that dies as it waits for work leaves Parsl's queue locked.
            gate, dying = Gate(tmp_path, name), wait(str(tmp_path), name, name)
            os.kill(gate.entered(), number)
            with pytest.raises(WorkerLost):
                result(dying)
            gate.close()
        process, _ = result(app(str(tmp_path), "cleanup"))
    assert gone(process)
    assert ["sigterm", "sigkill", "cleanup"] == journal(tmp_path, "loads")
    assert torn_down == journal(tmp_path, "torn down")
