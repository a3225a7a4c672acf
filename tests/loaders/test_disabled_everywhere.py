"""Caching switched off for a whole process: by ``disabled(everywhere=True)``, by WARMCACHE=off."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import disabled, no_load, warm

CAP = 5.0


def loader(**options: Any) -> Any:
    return warm(maxsize=4, **options)(lambda name: object())


def in_a_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(CAP)


def test_a_thread_that_begins_inside_loads_afresh() -> None:
    load = loader()
    kept = load("a")
    with disabled(everywhere=True):
        assert kept is not in_a_thread(lambda: load("a"))
    assert kept is in_a_thread(lambda: load("a")) is load("a")


@pytest.mark.race
def test_a_thread_that_runs_already_loads_afresh_until_the_block_ends() -> None:
    load = loader()
    steps = [threading.Event() for _ in range(4)]
    seen: list[Any] = []

    def serve() -> None:
        for mine, others in ((0, 1), (2, 3)):
            seen.append(load("a"))
            steps[mine].set()
            assert steps[others].wait(CAP)
        seen.append(load("a"))

    thread = threading.Thread(target=serve)
    thread.start()
    assert steps[0].wait(CAP)
    with disabled(everywhere=True):
        steps[1].set()
        assert steps[2].wait(CAP)
    steps[3].set()
    thread.join(CAP)
    before, within, after = seen
    assert before is after and within is not before


def test_a_lease_inside_has_a_value_of_its_own() -> None:
    closed: list[Any] = []
    load = loader(teardown=closed.append)
    kept = load("a")

    def lease() -> Any:
        with load.lease("a") as value:
            return value

    with disabled(everywhere=True):
        fresh = in_a_thread(lease)
    assert fresh is not kept and [fresh] == closed


async def test_an_asynchronous_loader_is_disabled_too() -> None:
    @warm
    async def load(name: str) -> object:
        return object()

    kept = await load("a")
    with disabled(everywhere=True):
        assert kept is not await asyncio.create_task(load("a"))
    assert kept is await load("a")


def test_blocks_nest_and_overlap() -> None:
    load = loader()
    kept = load("a")
    outer, inner = disabled(everywhere=True), disabled(everywhere=True)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert load("a") is not kept
    inner.__exit__(None, None, None)
    assert load("a") is kept


def test_a_failure_inside_ends_it() -> None:
    load = loader()
    kept = load("a")
    with pytest.raises(ZeroDivisionError), disabled(everywhere=True):
        raise ZeroDivisionError
    assert load("a") is kept


def test_without_it_other_threads_go_on_as_ever() -> None:
    load = loader()
    kept = load("a")
    with disabled(everywhere=False):
        assert kept is in_a_thread(lambda: load("a"))


def test_loading_may_be_forbidden_in_there() -> None:
    load = loader()
    load("a")
    with disabled(everywhere=True), no_load(), pytest.raises(warmcache.WarmMissError):
        load("a")


def test_hits_run_generated_code_again_afterwards() -> None:
    load = loader()
    with disabled(everywhere=True):
        load("a")
    load("a"), load("a")
    assert 1 == len(load.lease.__self__._site.hot.table)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("by_its_thread", [True, False])
def test_a_forked_child_is_inside_if_its_thread_was(by_its_thread: bool) -> None:
    load = loader()

    def fork() -> int:
        child = os.fork()
        if not child:
            os._exit(load("a") is load("a"))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with disabled(everywhere=True):
        keeps = fork() if by_its_thread else in_a_thread(fork)
    assert keeps == (not by_its_thread)


# -- the environment -------------------------------------------------------------------

PROGRAM = """
import threading
from warmcache import warm
loads = []

@warm
def load(name):
    loads.append(name)

load("a")
load("a")
thread = threading.Thread(target=load, args=("a",))
thread.start()
thread.join()
print(len(loads), load.cache_info().currsize)
"""


def _run(said: str | None) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(warmcache.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment if said is None else {**environment, "WARMCACHE": said},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("said", ["off", "OFF", "0", "false", "no", " No ", "disabled", "none"])
def test_the_environment_switches_it_off(said: str) -> None:
    assert "3 0\n" == _run(said).stdout


@pytest.mark.parametrize("said", [None, "", "on", "1", "True", "yes", "enabled"])
def test_the_environment_leaves_it_on(said: str | None) -> None:
    assert "1 1\n" == _run(said).stdout


def test_the_environment_is_refused_where_it_says_neither() -> None:
    done = _run("offf")
    assert "WARMCACHE='offf', which is neither on nor off: set it to off, 0," in done.stderr
    assert 0 != done.returncode and "" == done.stdout


@pytest.mark.parametrize("program", ["module", "script"])
def test_the_command_says_in_a_line_what_the_environment_says(program: str, tmp_path: Path) -> None:
    script = tmp_path / "warmcache"
    script.write_text("import sys\nfrom warmcache.cli import main\nsys.exit(main())\n")
    where = ["-m", "warmcache"] if program == "module" else [str(script)]
    done = subprocess.run(
        [sys.executable, *where, "info"],
        env={"PYTHONPATH": str(Path(warmcache.__file__).parents[1]), "WARMCACHE": "maybe"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("warmcache: the environment says WARMCACHE='maybe', which is neither")
    assert 0 != done.returncode


def test_everywhere_is_true_or_false() -> None:
    with pytest.raises(TypeError, match="everywhere must be True or False, got 'x'"):
        disabled(everywhere="x")  # type: ignore[arg-type]
