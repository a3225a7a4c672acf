"""The example of a web server, under real ones: what it answers, and that nothing is left.

The servers get a socket that listens already, so nobody polls until they are up.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.servers
EXAMPLES = Path(__file__).parents[2] / "examples"
REQUESTS, THREADS = 320, 16
NAMES = ["ada", "bob", "eve", "max"]


class Server(NamedTuple):
    """How one is begun, and how it ends by SIGTERM."""

    command: list[str]
    workers: int
    status: int


UVICORN = Server(["uvicorn", "server:app", "--fd", "{fd}"], 1, -signal.SIGTERM)
GUNICORN = Server(["gunicorn", "server:app", "--bind", "fd://{fd}", "-k", "asgi"], 2, 0)
SERVERS = {
    "uvicorn": UVICORN,
    "gunicorn": GUNICORN,
    "gunicorn, preloaded": GUNICORN._replace(command=[*GUNICORN.command, "--preload"]),
}


@contextmanager
def running(server: Server, journal: Path) -> Iterator[str]:
    """Have ``server`` run meanwhile; then end it by SIGTERM, as whoever runs servers does."""
    told = {"SERVER_JOURNAL": str(journal), "WEB_CONCURRENCY": str(server.workers)}
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        fd = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", *(word.format(fd=fd) for word in server.command)],
            cwd=EXAMPLES,
            env=os.environ | told,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[fd],
            start_new_session=True,
        )
        try:
            host, port = listening.getsockname()
            yield f"http://{host}:{port}"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
            assert server.status == process.returncode, said
            assert "Traceback" not in said
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # it has a group of its own
                process.communicate()


def lived(journal: Path) -> dict[str, list[tuple[str, str]]]:
    """Return what each worker has loaded and closed, in that order."""
    lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in journal.read_text(encoding="utf-8").splitlines():
        worker, what, name = line.split()
        lines[worker].append((what, name))
    return lines


def wait_for(journal: Path, workers: int) -> None:
    """Return once so many workers have begun, for one that has not has nothing to tear down."""
    until = time.monotonic() + 5
    while len(lived(journal)) < workers and time.monotonic() < until:
        os.sched_yield()


def most(life: list[tuple[str, str]], sizes: dict[str, int]) -> int:
    """Return how many MiB were warm at most."""
    warm = 0
    levels = [warm := warm + (1 if "loaded" == what else -1) * sizes[name] for what, name in life]
    return max(levels)


@pytest.fixture
def server() -> Iterator[Any]:
    """The example, as a module."""
    sys.path.insert(0, str(EXAMPLES))
    module = importlib.import_module("server")
    yield module
    module.load.cache.close()
    del sys.modules["server"]
    sys.path.remove(str(EXAMPLES))


@pytest.mark.parametrize("kind", SERVERS.values(), ids=[*SERVERS])
def test_each_request_is_answered_and_each_model_torn_down(
    kind: Server, tmp_path: Path, server: Any
) -> None:
    import httpx2

    journal = tmp_path / "journal"
    with running(kind, journal) as url, httpx2.Client(base_url=url, timeout=20) as client:

        def ask(number: int) -> tuple[int, str, object]:
            name = NAMES[number % len(NAMES)]
            response = client.get(f"/answer/{name}", params={"text": f"{number}"})
            return response.status_code, f"{name} says {str(number)[::-1]}", response.json()

        with ThreadPoolExecutor(THREADS) as threads:
            asked = list(threads.map(ask, range(REQUESTS)))
        wait_for(journal, kind.workers)
        assert {"status": "ok"} == client.get("/health").json()
        stats = client.get("/stats").json()
    answered = [(right, said) for status, right, said in asked if 200 == status]
    assert {200} <= {status for status, _, _ in asked} <= {200, 503}
    assert len(answered) > REQUESTS / 2
    assert [] == [said for right, said in answered if {"answer": right} != said]
    assert server.BUDGET // kind.workers == stats["limit"] >= stats["counts"]["live"] > 0
    lives = lived(journal)
    assert kind.workers == len(lives)
    for life in lives.values():
        ends = Counter(life)
        assert all(ends["loaded", name] == ends["closed", name] > 0 for _, name in life)
        assert most(life, server.MODELS) * server.MIB <= server.BUDGET // kind.workers


def test_a_model_that_finds_no_room_is_to_be_asked_for_again(server: Any) -> None:
    from fastapi.testclient import TestClient

    with TestClient(server.app) as client:
        loads = [server.load.lease(name) for name in NAMES]
        for lease in loads:
            lease.__enter__()
        server.MODELS["new"] = 8
        refused = client.get("/answer/new")
        for lease in loads:
            lease.__exit__(None, None, None)
        assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
        assert 200 == client.get("/answer/new").status_code


def test_a_model_that_never_fits_is_not(server: Any) -> None:
    from fastapi.testclient import TestClient

    with TestClient(server.app) as client:
        refused = client.get("/answer/big")
        assert (507, None) == (refused.status_code, refused.headers.get("retry-after"))
        assert 404 == client.get("/answer/nobody").status_code


def test_the_application_starts_a_second_time(server: Any) -> None:
    from fastapi.testclient import TestClient

    for _ in range(2):
        with TestClient(server.app) as client:
            warm = client.get("/stats").json()["warm"]
            assert ["load('ada')"] == [entry["call"] for entry in warm]
        assert 0 == server.load.cache.currsize
