"""The demo with several workers: one budget beside split ones, and how the workers end."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import demo_zoo
import pytest
from rich.console import Console

from warmcache.demo import DemoError, _run
from warmcache.demo._checks import checks
from warmcache.demo._options import Options
from warmcache.demo._plain import line_of_workers
from warmcache.demo._requests import PERIOD, spread
from warmcache.demo._screen import drawn_of_workers
from warmcache.demo._status import Standing
from warmcache.demo._tally import Tally
from warmcache.demo._worker import _close, _counted
from warmcache.demo._workers import perform_both

OPTIONS = Options(requests=120, budget=150, threads=4, seed=1, workers=2)
CAP = 20.0  # seconds


@contextmanager
def unseen():
    yield lambda standing: None


def performed(catalogue=demo_zoo.right_models, view=unseen, **options):
    return perform_both(replace(OPTIONS, **options), catalogue(), catalogue, view)


@pytest.fixture(scope="module")
def ways():
    return performed()


@pytest.fixture
def run(tmp_path):
    return lambda catalogue, **options: _run.run(
        replace(OPTIONS, out=tmp_path, **options), catalogue
    )


# -- serving -----------------------------------------------------------------------


def test_both_ways_answer_the_same_requests_and_every_check_holds(ways):
    one, split = (way.outcome for way in ways)
    assert one.requests == split.requests
    for outcome in (one, split):
        assert 120 == sum(map(len, outcome.journal.answers.values()))
        assert all(check.holds for check in checks(outcome))


def test_the_peak_is_of_all_workers_together_and_within_the_budget(ways):
    for way in ways:
        largest = 41  # with its tokenizer, and more than one worker has something
        assert largest < way.outcome.journal.peak() <= 150


def test_under_one_budget_a_worker_has_more_than_its_part_of_it():
    most = Counter()

    @contextmanager
    def watched():
        def show(standing):
            most[standing.way] = max(most[standing.way], *standing.parts)

        yield show

    # One thread, so that all of a model's needs have room in a part.
    performed(view=watched, threads=1, requests=200)
    assert most["one budget"] > 75 >= most["2 split budgets"]


def test_the_summary_has_loads_load_seconds_and_the_peak_of_both(run, capsys):
    assert 0 == run(demo_zoo.right_models)
    said = capsys.readouterr().out
    head, one, split = re.search(r"^( +loads .*)\n(one .*)\n(2 split .*)$", said, re.M).groups()
    assert ["loads", "load", "seconds", "a", "use", "evicted", "peak"] == head.split()[:7]
    for row in (one, split):
        assert re.search(r"budgets? +\d+ +\d+\.\d\d +\d+\.\d ms +\d+ +\d+ B +\d+\.\d s", row)
    assert "WRONG" not in said
    assert 10 == sum(line.startswith("right") for line in said.splitlines())
    assert "5 models, 2 times that weigh 202 B together, 150 B to hold them" in said
    assert "of 120 requests" in said


def test_a_run_with_a_wrong_answer_ends_with_1_and_says_which_way(run, capsys):
    assert 1 == run(demo_zoo.wrong_models)
    said = capsys.readouterr().out
    assert "WRONG  one budget: answers are right" in said
    assert "WRONG  2 split budgets: answers are right" in said


# -- what it refuses ---------------------------------------------------------------


def test_a_part_of_the_budget_below_the_largest_model_is_refused_before_a_worker_starts(run):
    with pytest.raises(DemoError) as refused:
        run(demo_zoo.right_models, workers=4)
    assert str(refused.value).startswith(
        "--workers: 4 workers have 37 B each of a split budget, and 37 B cannot hold forty, "
        "which weighs 41 B with its tokenizer"
    )
    assert [] == active_children()


def test_a_policy_without_a_budget_to_share_is_refused(run):
    with pytest.raises(DemoError, match="'lru' has no budget that .* can use: auto, gpu, ram"):
        run(demo_zoo.right_models, policy="lru")


def test_a_system_without_flock_is_refused(run, monkeypatch):
    monkeypatch.setattr("warmcache._node.flock.fcntl", None)
    with pytest.raises(DemoError, match="--workers: .*flock"):
        run(demo_zoo.right_models)


# -- how workers end ---------------------------------------------------------------


def test_all_workers_have_ended_after_the_run(ways):
    assert [] == active_children()


def test_a_worker_whose_load_fails_ends_the_run_with_what_it_raised(capfd):
    with pytest.raises(DemoError, match=r"worker \d has failed: OSError: no such weights"):
        performed(demo_zoo.broken_models)
    assert "no such weights" in capfd.readouterr().err
    assert [] == active_children()


def test_a_worker_that_is_killed_ends_the_run():
    with pytest.raises(DemoError, match=r"worker \d has ended, exit code -9"):
        performed(demo_zoo.killed_models)
    assert [] == active_children()


def test_an_interrupt_ends_all_workers():
    @contextmanager
    def interrupted():
        def show(standing):
            raise KeyboardInterrupt

        yield show

    with pytest.raises(KeyboardInterrupt):
        performed(view=interrupted)
    assert [] == active_children()


PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(demo_zoo.__file__).parent)!r})
import demo_zoo
from warmcache.demo import _run, _workers
from warmcache.demo._options import Options

if __name__ == "__main__":
    _workers.PATIENCE = 1.0
    options = Options(requests=120, budget=150, threads=2, seed=1, workers=2)
    _run.run(options, getattr(demo_zoo, sys.argv[1]))
"""


@contextmanager
def hanging(tmp_path, catalogue="hanging_models"):
    """Give a run that has come to a load that hangs, and the worker in which it does."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, program, catalogue],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        for said in process.stdout:
            if said.startswith("hangs: "):
                break
        else:
            raise AssertionError(process.stderr.read())
        yield process, int(said.split()[1])
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(CAP)
        process.stdout.close()
        process.stderr.close()


def gone(pid):
    deadline = time.monotonic() + CAP
    while Path(f"/proc/{pid}").exists() or _alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("catalogue", ["hanging_models", "stopped_models"])
def test_a_ctrl_c_is_the_parents_alone_and_ends_workers_that_hang(catalogue, tmp_path):
    with hanging(tmp_path, catalogue) as (process, worker):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.wait(CAP)
        assert not _alive(worker)
        assert 1 == process.stderr.read().count("Traceback")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    with hanging(tmp_path) as (process, worker):
        process.kill()
        process.wait(CAP)
        assert gone(worker)


# -- the bytes of all --------------------------------------------------------------


@pytest.fixture
def tallies(tmp_path):
    tallies = [Tally(tmp_path / "tally", 2, at) for at in range(2)]
    yield tallies
    for tally in tallies:
        tally.close()


def test_the_peak_is_the_most_that_all_had_at_once(tallies):
    one, other = tallies
    one.add(50)
    other.add(30)
    one.add(-50)
    other.add(40)
    assert ([0, 70], 80, 80) == (one.parts(), one.peak(), other.peak())


def test_a_restarted_tally_has_forgotten_the_peak_and_not_what_is_there(tallies):
    one, other = tallies
    one.add(50)
    one.add(-40)
    one.restart()
    other.add(5)
    assert 15 == one.peak()


def test_a_model_counts_from_before_its_load_until_it_is_torn_down(tallies, zoo):
    tally, seen = tallies[0], []
    spec = zoo.spec("ten", 10)

    def load(device):
        seen.append(tally.parts()[0])
        return spec.load(device)

    model = _counted(replace(spec, load=load), tally).load("cpu")
    close = model.close
    model.close = lambda: (close(), seen.append(tally.parts()[0]))
    _close(tally, model)
    assert ([10, 10], 0) == (seen, tally.parts()[0])


def test_a_load_that_fails_counts_no_more(tallies, zoo):
    def load(device):
        raise OSError("no such weights")

    with pytest.raises(OSError, match="no such weights"):
        _counted(replace(zoo.spec("ten", 10), load=load), tallies[0]).load("cpu")
    assert 0 == tallies[0].parts()[0]


# -- the requests ------------------------------------------------------------------


def test_one_worker_is_busy_at_a_time_and_all_take_turns():
    found = spread(["a", "b", "c"], 4 * PERIOD, 2, seed=3)
    busiest = []
    for start in range(0, len(found), PERIOD):
        counts = Counter(worker for worker, _ in found[start : start + PERIOD])
        [(worker, count)] = counts.most_common(1)
        assert count > 0.6 * PERIOD
        busiest.append(worker)
    assert [0, 1] * 2 == busiest or [1, 0] * 2 == busiest


def test_workers_have_popular_models_of_their_own():
    found = spread([*"abcdef"], 600, 2, seed=0)
    first, second = (
        Counter(request.model for worker, request in found if worker == at).most_common(1)[0][0]
        for at in range(2)
    )
    assert first != second


def test_the_same_seed_gives_the_same_requests():
    one, again, other = (spread(["a", "b"], 50, 3, seed) for seed in (0, 0, 1))
    assert one == again != other


# -- what is shown meanwhile -------------------------------------------------------

STANDING = Standing(replace(OPTIONS, budget=100), "one budget", 30, 1.5, [40, 10])


def test_a_line_says_what_each_worker_has():
    expected = "   1.5 s  one budget: 30 of 120 requests  40 B + 10 B of 100 B"
    assert expected == line_of_workers(STANDING)


def test_the_live_view_has_a_bar_for_each_worker():
    console = Console(file=io.StringIO(), width=90)
    console.print(drawn_of_workers(STANDING))
    lines = console.file.getvalue().splitlines()
    for number, share in ((1, 0.4), (2, 0.1)):
        [bar] = [line for line in lines if f"worker {number}" in line]
        assert bar.count("█") == share * (bar.count("█") + bar.count("·"))
    assert any("50 B of 100 B together" in line for line in lines)
    assert any("30 of 120" in line for line in lines)


# -- the real models ---------------------------------------------------------------


@pytest.mark.models
@pytest.mark.timeout(300)
def test_real_models_are_served_both_ways_and_every_check_holds(tmp_path):
    command = [sys.executable, "-m", "warmcache", "demo", "--workers=2", "--requests=60"]
    ended = subprocess.run(
        [*command, f"--out={tmp_path}"], capture_output=True, text=True, timeout=280
    )
    assert 0 == ended.returncode, ended.stderr
    assert "WRONG" not in ended.stdout
    for way in ("one budget", "2 split budgets"):
        assert re.search(rf"^{way} +\d+ +\d+\.\d\d .* MiB +\d+\.\d s", ended.stdout, re.M)
