"""A loader with ``per=`` travels, is defined again and offers the same, its owners included."""

from __future__ import annotations

import cloudpickle
import pytest
from by_value import journal, sent
from reruns import Notebook

from warmcache import ClosedError, Context

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

CELL = """
from warmcache import warm

@warm(maxsize=9, per="ctx", teardown=lambda value: note("close", value[0]))
def load(ctx, name):
    note("load", name)
    return [name]
"""


def test_a_copy_has_the_owners_of_its_loader() -> None:
    payload = sent(CELL)
    load, copy = cloudpickle.loads(payload), cloudpickle.loads(payload)
    with Context() as here, Context() as there:
        value = load(here, "a")
        assert value is copy(here, "a") is copy.peek(here, "a")
        assert not copy.contains(there, "a")
        with copy.lease(ctx=there, name="a") as other:
            assert value is not other
        assert copy.cache_key(here, "a") in copy.cache
        assert 1 == len(copy.evict(there, "a"))
    assert [("load", "a"), ("load", "a"), ("close", "a"), ("close", "a")] == journal


def test_a_callable_that_says_who_travels() -> None:
    cell = CELL.replace('per="ctx"', "per=threading.current_thread").replace("ctx, ", "")
    load = cloudpickle.loads(sent("import threading\n" + cell))
    assert load("a") is load("a")
    assert [("load", "a")] == journal


def test_a_cell_run_again_goes_on_with_what_belongs_to_owners_who_let_go_of_it() -> None:
    notebook, ctx = Notebook(), Context()
    first = notebook.run(CELL)(ctx, "a")
    load = notebook.run("# moved\n\n" + CELL)
    assert load.contains(ctx, "a")
    assert first is load(ctx, "a") is load(ctx, name="a")
    ctx.close()
    assert [("load", "a"), ("close", "a")] == journal
    assert 0 == len(load.cache)


def test_an_owner_that_has_ended_is_in_nobodys_way_when_a_cell_is_run_again() -> None:
    notebook, ctx, ended = Notebook(), Context(), Context()
    load = notebook.run(CELL)
    first = load(ctx, "a")
    load(ended, "b")
    ended.close()
    load = notebook.run("# moved\n\n" + CELL)
    assert first is load(ctx, "a")
    with pytest.raises(ClosedError):
        load(ended, "b")
    assert [("load", "a"), ("load", "b"), ("close", "b")] == journal


@pytest.mark.parametrize(
    ("was", "now"), [('per="ctx"', "per=None"), ("maxsize=9", "maxsize=8")], ids=["per", "limit"]
)
def test_an_edited_one_is_another(was: str, now: str) -> None:
    notebook, ctx = Notebook(), Context()
    notebook.run(CELL)(ctx, "a")
    load = notebook.run(CELL, was, now)
    load(ctx, "b")
    assert [("load", "a"), ("close", "a"), ("load", "b")] == journal
