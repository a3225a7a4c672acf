"""The demo as a whole, from the options to the exit code."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from warmcache._sizes import format_size

from ._checks import Outcome, checks
from ._journal import Journal
from ._kept import on_disk, open_tier
from ._libraries import gpu_is_out_of_reach, use_one_thread
from ._options import Options, check_policy, make_folder
from ._parked import check_host, host_budget
from ._plain import S, line, line_of_workers, plain_view, say
from ._requests import Request, stream
from ._server import Server
from ._spec import Answer, Spec, check_budget, chosen, served
from ._status import Status
from ._worker import Catalogue, real_models
from ._workers import check_parts, check_workers, perform_both

if TYPE_CHECKING:
    from rich.console import Console

_REDRAW = 0.12  # seconds


def run(options: Options, catalogue: Catalogue = real_models) -> int:
    """Run the demo; return 0 when every check holds, else 1.

    ``catalogue`` returns the models; workers are told of it by its name.

    Raises:
        DemoError: it cannot be done with these options, or not here.
    """
    check_policy(options.policy)
    check_host(options)
    if options.workers > 1:
        check_workers(options)
    make_folder(options.out)
    open_tier(options)
    began = time.perf_counter()
    say("importing torch and transformers ...")
    models = chosen(catalogue(), options)
    say(f"imported in {time.perf_counter() - began:.1f} s")
    if options.policy == "auto" and gpu_is_out_of_reach():
        say("there is a GPU, which this torch cannot use: models go into the machine's memory")
        options = replace(options, policy="ram")
    check_budget(options.budget, models)
    if options.workers > 1:
        check_parts(options, models)
    total = options.workers * sum(spec.weight for spec in models)
    each = f", {options.workers} times" if options.workers > 1 else ""
    say(
        f"{len(models)} models{each} that weigh {format_size(total)} together, "
        f"{format_size(options.budget)} to hold them"
    )
    if options.host is not None:
        host, why = host_budget(options)
        options = replace(options, host=host)
        say(f"{format_size(host)} of the machine's memory for what is parked: {why}")
    if total <= options.budget:
        say("they all fit: nothing will have to go; a smaller --budget shows more")
    if options.workers > 1:
        return run_workers(options, models, catalogue)
    return report(perform(options, models))


def run_workers(options: Options, specs: Sequence[Spec], catalogue: Catalogue) -> int:
    """Have workers serve, both ways; print what came of it, and return the exit code."""
    from ._summary import show_both

    say(f"{options.workers} workers import the same, and rehearse")
    view = partial(_view, line_of_workers, "drawn_of_workers")
    ways = perform_both(options, specs, catalogue, view)
    results = [(way.name, check) for way in ways for check in checks(way.outcome)]
    show_both(ways, results, _console())
    return 0 if all(check.holds for _, check in results) else 1


def perform(options: Options, specs: Sequence[Spec]) -> Outcome:
    """Serve the whole stream of requests, and close the cache."""
    journal = Journal()
    tier = open_tier(options)
    new_server = partial(
        Server,
        specs,
        policy=options.policy,
        budget=options.budget,
        journal=journal,
        tier=tier,
        host=options.host,
    )
    say("rehearsing: each model answers once from cold, and is let go")
    rehearsal = new_server().rehearse()
    server = new_server()
    with server.cache:
        requests = stream([spec.name for spec in served(specs)], options.requests, options.seed)
        journal.restart()
        serve(server, requests, options)
        seconds, stats = journal.now(), server.cache.stats()
        journal.sample()
    return Outcome(
        options=options,
        specs=specs,
        requests=requests,
        rehearsal=rehearsal,
        journal=journal,
        seconds=seconds,
        stats=stats,
        device=server.device,
        on_disk=on_disk(tier),
    )


def serve(server: Server, requests: Sequence[Request], options: Options) -> None:
    """Answer ``requests`` from several threads, and show how it goes meanwhile.

    What a request raises is raised here, once the requests under way have ended.
    """
    pool = ThreadPoolExecutor(options.threads, "server", initializer=use_one_thread)
    with _interrupt_waits() as end_if_interrupted, pool, _view(line, "drawn") as show:
        try:
            answers = [pool.submit(server.answer, request) for request in requests]
            pending: set[Future[Answer]] = set(answers)
            while pending:
                done, pending = wait(pending, _REDRAW, return_when=FIRST_EXCEPTION)
                for answer in done:
                    answer.result()
                end_if_interrupted()
                server.journal.sample()
                show(Status.of(server, options, len(answers) - len(pending)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupt_waits() -> Iterator[Callable[[], None]]:
    """Have a Ctrl-C wait until the function that this gives is called, or until the end.

    In the midst of :mod:`concurrent.futures` it would leave a future locked for good, and the
    thread that has its answer would hang. Once that function has raised it, the next one does not
    wait: what is under way may never end.
    """
    handler = signal.getsignal(signal.SIGINT)
    if (
        handler is not signal.default_int_handler
        or threading.current_thread() is not threading.main_thread()
    ):
        yield lambda: None
        return
    heard: list[int] = []

    def end_if_interrupted() -> None:
        if heard:
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield end_if_interrupted
    finally:
        signal.signal(signal.SIGINT, handler)
    end_if_interrupted()


def report(outcome: Outcome) -> int:
    """Draw the picture, print the summary; return the exit code."""
    from ._picture import draw
    from ._summary import show

    results = checks(outcome)
    picture = outcome.options.out / "timeline.png"
    draw(outcome, picture)
    show(outcome, results, _console())
    say(f"the timeline is in {picture}")
    return 0 if all(check.holds for check in results) else 1


def _view(line: Callable[[S], str], drawn: str) -> AbstractContextManager[Callable[[S], None]]:
    """Return what shows the run: what is ``drawn`` where somebody can watch it, else a line."""
    if not sys.stdout.isatty():
        return plain_view(line)
    from . import _screen

    return _screen.live_view(_console(), getattr(_screen, drawn))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 110)
