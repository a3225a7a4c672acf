"""What a pool's worker tears down as it ends: all of it, or on SIGTERM what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run

pytestmark = pytest.mark.engines

PROGRAM = """
import multiprocessing, signal
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

@warm(teardown="close")
def load(name):
    return Value(name)

def work():
    load("a"), load("b")
    return os.getpid()

def pool_of(kind, initializer):
    if kind == "loky":
        import loky
        return loky.ProcessPoolExecutor(1, initializer=initializer)
    return ProcessPoolExecutor(1, multiprocessing.get_context(kind), initializer)

def main(kind, end, *asked):
    with pool_of(kind, warmcache.close_on_sigterm if asked else None) as pool:
        worker = pool.submit(work).result()
        assert worker != os.getpid()
        if end == "sigterm":
            os.kill(worker, signal.SIGTERM)
            try:
                while True:
                    pool.submit(os.getpid).result()
            except BrokenExecutor:
                say("broken")

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
POOLS = pytest.mark.parametrize("kind", ["spawn", "forkserver", "fork", "loky"])
ALL = ["child closes child's b", "child closes child's a"]


@POOLS
def test_a_worker_of_a_pool_that_is_shut_down_tears_down_all(kind: str, tmp_path: Path) -> None:
    assert ALL == run(tmp_path, PROGRAM, kind, "shutdown", stderr=None)


@POOLS
def test_a_worker_that_gets_sigterm_tears_down_nothing(kind: str, tmp_path: Path) -> None:
    assert ["broken"] == run(tmp_path, PROGRAM, kind, "sigterm", stderr=None)


@POOLS
def test_a_worker_that_has_asked_for_it_tears_down_all_on_sigterm(
    kind: str, tmp_path: Path
) -> None:
    assert [*ALL, "broken"] == run(tmp_path, PROGRAM, kind, "sigterm", "asked", stderr=None)
