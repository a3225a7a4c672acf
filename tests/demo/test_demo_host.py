"""The demo with a host tier: who has to make room is parked, and comes back without a load."""

import dataclasses
import io
import re
import subprocess
import sys
from types import SimpleNamespace

import demo_zoo
import pytest
from rich.console import Console

from warmcache import cli
from warmcache._core.state.host_ledger import HostLedger
from warmcache._sizes import format_size
from warmcache.demo import DemoError, _parked, _run
from warmcache.demo._checks import checks
from warmcache.demo._journal import Gone, Journal, Load, Move
from warmcache.demo._options import Options
from warmcache.demo._parked import check_host, host_budget
from warmcache.demo._screen import drawn
from warmcache.demo._server import Server
from warmcache.demo._status import Status
from warmcache.demo._summary import models, show

OPTIONS = Options(requests=200, budget=75, threads=4, seed=1, host=1000)


@pytest.fixture(autouse=True)
def parker(monkeypatch):
    """Have fake models parked, and moved in no time: that always pays."""
    monkeypatch.setattr(_parked, "_parker", lambda device, budget: demo_zoo.FakeParker())
    monkeypatch.setattr(_parked, "spare", lambda sample: None)


@pytest.fixture
def always_pays(monkeypatch):
    """Have whatever makes room be parked, though fake models load at once."""
    monkeypatch.setattr(HostLedger, "pays", lambda self, parked: True)


@pytest.fixture
def perform(zoo):
    return lambda **said: _run.perform(
        dataclasses.replace(OPTIONS, **said), demo_zoo.parkable_specs_of(zoo)
    )


# -- serving -----------------------------------------------------------------------


def test_what_has_to_make_room_comes_back_without_a_load(perform, zoo, always_pays):
    outcome = perform()
    host, journal = outcome.stats.host, outcome.journal
    # The tokenizer cannot be parked: where it makes room, it is loaded again.
    names = [load.name for load in journal.loads if load.name != "tokenizer"]
    assert len(names) == len({*names}) == 4
    assert host.unparks == len(journal.unparks) > 0
    assert host.parks == len(journal.parks)
    assert all(check.holds for check in checks(outcome))


def test_what_is_parked_is_torn_down_once_in_the_end(perform, zoo, always_pays):
    outcome = perform()
    assert outcome.stats.host.entries > 0
    assert sorted(zoo.loaded) == sorted(zoo.closed)


def test_the_bytes_of_what_is_parked_are_not_counted_against_the_budget(perform, always_pays):
    journal = perform().journal
    assert 41 < journal.peak() <= 75


def test_what_is_torn_down_for_a_full_host_is_on_no_device(perform, always_pays):
    outcome = perform(host=45)
    assert any(gone.evicted for gone in outcome.journal.gone)
    assert all(check.holds for check in checks(outcome))


def test_what_cannot_be_parked_is_told_of_no_way(zoo):
    parking = _parked.Parking("cpu", 100, Journal())
    ways = {spec.name: [*parking.options(spec)] for spec in demo_zoo.parkable_specs_of(zoo)}
    assert ([], ["park"]) == (ways["tokenizer"], ways["forty"])


def test_the_live_view_shows_what_is_parked_and_none_of_its_bytes(zoo, always_pays):
    specs = demo_zoo.parkable_specs_of(zoo)
    server = Server(specs, policy="ram", budget=75, journal=Journal(), host=1000)
    with server.cache:
        for name in ("forty", "thirty", "forty", "twenty"):
            with server.lease(name):
                pass
        status = Status.of(server, OPTIONS, 4)
    console = Console(file=io.StringIO(), width=90)
    console.print(drawn(status))
    lines = console.file.getvalue().splitlines()
    states = {name: entry.state for name, entry in status.entries}
    away = sum(spec.weight for spec in specs if states.get(spec.name) == "parked")
    assert 0 < away == 90 - status.committed
    assert any(f"{format_size(status.committed)} of 75 B" in line for line in lines)
    assert any(" parked " in line for line in lines)
    assert not any("▒" in line for line in lines)  # as what is on its way has in the bar


@pytest.mark.parametrize(
    ("state", "away", "expected"),
    [
        ("parked", True, {}),
        ("dying", True, {}),
        ("dying", False, {"a": 40}),
        ("live", False, {"a": 40}),
    ],
)
def test_what_is_torn_down_counts_where_it_has_come_back(state, away, expected):
    entry = SimpleNamespace(key="key", weight=40, state=state)
    journal = Journal()
    journal.follow(SimpleNamespace(entries=lambda: [entry]), {"key": "a"})
    journal.loaded("a", 0, 40)
    journal.parked("a", 0)
    if not away:
        journal.unparked("a", 0)
    journal.sample()
    assert expected == journal.samples[-1].weights


def test_without_a_host_nothing_is_parked(perform):
    outcome = perform(host=None)
    assert (None, [], []) == (outcome.stats.host, outcome.journal.parks, outcome.journal.unparks)
    assert "parked" not in said(outcome)


def test_bytes_are_given_back_with_what_was_parked():
    dropped = []
    parked = demo_zoo.FakeParked("model", 10, lambda: dropped.append(10))
    state = _parked._State(parked)
    assert (10, []) == (state.nbytes, dropped)
    del state
    assert [10] == dropped


# -- what it says ------------------------------------------------------------------


@pytest.fixture
def outcome(perform):
    """A run whose loads and moves are these."""
    outcome = perform()
    journal = outcome.journal
    journal.loads[:] = [Load("twenty", 0, 3.0, 20), Load("tokenizer", 0, 1.0, 1)]
    journal.parks[:] = [Move("twenty", 4.0, 4.25), Move("twenty", 6.0, 6.25)]
    journal.unparks[:] = [Move("twenty", 5.0, 5.5, 3.0), Move("twenty", 7.0, 7.5, 3.0)]
    requests = [each for each in outcome.requests if each.model == "twenty"][:4]
    host = outcome.stats.host
    counts = dict(parks=2, unparks=2, not_worth=3, full=0, failures={"park": 1}, entries=1)
    host = type(host)(**counts, bytes=20, budget=1000)
    stats = {name: getattr(outcome.stats, name) for name in type(outcome.stats).__annotations__}
    stats = type(outcome.stats)(**{**stats, "host": host})
    return dataclasses.replace(outcome, requests=requests, stats=stats)


def said(outcome):
    console = Console(file=io.StringIO(), width=110)
    show(outcome, checks(outcome), console)
    return " ".join(console.file.getvalue().split())


def test_the_summary_has_loads_moves_and_what_they_saved(outcome):
    text = said(outcome)
    for part in (
        "load seconds paid 4.00 in 2 loads",
        "unparked instead 2 times in 1.00 s, for which loads had taken 6.00 s",
        "parked for that 2 times in 0.50 s: 4.50 s saved",
        "in the end 1 model, 20 B of 1000 B",
        "torn down instead 3 that come back hardly quicker than they load, 1 that could not be",
    ):
        assert part in text


def test_other_ways_are_compared_with_loads_and_moves_together(outcome):
    assert "a cold start per request 16.00 in 8 loads: 2.91 times as much" in said(outcome)


def test_a_model_has_its_unparks_and_their_seconds(outcome):
    console = Console(file=io.StringIO(), width=110)
    console.print(models(outcome))
    [row] = [line.split() for line in console.file.getvalue().splitlines() if "twenty" in line]
    assert ["1", "3.000", "2", "0.500"] == row[4:8]


@pytest.mark.parametrize(("device", "expected"), [("cpu", True), ("cuda:0", False)])
def test_that_it_saves_no_memory_is_said_where_there_is_no_gpu(outcome, device, expected):
    text = said(dataclasses.replace(outcome, device=device))
    assert expected is ("parking saves no memory" in text)


def test_a_model_is_parked_until_it_comes_back_or_goes():
    journal = Journal()
    journal.parks[:] = [Move("a", 1, 2), Move("b", 2, 3), Move("a", 5, 6)]
    journal.unparks[:] = [Move("a", 4, 5)]
    journal.gone[:] = [Gone("a", 8, None), Gone("b", 7, None)]
    assert ([(2, 4), (6, 8)], [(3, 7)]) == (journal.parked_spans("a"), journal.parked_spans("b"))


# -- the option --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"), [([], None), (["--host"], True), (["--host=1KiB"], 1024)]
)
def test_the_size_is_the_one_that_is_said(said, expected, monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "run", lambda options: seen.append(options.host) or 0)
    assert 0 == cli.main(["demo", *said])
    assert [expected] == seen


@pytest.mark.parametrize(
    ("said", "spare", "expected"),
    [
        (True, None, (150, "twice the budget")),
        (True, 225, (150, "twice the budget")),
        (True, 224, (149, "what fits")),
        (30, 0, (30, "as was said")),
    ],
)
def test_alone_it_is_twice_the_budget_or_what_fits(said, spare, expected, monkeypatch):
    monkeypatch.setattr(_parked, "spare", lambda sample: spare)
    assert expected == host_budget(dataclasses.replace(OPTIONS, host=said))


def test_where_nothing_fits_it_asks_for_a_size(monkeypatch):
    monkeypatch.setattr(_parked, "spare", lambda sample: 75)
    with pytest.raises(DemoError, match="--host: nothing fits into this machine's memory beside"):
        host_budget(dataclasses.replace(OPTIONS, host=True))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"policy": "lru"}, "--policy: 'lru' has no device that models could leave"),
        ({"workers": 2}, "--host: each worker would have it for itself"),
    ],
)
def test_what_it_cannot_be_with_is_refused(said, expected):
    with pytest.raises(DemoError, match=expected):
        check_host(dataclasses.replace(OPTIONS, **said))
    check_host(dataclasses.replace(OPTIONS, **said, host=None))


# -- the real models ---------------------------------------------------------------


@pytest.mark.models
@pytest.mark.timeout(300)
def test_real_models_are_parked_and_every_check_holds(tmp_path):
    command = [sys.executable, "-m", "warmcache", "demo", "--host", "--requests=60"]
    ended = subprocess.run(
        [*command, f"--out={tmp_path}"], capture_output=True, text=True, timeout=280
    )
    assert 0 == ended.returncode, ended.stderr
    assert "WRONG" not in ended.stdout
    assert re.search(r"^unparked instead +[1-9]\d* times", ended.stdout, re.M)
    assert "cannot" not in ended.stderr
    assert (tmp_path / "timeline.png").stat().st_size
