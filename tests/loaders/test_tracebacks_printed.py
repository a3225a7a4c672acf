"""Tracebacks as Python, a log and IPython print them: the user's frames and one of ours."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from frames import frames_of
from real_shell import shown_by_ipython

import warmcache
from warmcache import warm
from warmcache.probes import nvml_session

SOURCES = Path(warmcache.__file__).parents[1]
SUPPORT = Path(__file__).parents[1] / "support"
PROGRAM = """
from warmcache import warm

@warm
def load(name):
    raise OSError(name)

def serve():
    return load("a")

serve()
"""


def _printed(tmp_path: Path, **environment: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, program],
        env={"PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return [line.strip() for line in done.stderr.splitlines() if line.startswith("  File ")]


def test_an_interpreter_prints_four_frames(tmp_path: Path) -> None:
    printed = [line.rpartition(", in ")[2] for line in _printed(tmp_path)]
    assert ["<module>", "serve", "load", "load"] == printed


def test_all_frames_are_shown_when_asked_for(tmp_path: Path) -> None:
    printed = _printed(tmp_path, WARMCACHE_TRACEBACK="full")
    assert len(printed) > 7
    assert any("in slow_call" in line for line in printed)


def test_a_log_has_no_more_frames() -> None:
    log, text = logging.Logger("a log"), io.StringIO()
    log.addHandler(logging.StreamHandler(text))

    @warm
    def load(name: str) -> Any:
        raise OSError(name)

    def serve() -> None:
        try:
            load("a")
        except OSError:
            log.exception("it failed")

    serve()
    printed = [line for line in text.getvalue().splitlines() if line.startswith("  File ")]
    assert ["serve", "load", "load"] == [line.rpartition(" ")[2] for line in printed]


def test_ipython_shows_the_users_frames_and_one_of_ours(tmp_path: Path) -> None:
    cells = PROGRAM.split("\n\n")
    failed = shown_by_ipython(tmp_path, *cells[:-1], "serve()")[-1]
    heads = [line for line in failed.splitlines() if line.startswith(("File ", "Cell "))]
    assert 4 == len(heads), failed
    assert len(failed.splitlines()) <= 25, failed
    assert 1 == sum("warm:__main__.load" in head for head in heads)


def test_ipython_shows_one_frame_of_ours_of_a_wrong_option(tmp_path: Path) -> None:
    failed = shown_by_ipython(tmp_path, "from warmcache import warm", "warm(max_entries=1)(len)")[
        -1
    ]
    heads = [line for line in failed.splitlines() if line.startswith(("File ", "Cell "))]
    assert 2 == len(heads), failed


COPIES = """
import pickle, sys
from frames import frames_of

def fails(call):
    try:
        call()
    except OSError as error:
        print(frames_of(error)[1:])

load = pickle.loads(bytes.fromhex(sys.argv[1]))
def lease():
    with load.lease("a"):
        pass
for _ in range(2):
    fails(lambda: load("a"))
fails(lease)
"""


def test_a_copy_shows_no_more_frames_in_another_process() -> None:
    import cloudpickle

    @warm
    def load(name: str) -> Any:
        raise OSError(name)

    printed = subprocess.check_output(
        [sys.executable, "-c", COPIES, cloudpickle.dumps(load).hex()],
        env={"PYTHONPATH": os.pathsep.join(map(str, (SOURCES, SUPPORT)))},
        text=True,
        timeout=50,
    )
    hits = "['<lambda>', '[load]', 'load']\n"
    assert hits * 2 + "['lease', '[__enter__]', 'load']\n" == printed


def test_a_task_shows_none_of_its_own() -> None:
    def fail() -> None:
        raise OSError

    with pytest.raises(OSError) as caught:
        warmcache.task(fail)()
    assert ["test_a_task_shows_none_of_its_own", "fail"] == frames_of(caught.value)


def test_a_failing_teardown_is_logged_with_the_users_frames(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def close(value: str) -> None:
        raise OSError(value)

    load = warm(maxsize=1, teardown=close)(lambda name: name)
    load("ada")
    load.evict("ada")
    printed = [line for line in caplog.text.splitlines() if line.startswith("  File ")]
    assert ["close"] == [line.rpartition(" ")[2] for line in printed]


class NoKey:
    __hash__ = None  # type: ignore[assignment]


class NoDriverError(Exception):
    value = 12

    def __str__(self) -> str:
        return "NVML Shared Library Not Found"


def _no_driver() -> Any:
    raise NoDriverError


UNCHAINED: dict[str, Callable[[], object]] = {
    "what cannot be a key": lambda: warm(maxsize=3)(lambda name: name)(NoKey()),
    "a GPU without a driver": lambda: warm(policy="gpu")(lambda name: name),
    "a cache for that": lambda: warmcache.GPUMemoryCache("1GiB"),
    "a trace that is not there": lambda: warmcache.simulate("none.csv"),
}


@pytest.mark.parametrize("what", UNCHAINED)
def test_an_error_of_ours_is_printed_with_one_frame_and_without_what_led_to_it(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml_session, "_pynvml", lambda: SimpleNamespace(nvmlInit=_no_driver))
    monkeypatch.setattr(nvml_session.session, "_initialised", False)
    with pytest.raises((warmcache.WarmcacheError, ValueError)) as caught:
        UNCHAINED[what]()
    printed = "".join(traceback.format_exception(caught.value))
    assert 1 == printed.count("Traceback (most recent call last)")
    ours = f'File "{SOURCES}/warmcache/'
    assert 1 == printed.count(ours) + printed.count('File "warm:')
