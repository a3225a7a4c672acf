"""A forked child has no thread, no recording and no failure of its parent's."""

from __future__ import annotations

from pathlib import Path

from processes import needs_fork, run

pytestmark = needs_fork


def test_a_child_has_no_janitor_before_it_keeps_something_that_needs_one(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        from warmcache.testing import FakeProbe
        probe = FakeProbe(2**30)
        cache = warmcache.MemoryCache("1GiB", probe=probe, teardown="close")
        @warm(cache=cache)
        def load(name):
            probe.allocate(2**20)
            return Value(name)
        threads = lambda: [thread.name for thread in threading.enumerate()][1:]
        load("a")
        say(threads(), cache.stats().live)
        child = os.fork()
        if not child:
            say(threads(), cache.stats().live)
            load("b")
            say(threads(), cache.stats().live)
            sys.exit()
        ended(child)
        """,
    )
    assert [
        "['warmcache-janitor'] 1048576",
        *("[] 0", "['warmcache-janitor'] 1048576", "child closes child's b"),
        "parent closes parent's a",
    ] == said


def test_a_child_neither_has_nor_writes_its_parents_recording(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    said = run(
        tmp_path,
        """
        @warm
        def load(name):
            return object()
        with load.cache.record(sys.argv[1]) as recording:
            load(1), load(1)
            child = os.fork()
            if not child:
                load(1), load(1), load(2)
                say(load.cache._store.observers.all, recording.written, str(recording)[-8:])
        if not child:
            load.cache.record(sys.argv[1] + ".child")
            load(3), load(3)
            sys.exit()
        ended(child)
        """,
        str(path),
    )
    assert ["() 0 stopped>"] == said
    rows = [line.split(",")[1] for line in path.read_text().splitlines()[1:]]
    assert ["load(1)", "load(1)"] == rows
    rows = [line.split(",")[1] for line in Path(f"{path}.child").read_text().splitlines()[1:]]
    assert ["load(3)", "load(3)"] == rows


def test_one_that_fails_to_begin_anew_is_logged_and_stops_no_other(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import logging
        from warmcache._process import after_fork as _fork
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        class Failing:
            def begin_anew(self):
                raise RuntimeError("on purpose")
        failing = Failing()
        _fork.begins_anew_in_child(failing)
        load = warm(Value)
        load("a")
        child = os.fork()
        if not child:
            sys.stdout.flush()
            say(load("a").name)
            os._exit(0)
        ended(child)
        load("a").closed = True
        """,
    )
    assert "did not begin anew in a forked child" in said[0]
    assert ["RuntimeError: on purpose", "child's a"] == said[-2:]
