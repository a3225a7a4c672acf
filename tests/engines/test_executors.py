"""A pool of processes that runs calls where what they want is warm."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import bodies
import pytest
from bodies import CAP, Gate, gone, journal, side_by_side, torn_down_once, wanted

from warmcache import executors
from warmcache.executors import RoutedExecutor, WarmProcessPool

CAP_OF_A_START = 6 * CAP  # a process that imports this on a busy machine


@pytest.fixture
def pool() -> Iterator[WarmProcessPool]:
    with WarmProcessPool(2) as pool:
        yield pool


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Callable[[str], Gate]]:
    made: list[Gate] = []

    def make(name: str) -> Gate:
        made.append(Gate(tmp_path, name))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


def submit(pool: RoutedExecutor, body: Any, folder: Path, name: str, *args: Any) -> Any:
    return pool.submit(body, str(folder), name, *args, warm=wanted(folder, name))


def result(future: Any) -> Any:
    return future.result(CAP_OF_A_START)


def test_each_model_is_loaded_once_and_asked_where_it_is(
    pool: WarmProcessPool, tmp_path: Path
) -> None:
    answers = {result(submit(pool, bodies.use, tmp_path, name)) for name in "abababab"}
    assert ["a", "b"] == sorted(name for _, name in answers)
    assert ["a", "b"] == sorted(journal(tmp_path, "loads"))


def test_map_gives_the_results_in_order(pool: WarmProcessPool, tmp_path: Path) -> None:
    each = [wanted(tmp_path, name) for name in "abcabc"]
    answers = pool.map(bodies.use, [str(tmp_path)] * 6, "abcabc", warm=each)
    assert [*"abcabc"] == [name for _, name in answers]


def test_a_body_holds_a_lease_for_as_long_as_it_runs(pool: WarmProcessPool, tmp_path: Path) -> None:
    assert "leased" == result(submit(pool, bodies.want_another, tmp_path, "a"))


def test_what_a_body_raises_is_raised_and_its_model_stays_warm(
    pool: WarmProcessPool, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="a") as raised:
        result(submit(pool, bodies.fail, tmp_path, "a"))
    assert "in fail" in str(raised.value.__cause__), "the traceback of the worker"
    result(submit(pool, bodies.use, tmp_path, "a"))
    assert ["a"] == journal(tmp_path, "loads")


def test_a_load_that_fails_fails_the_call_and_nothing_else(
    pool: WarmProcessPool, tmp_path: Path
) -> None:
    failing = [submit(pool, bodies.use, tmp_path, "none") for _ in range(2)]
    fine = submit(pool, bodies.use, tmp_path, "a")
    for future in failing:
        with pytest.raises(LookupError):
            result(future)
    assert "a" == result(fine)[1]
    warm = [model.key for slot in pool._backlog._workers.values() for model in slot.warm]
    assert [f"bodies.load({str(tmp_path)!r}, 'a')"] == warm, "and that is learned"


def test_calls_that_want_nothing_run_side_by_side(pool: WarmProcessPool, tmp_path: Path) -> None:
    assert 2 == len(
        side_by_side(tmp_path, lambda gate: pool.submit(bodies.waiting, str(tmp_path), "", gate))
    )


def test_a_process_that_dies_takes_only_its_own_call_with_it(
    pool: WarmProcessPool, tmp_path: Path, gates: Callable[[str], Gate]
) -> None:
    gate = gates("gate")
    dying = submit(pool, bodies.waiting, tmp_path, "a", "gate")
    others = [submit(pool, bodies.use, tmp_path, name) for name in "abab"]
    os.kill(process := gate.entered(), signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):
        result(dying)
    assert ["a", "b", "a", "b"] == [result(future)[1] for future in others]
    assert process not in {result(future)[0] for future in others}
    loads = Counter(journal(tmp_path, "loads"))
    assert 2 <= loads["a"], "again, in the process that came instead"


def test_over_pools_of_one_process_one_that_breaks_is_left_out(
    tmp_path: Path, gates: Callable[[str], Gate]
) -> None:
    gate = gates("gate")
    spawn = multiprocessing.get_context("spawn")
    slots = [ProcessPoolExecutor(1, mp_context=spawn) for _ in range(2)]
    with RoutedExecutor(slots) as pool:
        dying = submit(pool, bodies.waiting, tmp_path, "a", "gate")
        others = [submit(pool, bodies.use, tmp_path, name) for name in "abab"]
        os.kill(gate.entered(), signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            result(dying)
        assert ["a", "b", "a", "b"] == [result(future)[1] for future in others]


def test_a_call_is_run_though_the_process_had_died_before(tmp_path: Path) -> None:
    with WarmProcessPool(1) as pool:
        os.kill(result(pool.submit(bodies.pid)), signal.SIGKILL)
        pool._slots[0]._executor_manager_thread.join(CAP)  # it has seen that
        assert "a" == result(submit(pool, bodies.use, tmp_path, "a"))[1]


def test_what_cannot_be_pickled_fails_its_call_and_nothing_else(
    pool: WarmProcessPool, tmp_path: Path
) -> None:
    process = result(submit(pool, bodies.use, tmp_path, "a"))[0]
    with pytest.raises(TypeError, match="pickle"):
        result(submit(pool, bodies.use, tmp_path, "a", threading.Lock()))
    with pytest.raises(TypeError, match="pickle"):
        result(submit(pool, _a_lock, tmp_path, "a"))
    assert process == result(submit(pool, bodies.use, tmp_path, "a"))[0]


def _a_lock(folder: str, name: str) -> Any:
    return threading.Lock()


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_is_warm_is_torn_down_once_when_the_pool_is_shut_down(
    method: str, tmp_path: Path
) -> None:
    with WarmProcessPool(2, mp_context=multiprocessing.get_context(method)) as pool:
        for name in "ab":
            result(submit(pool, bodies.use, tmp_path, name))
    assert ["a", "b"] == sorted(journal(tmp_path, "torn down"))
    assert torn_down_once(tmp_path)


def test_what_is_warm_is_torn_down_on_sigterm(
    pool: WarmProcessPool, tmp_path: Path, gates: Callable[[str], Gate]
) -> None:
    gate = gates("gate")
    future = submit(pool, bodies.waiting, tmp_path, "a", "gate")
    os.kill(gate.entered(), signal.SIGTERM)
    with pytest.raises(BrokenProcessPool):
        result(future)
    assert ["a"] == journal(tmp_path, "torn down")


def test_a_pool_that_nobody_has_any_more_ends_its_processes(tmp_path: Path) -> None:
    pool = WarmProcessPool(1)
    process = result(submit(pool, bodies.use, tmp_path, "a"))[0]
    del pool
    assert gone(process)
    assert ["a"] == journal(tmp_path, "torn down")


def test_shutdown_cancels_what_has_not_begun(tmp_path: Path, gates: Callable[[str], Gate]) -> None:
    gate = gates("gate")
    with WarmProcessPool(1) as pool:
        running = submit(pool, bodies.waiting, tmp_path, "a", "gate")
        waiting = submit(pool, bodies.use, tmp_path, "b")
        process = gate.entered()
        pool.shutdown(wait=False, cancel_futures=True)
        assert waiting.cancelled()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(bodies.pid)
        gate.open()
        assert process == result(running)
    assert gone(process)
    assert ["a"] == journal(tmp_path, "loads")
    assert ["a"] == journal(tmp_path, "torn down")


SCRIPT = """
    import atexit
    import sys
    from functools import partial
    from warmcache import warm
    from warmcache.executors import RoutedExecutor, WarmProcessPool

    class Model:
        def __init__(self, name):
            self.name = name
        def close(self):
            print("torn down", self.name, flush=True)

    @warm(policy="lru", maxsize=1, teardown="close")
    def load(name):
        print("loaded", name, flush=True)
        return Model(name)

    def use(name):
        print("used", load(name).name, flush=True)

    if __name__ == "__main__":
        pool = WarmProcessPool(1)
        futures = [pool.submit(use, name, warm=partial(load, name)) for name in "aba"]
"""


@pytest.mark.parametrize(
    "end",
    [
        "",
        "pool.shutdown(wait=False)",
        "atexit.register(pool.shutdown)",
        "pool.shutdown(wait=False); atexit.register(pool.shutdown)",
        "atexit.register(pool.shutdown, wait=False)",
    ],
)
def test_what_a_script_has_submitted_is_done_though_it_ends_at_once(
    end: str, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"{textwrap.dedent(SCRIPT)}    {end}\n")
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=50, check=False
    )
    lines = ran.stdout.splitlines()
    assert "" == ran.stderr
    assert ["used a", "used a", "used b"] == sorted(line for line in lines if "used" in line)
    ends = [line.removeprefix("torn down ") for line in lines if "torn down" in line]
    assert sorted(ends) == sorted(
        line.removeprefix("loaded ") for line in lines if "loaded" in line
    )


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_meanwhile_ends_without_waiting(
    pool: WarmProcessPool, tmp_path: Path, gates: Callable[[str], Gate]
) -> None:
    gate = gates("gate")
    running = submit(pool, bodies.waiting, tmp_path, "a", "gate")
    gate.entered()
    child = multiprocessing.get_context("fork").Process(target=bodies.pid)
    child.start()
    child.join(CAP)
    assert 0 == child.exitcode
    gate.open()
    result(running)


def test_loaders_and_functions_that_cannot_be_imported_travel_by_value(
    pool: WarmProcessPool, tmp_path: Path
) -> None:
    nested, use_nested = bodies.unimportable()
    each = [partial(nested, str(tmp_path), "a")] * 5
    answers = pool.map(use_nested, [str(tmp_path)] * 5, "aaaaa", warm=each, timeout=CAP_OF_A_START)
    assert len({*answers}) == len(journal(tmp_path, "loads")), "once in each process"


def test_the_initializer_is_called_in_each_process(tmp_path: Path) -> None:
    with WarmProcessPool(1, initializer=bodies.note, initargs=(str(tmp_path), "begun", "")) as pool:
        result(pool.submit(bodies.pid))
        result(pool.submit(bodies.pid))
    assert [""] == journal(tmp_path, "begun")


def test_an_initializer_that_fails_fails_the_calls_and_ends() -> None:
    with WarmProcessPool(1, initializer=_failing) as pool:
        futures = [pool.submit(bodies.pid) for _ in range(2)]
        for future in futures:
            with pytest.raises(BrokenProcessPool):
                result(future)


def _failing() -> None:
    raise LookupError("as told")


def test_processes_are_not_forked_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: _contexts(method, fork))
    assert "forkserver" == executors._default_context()


def _contexts(method: str | None, default: Any) -> Any:
    return default if method is None else method


def test_a_pool_without_processes_is_refused() -> None:
    with pytest.raises(ValueError, match="max_workers must be a whole number, 1 or more"):
        WarmProcessPool(0)
