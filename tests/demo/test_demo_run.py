"""The demo on fake models: what it serves, refuses, checks and says."""

import dataclasses
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest

from warmcache import CapacityError, ProbeUnavailable
from warmcache.demo import DemoError, _libraries, _picture, _run, _worker
from warmcache.demo._checks import checks
from warmcache.demo._options import Options
from warmcache.demo._spec import Answer, check_budget

OPTIONS = Options(requests=200, budget=75, threads=4, seed=1)


@pytest.fixture
def as_models(specs, monkeypatch):
    """Have the demo run with the fake models, and draw nothing."""
    monkeypatch.setattr(_worker, "import_all", lambda: None)
    fakes = SimpleNamespace(specs=lambda: specs)
    monkeypatch.setitem(sys.modules, "warmcache.demo._models", fakes)
    monkeypatch.setattr(_picture, "draw", lambda outcome, path: None)


@pytest.fixture
def outcome(specs):
    return _run.perform(OPTIONS, specs)


def failing(outcome):
    return [check.claim for check in checks(outcome) if not check.holds]


# -- serving -----------------------------------------------------------------------


def test_every_request_is_answered_by_a_model_that_was_not_torn_down(outcome):
    assert 200 == sum(map(len, outcome.journal.answers.values()))
    assert [] == failing(outcome)


def test_a_budget_that_cannot_hold_all_evicts(outcome):
    assert any(gone.evicted for gone in outcome.journal.gone)
    assert outcome.journal.peak() <= 75


def test_a_budget_that_holds_all_loads_each_once(specs):
    outcome = _run.perform(dataclasses.replace(OPTIONS, budget=101), specs)
    assert 5 == outcome.stats.loads == len(outcome.journal.loads)
    assert not any(gone.evicted for gone in outcome.journal.gone)


def test_whatever_was_loaded_was_torn_down_in_the_end(zoo, outcome):
    assert sorted(zoo.loaded) == sorted(zoo.closed)
    assert len(zoo.loaded) > len(outcome.specs)


def test_the_rehearsal_asks_every_model_and_is_not_part_of_the_run(outcome):
    assert {"forty", "thirty", "twenty", "ten"} == outcome.rehearsal.keys()
    assert len(outcome.journal.loads) == outcome.stats.loads


def test_what_a_load_raises_ends_the_run_and_the_cache_is_closed(zoo, specs):
    def broken(device):
        raise OSError("no such weights")

    loads = iter([specs[0].load, *[broken] * 1000])  # the rehearsal's is the first
    specs[0] = dataclasses.replace(specs[0], load=lambda device: next(loads)(device))
    with pytest.raises(OSError, match="no such weights"):
        _run.perform(OPTIONS, specs)
    assert sorted(zoo.loaded) == sorted(zoo.closed)


def test_an_interrupt_ends_what_is_under_way_and_closes_the_cache(zoo, specs, monkeypatch):
    def interrupted(pending, *_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run.perform(OPTIONS, specs)
    assert sorted(zoo.loaded) == sorted(zoo.closed)
    assert not [t for t in threading.enumerate() if t.name.startswith("server")]


@pytest.mark.race
def test_an_interrupt_in_the_midst_of_waiting_leaves_no_future_locked(zoo, specs, monkeypatch):
    def interrupted(pending, *args, **options):
        locked = 0

        def look(frame, event, arg):
            nonlocal locked
            if event == "c_return" and arg.__name__ == "acquire":
                locked += 1
                if locked == len(pending):
                    sys.setprofile(None)
                    signal.raise_signal(signal.SIGINT)

        sys.setprofile(look)
        try:
            return wait(pending, *args, **options)
        except KeyboardInterrupt:
            for future in pending:  # or this test would hang
                future._condition.release()
            pytest.fail("the interrupt came in the midst, with all of them locked")
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(_run, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run.perform(OPTIONS, specs)
    assert sorted(zoo.loaded) == sorted(zoo.closed)
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)


def test_an_interrupt_after_the_last_look_is_raised_at_the_end():
    with pytest.raises(KeyboardInterrupt), _run._interrupt_waits() as end_if_interrupted:
        end_if_interrupted()
        signal.raise_signal(signal.SIGINT)
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)


@pytest.mark.race
def test_a_second_interrupt_does_not_wait_for_what_is_under_way(specs, monkeypatch):
    def interrupted(pending, *args, **options):
        signal.raise_signal(signal.SIGINT)
        return wait(pending, *args, **options)

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, **options):
            super().shutdown(wait, **options)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_run, "wait", interrupted)
    monkeypatch.setattr(_run, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        _run.perform(OPTIONS, specs)


@pytest.mark.race
def test_an_interrupt_leaves_the_requests_that_have_not_begun(zoo, monkeypatch):
    asked, begun, cancelled = [], threading.Event(), threading.Event()
    spec = zoo.spec("only", 10)

    def answer(lease, chance):
        asked.append(threading.current_thread().name)
        if len(asked) > 1:  # the first was the rehearsal's
            begun.set()
            assert cancelled.wait(5)
        return spec.answer(lease, chance)

    def interrupted(pending, *_, **__):
        assert begun.wait(5)
        raise KeyboardInterrupt

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, **options):
            super().shutdown(wait=False, **options)
            cancelled.set()
            super().shutdown(wait)

    monkeypatch.setattr(_run, "wait", interrupted)
    monkeypatch.setattr(_run, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        _run.perform(
            dataclasses.replace(OPTIONS, threads=1), [dataclasses.replace(spec, answer=answer)]
        )
    assert 2 == len(asked)


# -- the budget --------------------------------------------------------------------


def test_a_budget_below_the_largest_model_is_refused_before_anything_is_loaded(
    zoo, as_models, tmp_path
):
    with pytest.raises(DemoError, match="cannot hold forty, which weighs 41 B with its tokenizer"):
        _run.run(dataclasses.replace(OPTIONS, budget=40, out=tmp_path))
    assert [] == zoo.loaded


def test_the_least_budget_is_enough(specs):
    check_budget(41, specs)
    outcome = _run.perform(dataclasses.replace(OPTIONS, budget=41), specs)
    assert [] == failing(outcome)


def test_a_budget_without_the_tokenizer_would_not_have_been_enough(specs):
    with pytest.raises(DemoError):
        check_budget(40, specs)
    with pytest.raises(CapacityError):
        _run.perform(dataclasses.replace(OPTIONS, budget=40, threads=1), specs)


# -- the device --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "usable", "expected"),
    [(True, True, False), (True, False, True), (False, False, False)],
)
def test_a_gpu_is_out_of_reach_if_it_is_there_and_torch_cannot_use_it(
    there, usable, expected, monkeypatch
):
    def probe(device):
        if not there:
            raise ProbeUnavailable("GPU 0", "there is none")

    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: usable))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(_libraries, "NvmlProbe", probe)
    assert expected is _libraries.gpu_is_out_of_reach()


def test_with_a_gpu_out_of_reach_models_go_into_the_machines_memory(
    as_models, monkeypatch, tmp_path, capsys
):
    drawn = []
    monkeypatch.setattr(_run, "gpu_is_out_of_reach", lambda: True)
    monkeypatch.setattr(_picture, "draw", lambda outcome, path: drawn.append(outcome))
    assert 0 == _run.run(dataclasses.replace(OPTIONS, out=tmp_path))
    assert "ram" == drawn[0].options.policy
    assert "which this torch cannot use" in capsys.readouterr().out


# -- checks ------------------------------------------------------------------------


def test_one_wrong_answer_fails_its_own_check(outcome):
    outcome.journal.answered("ten", Answer(False, -0.1))
    assert ["the other answers are right too"] == failing(outcome)


def test_a_wrong_answer_in_the_rehearsal_fails_the_check(outcome):
    outcome.rehearsal["ten"] = Answer(False, -0.1)
    assert ["the other answers are right too"] == failing(outcome)


def test_a_model_that_weighs_more_than_was_reserved_fails_the_check(outcome):
    load = outcome.journal.loads[3]
    outcome.journal.loads[3] = dataclasses.replace(load, weight=load.weight + 1)
    assert ["what was reserved before a load is what the model then weighs"] == failing(outcome)


def test_a_ledger_above_the_budget_fails_the_check(outcome):
    sample = outcome.journal.samples[3]
    outcome.journal.samples[3] = dataclasses.replace(sample, weights={"forty": 76})
    assert ["memory committed to models never exceeds the budget"] == failing(outcome)


def test_a_model_that_never_left_fails_the_check(outcome):
    del outcome.journal.gone[0]
    assert ["every model that was loaded left exactly once, and no teardown failed"] == failing(
        outcome
    )


# -- what is said ------------------------------------------------------------------


def test_a_run_that_is_right_ends_with_0_and_says_so(as_models, capsys, tmp_path):
    assert 0 == _run.run(dataclasses.replace(OPTIONS, out=tmp_path))
    said = capsys.readouterr().out
    assert "WRONG" not in said
    assert 5 == sum(line.startswith("right") for line in said.splitlines())


def test_a_run_that_is_wrong_ends_with_1_and_says_so(zoo, as_models, capsys, tmp_path):
    zoo.wrong.add("twenty")
    assert 1 == _run.run(dataclasses.replace(OPTIONS, out=tmp_path))
    said = capsys.readouterr().out
    assert 1 == sum(line.startswith("WRONG") for line in said.splitlines())
    assert "WRONG  answers are right" in said


def test_without_a_terminal_plain_lines_tell_of_every_tenth(
    as_models, capsys, tmp_path, monkeypatch
):
    # Every request is looked at, so that no line depends on the speed of this machine.
    monkeypatch.setattr(_run, "_REDRAW", 0)
    _run.run(dataclasses.replace(OPTIONS, threads=1, out=tmp_path))
    said = capsys.readouterr().out
    assert "\x1b" not in said
    lines = [line for line in said.splitlines() if " of 200 requests" in line]
    assert 1 <= len(lines) <= 10
    assert "200 of 200 requests" in lines[-1]
    assert "of 75 B" in lines[-1]


def test_the_summary_compares_with_cold_starts_and_lru_cache(as_models, capsys, tmp_path):
    _run.run(dataclasses.replace(OPTIONS, out=tmp_path))
    said = capsys.readouterr().out
    for phrase in ("requests/s", "load seconds paid", "a cold start per request", "times as much"):
        assert phrase in said
    assert "lru_cache(maxsize=2)" in said  # 40 + 30 fit 75, and 20 more do not
