"""The live view shows what is warm, in use and cold, and the counts."""

import io

import pytest
from rich.console import Console

from warmcache.demo._journal import Journal
from warmcache.demo._options import Options
from warmcache.demo._screen import drawn, live_view
from warmcache.demo._server import Server
from warmcache.demo._status import Status

OPTIONS = Options(requests=50, budget=100)


@pytest.fixture
def server(specs):
    server = Server(specs, policy="lru", budget=100, journal=Journal())
    with server.cache:
        yield server


@pytest.fixture
def console():
    return Console(file=io.StringIO(), force_terminal=True, width=90, color_system="truecolor")


def lines(server, done=0):
    console = Console(file=io.StringIO(), width=90)
    console.print(drawn(Status.of(server, OPTIONS, done)))
    return console.file.getvalue().splitlines()


def row(server, name):
    return next(line for line in lines(server) if f" {name} " in line)


def test_a_model_is_cold_then_in_use_then_warm(server):
    assert "cold" in row(server, "twenty")
    with server.lease("twenty"):
        assert "in use" in row(server, "twenty")
    assert "warm" in row(server, "twenty")


def test_a_model_that_was_evicted_is_cold_again_and_counted_by_cause(server):
    for name in ("forty", "thirty", "twenty", "ten", "tokenizer"):
        with server.lease(name):
            pass
    assert "cold" in row(server, "forty")
    assert any("evicted 1 by size" in line for line in lines(server))


def test_memory_is_shown_against_the_budget(server):
    with server.lease("forty"):
        bar = next(line for line in lines(server) if "█" in line)
    assert bar.count("█") == 0.4 * (bar.count("█") + bar.count("·"))


def test_leases_uses_and_hits_are_counted(server):
    with server.lease("twenty"), server.lease("twenty"):
        cells = row(server, "twenty").split()
        assert ["2", "2", "in", "use"] == cells[-5:-1]
        assert any("hits 1   misses 1   loads 1" in line for line in lines(server))


def test_progress_is_shown(server):
    assert any("17 of 50" in line for line in lines(server, done=17))


def test_the_view_draws_over_what_it_drew_before(server, console):
    with live_view(console, drawn) as show:
        show(Status.of(server, OPTIONS, 1))
        before = console.file.tell()
        show(Status.of(server, OPTIONS, 2))
    assert "\x1b[1A" in console.file.getvalue()[before:]
