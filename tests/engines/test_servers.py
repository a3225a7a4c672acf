"""What servers and their workers tear down as they end: by themselves, or by what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run

pytestmark = pytest.mark.engines

PROGRAM = """
import signal

@warm(teardown="close")
def load(name):
    return Value(name)

def work():
    load("a"), load("b")

def close(*_, **__):
    warmcache.close_all()

def celery(pool, *told):
    import warnings
    from celery import Celery, signals

    warnings.simplefilter("ignore")  # it does not like to be run by root
    folder = os.path.join(os.path.dirname(__file__), "broker")
    os.makedirs(folder)
    app = Celery("app", broker="filesystem://", set_as_current=False)
    app.conf.broker_transport_options = dict(data_folder_in=folder, data_folder_out=folder)
    app.conf.worker_redirect_stdouts = False
    if told:
        signals.worker_process_shutdown.connect(close)

    @app.task
    def task():
        work()
        os.kill(os.getppid() if pool == "prefork" else os.getpid(), signal.SIGTERM)

    def begin(**_):
        task.delay()

    signals.worker_ready.connect(begin)
    sys.stdout = sys.__stdout__ = sys.stderr  # it greets
    app.worker_main(["worker", "--pool", pool, "-c", "1", "--without-mingle", "--without-gossip"])

def billiard(end, *told):
    from billiard.pool import Pool

    pool = Pool(1, on_process_exit=close if told else None)
    pool.apply(work)
    getattr(pool, end)()
    pool.join()

def uvicorn(number, *told):
    import uvicorn

    async def app(scope, receive, send):
        await receive()
        work()
        await send({"type": "lifespan.startup.complete"})
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, signal.raise_signal, getattr(signal, number))
        await receive()
        if "lifespan" in told:
            warmcache.close_all()
        await send({"type": "lifespan.shutdown.complete"})

    if "sigterm" in told:
        warmcache.close_on_sigterm()
    uvicorn.run(app, host="127.0.0.1", port=0, log_level="critical")

def gunicorn(kind):
    from gunicorn.app.base import BaseApplication

    def begun(worker):
        work()
        os.kill(os.getppid(), signal.SIGTERM)

    class Application(BaseApplication):
        def load_config(self):
            told = dict(bind="127.0.0.1:0", worker_class=kind, post_worker_init=begun)
            for name, value in told.items():
                self.cfg.set(name, value)

        def load(self):
            return lambda environ, start_response: []

    Application().run()

if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
"""


def closed(who: str) -> list[str]:
    return [f"{who} closes {who}'s {name}" for name in "ba"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("prefork",), []),
        (("prefork", "worker_process_shutdown"), closed("child")),
        (("threads",), closed("parent")),
        (("solo",), closed("parent")),
    ],
    ids=str,
)
def test_celery(args: tuple[str, ...], said: list[str], tmp_path: Path) -> None:
    assert said == run(tmp_path, PROGRAM, "celery", *args, stderr=None)


@pytest.mark.parametrize("end", ["close", "terminate"])
@pytest.mark.parametrize("told", [(), ("on_process_exit",)])
def test_billiard(end: str, told: tuple[str, ...], tmp_path: Path) -> None:
    said = run(tmp_path, PROGRAM, "billiard", end, *told, stderr=None)
    assert (closed("child") if told else []) == said


@pytest.mark.parametrize("told", ["nothing", "sigterm", "lifespan"])
def test_uvicorn_that_gets_sigterm(told: str, tmp_path: Path) -> None:
    said = run(tmp_path, PROGRAM, "uvicorn", "SIGTERM", told, status=-15, stderr=None)
    assert (closed("parent") if told != "nothing" else []) == said


def test_uvicorn_that_gets_sigint(tmp_path: Path) -> None:
    assert closed("parent") == run(tmp_path, PROGRAM, "uvicorn", "SIGINT", stderr=None)


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn(kind: str, tmp_path: Path) -> None:
    assert closed("child") == run(tmp_path, PROGRAM, "gunicorn", kind, stderr=None)
