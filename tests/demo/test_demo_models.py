"""The demo on the real models."""

import os
import signal
import subprocess
import sys
import threading

import pytest

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]
COMMAND = [sys.executable, "-m", "warmcache", "demo"]


def complaints(stderr):
    """Return what was said but for that there is no GPU, where there is none."""
    return "".join(
        line for line in stderr.splitlines(keepends=True) if not line.startswith("no GPU (")
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def ended(folder):
    return subprocess.run(
        [*COMMAND, "--requests", "40", "--seed", "5", "--out", folder],
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_every_check_holds(ended):
    assert 0 == ended.returncode, ended.stderr
    assert "WRONG" not in ended.stdout
    for claim in (
        "right  near sentences are closer than far ones",
        "right  speech is found where it is, and nowhere else",
        "right  what was reserved before a load is what the model then weighs",
        "right  memory committed to models never exceeds the budget",
        "right  every model that was loaded left exactly once, and no teardown failed",
    ):
        assert claim in ended.stdout


def test_every_model_and_every_figure_is_in_the_summary(ended):
    for word in (
        "minilm-fp32",
        "minilm-bf16",
        "minilm-fp16",
        "minilm-int8",
        "minilm-3-layers-fp32",
        "minilm-3-layers-bf16",
        "silero-vad",
        "tokenizer",
        "requests/s",
        "load seconds paid",
        "a cold start per request",
        "lru_cache(maxsize=2)",
        "memory of models",
    ):
        assert word in ended.stdout


def test_models_were_evicted(ended):
    assert "evicted: none" not in ended.stdout.partition("requests/s")[2]


def test_no_library_complains(ended):
    assert "" == complaints(ended.stderr)


def test_the_timeline_is_a_png(ended, folder):
    assert b"\x89PNG\r\n\x1a\n" == (folder / "timeline.png").read_bytes()[:8]


def test_a_budget_below_the_largest_model_ends_with_2_before_anything_is_loaded(tmp_path):
    ended = subprocess.run(
        [*COMMAND, "--budget", "50MiB", "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert 2 == ended.returncode
    assert "cannot hold minilm-fp32, which weighs 86.5 MiB with its tokenizer" in ended.stderr
    assert 1 == ended.stderr.count("\n")
    assert "rehearsing" not in ended.stdout


@pytest.mark.skipif(os.name != "posix", reason="sends the signal that Ctrl-C sends there")
def test_an_interrupt_ends_it_with_130_and_one_line(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "--requests", "200", "--out", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if " of 200 requests" in line:
                process.send_signal(signal.SIGINT)
                break
        said, error = process.communicate()
    finally:
        watchdog.cancel()
        process.kill()
    assert 130 == process.returncode
    assert "warmcache: interrupted\n" == complaints(error)
    assert "requests/s" not in said
