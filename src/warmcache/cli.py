"""The ``warmcache`` command."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from . import __version__, _disk_command
from ._disk_command import DiskCommandError
from ._info import info
from ._interrupts import INTERRUPTED, be_interruptible
from ._public import list_public
from ._simulation.budget import Budget
from ._simulation.picture import check_picture
from ._simulation.simulation import BUDGETS, POLICIES, simulate
from ._sizes import format_size, parse_size
from .demo._options import DemoError, Options
from .demo._run import run
from .errors import WarmcacheError
from .memory.report import survey

__all__ = ["main"]

list_public(globals())

_PIPE = 128 + 13  # as a shell says of what SIGPIPE has ended
_MOST = 1_000_000
_MOST_WORKERS = 16  # each imports torch

_DEMO = """\
Serves real pretrained models (sentence embeddings in several forms, voice activity
detection) from one process, under a memory budget that cannot hold them all. At the
end it says what that cost, checks the answers, and writes a picture of what was in
memory when. It downloads nothing: the weights are inside the packages of the demo
extra. With --disk models that are quantized are kept there, and a second run reads them;
there is one more then, as int4, which takes about a second to convert. With --host who has to
make room is parked in the machine's memory, and comes back instead of being loaded."""


_SIMULATE = """\
Replays a recorded trace through the cache classes themselves, under several policies and
budgets, and prints what each would have paid in load seconds, what no policy could pay less
than (a bound, by a relaxation to a linear program), what LRU pays, and what to take. TRACE is
CSV, or CSV in .gz, with t_s and key for each request, in columns of these names, and
size_bytes and load_s, in the same file or by key in NAME_objects.csv beside it, as
@warm(record=...) and cache.record(...) write it."""

_DEVICES = """\
Lists this machine's GPUs: how torch numbers them under CUDA_VISIBLE_DEVICES and
CUDA_DEVICE_ORDER ("-": it does not see it), their UUIDs, and what the driver says of
their memory; then the memory of this machine, or what its container may use of it.
The exit code is 1 if there is no GPU."""


_INFO = """\
Prints what a report of a problem needs: the versions of this package and of what it works with,
what is installed of each extra, the environment's WARMCACHE* and CUDA_*, and the devices."""

_EXAMPLES = """\
examples:
  warmcache devices                         what is free on which GPU
  warmcache simulate requests.csv           which policy, and how much memory
  warmcache disk size ~/.cache/app/warm     what results on disk take
  warmcache info                            what a report of a problem needs
  warmcache COMMAND --help                  more of each"""

_DEMO_EXAMPLES = """\
examples:
  warmcache demo
  warmcache demo --budget 200MiB --policy lru --requests 500
  warmcache demo --policy auto --out pictures
  warmcache demo --workers 2                                one budget beside split ones
  warmcache demo --disk                                     twice: the second reads from disk
  warmcache demo --host                                     parks instead of loading anew"""

_SIMULATE_EXAMPLES = """\
examples:
  warmcache simulate requests.csv
  warmcache simulate requests.csv.gz --budget 10%,8GiB --policy lru,cost
  warmcache simulate requests.csv --budget 2,4,8          of a cache that counts entries
  warmcache simulate requests.csv --plot curve.png"""

_DEVICES_EXAMPLES = """\
examples:
  warmcache devices
  CUDA_VISIBLE_DEVICES=1,0 warmcache devices --torch"""

_INFO_EXAMPLES = """\
example:
  warmcache info > report.txt"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose help ends in examples."""

    def __init__(self, *, examples: str = "", **options: Any) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(epilog=examples or None, formatter_class=layout, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stdout:
            file.write(message)  # argparse's own keeps it to itself where that fails
        else:
            super()._print_message(message, file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        be_interruptible()
        if sys.stdout is None:  # it was closed
            return _failed("error: there is no standard output to write to", 2)
        if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be anything
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = _perform(arguments)
        finally:  # argparse ends by SystemExit, and leaves what it said in the buffer
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read it has read enough, as in `warmcache ... | head`
        _write_no_more(sys.stdout)
        return _PIPE
    except OSError as error:
        _write_no_more(sys.stdout)
        return _failed(f"error: {_reason(error)}", 2)
    except KeyboardInterrupt:
        return _failed(INTERRUPTED.decode().strip().removeprefix("warmcache: "), 130)


def _perform(arguments: Sequence[str] | None) -> int:
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return command(chosen)
    except (DemoError, DiskCommandError, WarmcacheError) as error:
        return _failed(f"error: {error}", 2, f"warmcache {chosen.command}")


def _reason(error: OSError) -> str:
    """Return what went wrong; where it names no file, it was the output."""
    reason = error.strerror or str(error)
    return f"cannot write: {reason}" if error.filename is None else f"{error.filename}: {reason}"


def _failed(message: str, code: int, name: str = "warmcache") -> int:
    """Say in a line what went wrong, if anybody hears it; return ``code``."""
    try:
        sys.stderr.write(f"{name}: {message}\n")
        sys.stderr.flush()
    except (AttributeError, OSError):  # it is closed, or full
        _write_no_more(sys.stderr)
    return code


def _write_no_more(stream: Any) -> None:
    """Have what is left in the buffer of ``stream`` go nowhere, or its last flush would fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (AttributeError, OSError):  # it is none, or a test's
        pass


def _parser() -> _Parser:
    parser = _Parser(
        prog="warmcache", description="Keeps expensive objects warm.", examples=_EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"warmcache {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command", required=True)
    _add_simulate(commands)
    _add_demo(commands)
    _add_devices(commands)
    _disk_command.add_to(commands)
    _add_info(commands)
    return parser


def _add_simulate(commands: argparse._SubParsersAction[_Parser]) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="replay a trace under several policies",
        description=_SIMULATE,
        examples=_SIMULATE_EXAMPLES,
    )
    simulate.set_defaults(run=_simulate)
    simulate.add_argument("trace", type=Path, metavar="TRACE", help="a recorded trace")
    simulate.add_argument(
        "--budget",
        type=_budgets,
        default=",".join(BUDGETS),
        metavar="LIST",
        help="bytes, such as 8GiB, or entries, or shares of all that is asked for (%(default)s)",
    )
    simulate.add_argument(
        "--policy",
        type=_names,
        default=",".join(POLICIES),
        metavar="LIST",
        help="registered policies that need no more than a maxsize (%(default)s)",
    )
    simulate.add_argument(
        "--ttl", type=_seconds, metavar="SECONDS", help="how long a value lives (for ever)"
    )
    simulate.add_argument(
        "--plot", type=Path, metavar="FILE", help="where a picture of the curves goes (.png, .svg)"
    )


def _simulate(chosen: argparse.Namespace) -> int:
    if chosen.plot is not None:
        check_picture(chosen.plot)  # before the work is done
    found = simulate(chosen.trace, chosen.policy, chosen.budget, chosen.ttl)
    print(found)
    if chosen.plot is not None:
        found.plot(chosen.plot)
        print(f"the curve is in {chosen.plot}")
    return 0


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="serve real models under a memory budget",
        description=_DEMO,
        examples=_DEMO_EXAMPLES,
    )
    demo.set_defaults(run=_demo)
    default = Options()

    def add(name: str, type: Callable[[str], object], metavar: str, help: str) -> None:
        demo.add_argument(
            f"--{name}", type=type, default=getattr(default, name), metavar=metavar, help=help
        )

    budget = format_size(default.budget)
    add("requests", _positive, "N", "how many requests to serve (%(default)s)")
    add(
        "budget",
        _bytes,
        "SIZE",
        f"memory for models, such as 120MiB or 0.2GB ({budget}, for each worker)",
    )
    demo.set_defaults(budget=None)
    add(
        "policy",
        str,
        "NAME",
        "what goes first: auto (on the GPU if there is one), cost, gdsf, lru, lfu, "
        "fifo, rr, or another registered policy that needs no more than a maxsize "
        "(%(default)s)",
    )
    add("seed", int, "N", "of the stream of requests (%(default)s)")
    add("threads", _positive, "N", "how many serve at a time (%(default)s)")
    add(
        "workers",
        _workers,
        "N",
        "how many processes serve: under one budget for all, then with a part of it each "
        "(%(default)s)",
    )
    add("out", Path, "FOLDER", "where the picture goes (%(default)s)")
    demo.add_argument(
        "--disk",
        type=Path,
        nargs="?",
        const=True,
        metavar="FOLDER",
        help="keep models that are quantized, in this folder (disk, in that of --out)",
    )
    demo.add_argument(
        "--host",
        type=_bytes,
        nargs="?",
        const=True,
        metavar="SIZE",
        help="park models that have to make room, in so much of the machine's memory (twice the "
        "budget, or what fits)",
    )


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.budget is None:
        chosen.budget = Options().budget * chosen.workers
    if chosen.disk is True:
        chosen.disk = chosen.out / "disk"
    return run(Options(**{field.name: getattr(chosen, field.name) for field in fields(Options)}))


def _add_devices(commands: argparse._SubParsersAction[_Parser]) -> None:
    devices = commands.add_parser(
        "devices",
        help="list GPUs and what is free on them",
        description=_DEVICES,
        examples=_DEVICES_EXAMPLES,
    )
    devices.set_defaults(run=_devices)
    devices.add_argument(
        "--torch",
        action="store_true",
        help="ask torch too, though that takes some hundred MiB of every GPU meanwhile",
    )


def _devices(chosen: argparse.Namespace) -> int:
    unasked = _ask_torch() if chosen.torch else None
    found = survey()
    sys.stdout.write(f"{found.text}\n")
    for problem in (found.problem, unasked):
        if problem is not None:
            sys.stderr.write(f"warmcache devices: {problem}\n")
    return 0 if found.problem is None and unasked is None else 1


def _add_info(commands: argparse._SubParsersAction[_Parser]) -> None:
    about = commands.add_parser(
        "info",
        help="print what a report of a problem needs",
        description=_INFO,
        examples=_INFO_EXAMPLES,
    )
    about.set_defaults(run=_info)


def _info(chosen: argparse.Namespace) -> int:
    sys.stdout.write(f"{info(__version__)}\n")
    return 0


def _ask_torch() -> str | None:
    """Have torch initialise CUDA; return why it cannot."""
    try:
        import torch  # pyright: ignore[reportMissingImports]

        torch.cuda.init()
    except (ImportError, AssertionError, RuntimeError) as error:
        return f"torch cannot be asked: {str(error).splitlines()[0]}"
    return None


def _budgets(text: str) -> list[str]:
    try:
        for part in text.split(","):
            Budget.parse(part)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text.split(",")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name")
    return list(dict.fromkeys(names))


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST:,}")
    return number


def _workers(text: str) -> int:
    number = _positive(text)
    if number > _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST_WORKERS} processes")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def _bytes(text: str) -> int:
    try:
        return int(parse_size(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
