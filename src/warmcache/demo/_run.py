"""The demo as a whole, from the options to the exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager

from warmcache._sizes import format_size

from ._checks import Outcome, checks
from ._journal import Journal
from ._libraries import import_all, use_one_thread
from ._options import Options, check_policy, make_folder
from ._plain import plain_view, say
from ._requests import Request, stream
from ._server import Server
from ._spec import Answer, Spec, check_budget, served
from ._status import Status

_REDRAW = 0.12  # seconds


def run(options: Options) -> int:
    """Run the demo; return 0 when every check holds, else 1.

    Raises:
        DemoError: it cannot be done with these options, or not here.
    """
    check_policy(options.policy)
    make_folder(options.out)
    began = time.perf_counter()
    say("importing torch and transformers ...")
    import_all()
    use_one_thread()
    say(f"imported in {time.perf_counter() - began:.1f} s")
    from ._models import specs

    models = specs()
    check_budget(options.budget, models)
    total = sum(spec.weight for spec in models)
    say(
        f"{len(models)} models that weigh {format_size(total)} together, "
        f"{format_size(options.budget)} to hold them"
    )
    if total <= options.budget:
        say("they all fit: nothing will have to go; a smaller --budget shows more")
    return report(perform(options, models))


def perform(options: Options, specs: Sequence[Spec]) -> Outcome:
    """Serve the whole stream of requests, and close the cache."""
    journal = Journal()
    server = Server(specs, policy=options.policy, budget=options.budget, journal=journal)
    with server.cache:
        say("rehearsing: each model answers once from cold, and is let go")
        rehearsal = server.rehearse()
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
    )


def serve(server: Server, requests: Sequence[Request], options: Options) -> None:
    """Answer ``requests`` from several threads, and show how it goes meanwhile.

    What a request raises is raised here, once the requests under way have ended.
    """
    pool = ThreadPoolExecutor(options.threads, "server", initializer=use_one_thread)
    with pool, _view() as show:
        try:
            answers = [pool.submit(server.answer, request) for request in requests]
            pending: set[Future[Answer]] = set(answers)
            while pending:
                done, pending = wait(pending, _REDRAW, return_when=FIRST_EXCEPTION)
                for answer in done:
                    answer.result()
                server.journal.sample()
                show(Status.of(server, options, len(answers) - len(pending)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def report(outcome: Outcome) -> int:
    """Draw the picture, print the summary; return the exit code."""
    from rich.console import Console

    from ._picture import draw
    from ._summary import show

    console = Console(width=None if sys.stdout.isatty() else 110)
    results = checks(outcome)
    picture = outcome.options.out / "timeline.png"
    draw(outcome, picture)
    show(outcome, results, console)
    say(f"the timeline is in {picture}")
    return 0 if all(check.holds for check in results) else 1


def _view() -> AbstractContextManager[Callable[[Status], None]]:
    """Return what shows the run: a live view where somebody can watch it."""
    if not sys.stdout.isatty():
        return plain_view()
    from rich.console import Console

    from ._screen import live_view

    return live_view(Console())
