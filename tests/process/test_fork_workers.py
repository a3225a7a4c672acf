"""Workers load for all their tasks, and tear down what they have loaded, however they begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run

pytestmark = needs_fork

WORKERS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

@warm(policy="lru", maxsize=4, teardown="close")
def load(name):
    return Value(name)

def work(name):
    return load(name).name, load(name) is load(name), load.cache_info()

def main():
    load("a")
    method, how = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if how == "executor":
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            done = [pool.submit(work, "a").result() for _ in range(2)]
    else:
        with context.Pool(1) as pool:
            done = pool.map(work, ["a", "a"])
            pool.close()
            pool.join()
    for name, same, info in done:
        say(name, same, info.hits, info.misses)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", ["executor", "pool"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_worker_loads_once_for_all_its_tasks_and_tears_that_down_at_its_end(
    method: str, how: str, tmp_path: Path
) -> None:
    said = run(tmp_path, WORKERS, method, how)
    assert ["parent closes parent's a"] == said[-1:]
    assert ["child closes child's a"] == [line for line in said[:-1] if "closes" in line]
    assert ["child's a True 2 1", "child's a True 5 1"] == [line for line in said if "True" in line]


def test_workers_forked_by_a_thread_while_another_holds_the_lock_begin_anew(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        WORKERS.replace("\n", "\n        ").replace("    main()\n", "    pass\n")
        + """
        held, go = threading.Event(), threading.Event()
        def hold():
            with load.cache._store.lock:
                held.set()
                go.wait(20)
        def fork():
            context = multiprocessing.get_context("fork")
            child = context.Process(target=work, args=("a",))
            child.start()
            child.join(20)
            say("ended with", child.exitcode)
        load("a")
        holder = in_thread(hold)
        held.wait(20)
        in_thread(fork).join()
        go.set()
        holder.join()
        """,
    )
    assert ["child closes child's a", "ended with 0", "parent closes parent's a"] == said
