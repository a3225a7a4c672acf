"""A value with a thread of its own does not keep the process from ending."""

from __future__ import annotations

from pathlib import Path

import pytest
from interpreters import starts_threads_late
from processes import METHODS, needs_fork, run

CLIENTS = """
import queue, time

class Client(Value):
    def __init__(self, name="a"):
        super().__init__(name)
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while self.queue.get() is not None:
            pass

    def close(self):
        self.queue.put(None)
        self.thread.join()
        super().close()

class OnFirstUse(Client):
    def __init__(self, name="a"):
        Value.__init__(self, name)
        self.queue = queue.Queue()

    def use(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

class OneAfterTheOther(Value):
    def __init__(self, name="a"):
        super().__init__(name)
        self.beat()

    def beat(self):
        self.timer = threading.Timer(0.01, self.beat)
        self.timer.start()

    def close(self):
        self.beat = lambda: None
        self.timer.cancel()
        super().close()

class ForgetsItsThread(Value):
    def __init__(self, name="a"):
        super().__init__(name)
        self.stop = threading.Event()
        threading.Thread(target=self.work).start()

    def work(self):
        self.stop.wait()

    def close(self):
        self.stop.set()
        super().close()

class IsAThread(Value, threading.Thread):
    def __init__(self, name="a"):
        threading.Thread.__init__(self)
        Value.__init__(self, name)
        self.queue = queue.Queue()
        self.start()

    run = Client.work

    def close(self):
        self.queue.put(None)
        self.join()
        Value.close(self)

class HasAPool(Value):
    def __init__(self, name="a"):
        from concurrent.futures import ThreadPoolExecutor
        super().__init__(name)
        self.queue = queue.Queue()
        self.pool = ThreadPoolExecutor(1)
        self.pool.submit(Client.work, self)

    def close(self):
        self.queue.put(None)
        self.pool.shutdown()
        super().close()

class Deep(Value):
    def __init__(self, name="a"):
        super().__init__(name)
        parts = [{"client": Client("inner")}]
        self.end = lambda: parts[0]["client"].close()

    def close(self):
        self.end()
        super().close()
"""


@pytest.mark.parametrize(
    "kind",
    ["Client", "OneAfterTheOther", "ForgetsItsThread", "IsAThread", "HasAPool", "Deep"],
)
@pytest.mark.parametrize("door", ["load", "put"])
def test_a_thread_that_the_teardown_stops_is_stopped(kind: str, door: str, tmp_path: Path) -> None:
    said = run(
        tmp_path,
        CLIENTS
        + """
        kind = globals()[sys.argv[1]]
        if sys.argv[2] == "load":
            load = warm(teardown="close")(kind)
            load("a")
        else:
            cache = warmcache.LRUCache(3, teardown="close")
            cache["a"] = kind("a")
        """.replace("\n        ", "\n"),
        kind,
        door,
    )
    assert "parent closes parent's a" == said[-1]


LOADERS = {
    "class": 'Warm = warm(teardown="close")(Client); Warm()',
    "leased": '(lease := warm(teardown="close")(Client).lease("a")).__enter__()',
    "begun later": 'warm(teardown="close")(OnFirstUse)("a").use()',
    "generator": """
        @warm
        def load():
            client = Client("a")
            yield "of use"
            client.close()
        load()
        """,
    "disabled": """
        @warm
        def load():
            client = Client("a")
            yield "of use"
            client.close()
        with warmcache.disabled():
            load()
        """,
    "async": """
        class Async(Client):
            async def aclose(self):
                self.close()
        @warm(teardown="aclose")
        async def load():
            return Async("a")
        asyncio.run(load())
        """,
    "in a thread": """
        load = warm(teardown="close")(Client)
        threading.Thread(target=lambda: (time.sleep(0.2), load("a"))).start()
        """,
    "in a pool": """
        from concurrent.futures import ThreadPoolExecutor
        load = warm(teardown="close")(Client)
        ThreadPoolExecutor(2).submit(lambda: (time.sleep(0.2), load("a")))
        """,
    "by whom waits for the main thread": """
        load = warm(teardown="close")(Client)
        def work():
            load("a")
            threading.main_thread().join()
        threading.Thread(target=work).start()
        """,
}
for _name, _text in LOADERS.items():
    LOADERS[_name] = _text.replace("\n        ", "\n")


LATE = {"in a thread", "in a pool", "by whom waits for the main thread"}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=starts_threads_late if how in LATE else ()) for how in LOADERS]
)
def test_however_it_was_loaded(how: str, tmp_path: Path) -> None:
    assert ["parent closes parent's a"] == run(tmp_path, CLIENTS + LOADERS[how])


@pytest.mark.parametrize("how", [pytest.param("fork", marks=needs_fork), *METHODS])
def test_in_a_child_as_well(how: str, tmp_path: Path) -> None:
    method = how if how in METHODS else None
    said = run(
        tmp_path,
        CLIENTS
        + """
import multiprocessing

load = warm(teardown="close")(Client)

def work():
    load("a")

if __name__ == "__main__":
    load("of old")
    method = sys.argv[1]
    if method == "os.fork":
        if not os.fork():
            work()
        else:
            ended(-1)
    else:
        child = multiprocessing.get_context(method).Process(target=work)
        child.start()
        child.join()
""",
        "os.fork" if method is None else method,
    )
    assert ["child closes child's a", "parent closes parent's of old"] == said


@starts_threads_late
def test_what_other_threads_still_use_stays_until_they_end(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        CLIENTS
        + """
load = warm(teardown="close", maxsize=9)(Client)
plain = warm(teardown="close")(Value)
load("a"), plain("b")

def work():
    threading.main_thread().join()
    with load.lease("a") as client, plain.lease("b") as value:
        time.sleep(0.2)
        say("in use", client.closed, value.closed, load("a") is client, plain("b") is value)

threading.Thread(target=work).start()
""",
    )
    assert ["in use False False True True", *_closed("a", "b")] == [said[0], *sorted(said[1:])]


def test_a_thread_that_got_the_value_later_is_none_of_its_own(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        CLIENTS
        + """
load = warm(teardown="close")(Value)
got = []

class Worker(threading.Thread):
    def run(self):
        self.value = load("a")
        got.append(self.value)
        threading.main_thread().join()
        time.sleep(0.2)
        say("in use", self.value.closed)

Worker().start()
""",
    )
    assert ["in use False", *_closed("a")] == said


def _closed(*names: str) -> list[str]:
    return [f"parent closes parent's {name}" for name in names]


def test_what_has_no_thread_stays_for_those_who_come_with_atexit(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        CLIENTS
        + """
import atexit
client = warm(teardown="close")(Client)
load = warm(teardown="close")(Value)
value = load("a")
client("b")
atexit.register(lambda: say(load("a") is value))
""",
    )
    assert [*_closed("b"), "True", *_closed("a")] == said


def test_the_last_loaded_goes_first(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        CLIENTS
        + """
class Session(Value):
    def __init__(self, client):
        super().__init__("session")
        self.client = client

    def close(self):
        say("its client is closed:", self.client.closed)
        super().close()

client = warm(teardown="close")(Client)
session = warm(teardown="close")(lambda: Session(client("client")))
session()
""",
    )
    assert ["its client is closed: False", *_closed("session", "client")] == said
