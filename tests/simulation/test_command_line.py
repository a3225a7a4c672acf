"""Whatever becomes of its output, the command says in a line what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import posix

from warmcache.cli import main

pytestmark = posix

MODULE = [sys.executable, "-m", "warmcache"]
TRACE = "t_s,key,size_bytes,load_s\n" + "".join(f"{n},k{n % 3},10,1\n" for n in range(9))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return path


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


def command(words: str) -> str:
    return f"{sys.executable} -m warmcache {words}"


OUTPUTS = ["--help", "--version", "demo --help", "devices", "simulate {trace}"]


@pytest.mark.parametrize("words", OUTPUTS)
def test_a_full_device_is_one_line(words: str, trace: Path) -> None:
    done = shell(command(words.format(trace=trace)) + " > /dev/full")
    said = done.stderr.splitlines()
    assert 2 == done.returncode
    assert "warmcache: error: cannot write: No space left on device" == said[-1]
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", OUTPUTS)
def test_a_closed_output_is_one_line(words: str, trace: Path) -> None:
    done = shell(command(words.format(trace=trace)) + " >&-")
    said = "warmcache: error: there is no standard output to write to\n"
    assert (2, said) == (done.returncode, done.stderr)


@pytest.mark.parametrize("words", OUTPUTS)
def test_who_reads_nothing_sees_nothing(words: str, trace: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*MODULE, *words.format(trace=trace).split()],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert 141 == done.returncode
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("where", "status"),
    [("2>&-", 0), ("2>/dev/full", 0), ("2>&- >&-", 2), (">/dev/full 2>/dev/full", 2)],
)
def test_complaints_that_nobody_can_hear_change_no_status(
    where: str, status: int, trace: Path
) -> None:
    assert 2 == shell(command(f"simulate nowhere.csv {where.replace(' >&-', '')}")).returncode
    assert status == shell(command(f"simulate {trace} {where}")).returncode


def test_any_name_can_be_written_to_any_output(tmp_path: Path) -> None:
    for name in ("größe", "\udcff"):
        path = tmp_path / f"{name}.csv"
        path.write_text(TRACE)
        done = subprocess.run(
            [*MODULE, "simulate", str(path)],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
            check=False,
        )
        assert (0, b"") == (done.returncode, done.stderr)
        assert b"9 requests for 3 keys" in done.stdout


@pytest.mark.parametrize(
    ("row", "column"),
    [("0,k,1e308,1", "size_bytes"), ("0,k,1,1e308", "load_s"), ("1e308,k,1,1", "t_s")],
)
def test_a_number_too_large_to_add_up_is_one_line(
    row: str, column: str, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"t_s,key,size_bytes,load_s\n{row}\n{row}\n")
    assert 2 == main(["simulate", str(path)])
    assert f"row 2: {column} is 1e308, which is too large to add up" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "simulate {trace} --budget 1e308",
        "simulate {trace} --budget 1e308%",
        "simulate {trace} --budget inf%",
        "simulate {trace} --budget nan%",
        "simulate {trace} --ttl nan",
        "simulate {trace} --ttl 0",
        "simulate {trace} --ttl never",
        "simulate {trace} --budget " + "9" * 400,
        "simulate {trace} --budget " + "9" * 300,
        "demo --budget " + "9" * 300,
        "demo --requests " + "9" * 300,
        "demo --threads " + "9" * 5000,
        "demo --seed " + "9" * 5000,
    ],
)
def test_a_number_that_makes_no_sense_is_one_line(words: str, trace: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.format(trace=trace).split())
    assert 2 == ended.value.code
    assert 1 == len(capsys.readouterr().err.splitlines())


def test_a_time_to_live_makes_loads_of_what_was_warm(trace: Path, capsys: Any) -> None:
    paid = []
    for words in ("", " --ttl 0.001"):
        assert 0 == main(f"simulate {trace} --budget 100% --policy lru,ram{words}".split())
        table = capsys.readouterr().out.splitlines()
        paid += [[line.split()[-2:] for line in table if " lru " in line or " ram " in line]]
    assert paid[0] != paid[1]


def test_a_size_of_all_there_could_be_is_simulated(trace: Path, capsys: Any) -> None:
    assert 0 == main(["simulate", str(trace), "--budget", "1000000TiB,1%,100000%"])
    assert "budget" in capsys.readouterr().out


INTERRUPTED_AT = """
import os, signal, sys

way, point, *words = sys.argv[1:]

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == point:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
if way == "module":
    import runpy
    sys.argv, sys.orig_argv = ["-m", *words], [sys.executable, "-m", "warmcache", *words]
    runpy.run_module("warmcache", run_name="__main__", alter_sys=True)
else:
    sys.argv = [os.path.join(os.sep, "bin", way), *words]
    from warmcache.cli import main
    sys.exit(main())
"""


@pytest.mark.parametrize("way", ["module", "warmcache"])
@pytest.mark.parametrize(
    "point",
    [
        *("warmcache._public", "warmcache._core", "cachetools", "warmcache.caches.gdsf"),
        *("warmcache.cli", "argparse", "warmcache.demo._run", "warmcache.memory.report"),
        *("warmcache._simulation.trace_file", "warmcache._observe", "warmcache.testing"),
    ],
)
def test_an_interrupt_is_one_line_however_early(
    way: str, point: str, trace: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED_AT)
    done = subprocess.run(
        [sys.executable, str(program), way, point, "simulate", str(trace)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (130, "warmcache: interrupted\n") == (done.returncode, done.stderr)


def test_an_interrupt_while_it_works_is_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "trace.csv"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*MODULE, "simulate", str(pipe)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with pipe.open("w"):  # as soon as it reads
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (130, "warmcache: interrupted\n") == (process.returncode, said)


def test_other_programs_keep_their_interrupts() -> None:
    program = "import signal, warmcache; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program, "warmcache"], capture_output=True, text=True, check=True
    )
    assert "default_int_handler" == done.stdout.strip()
