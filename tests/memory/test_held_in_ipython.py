"""What a notebook holds of a value that was torn down is named, and the remedy works there."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_shell import shown_by_ipython

SETUP = """
import logging
import sys
import warmcache
from warmcache import warm
from warmcache.testing import FakeProbe

logging.disable()
options = dict(headroom=0, confirm=0, wait=0, poll=0)
cache = warmcache.HostMemoryCache(10, probe=FakeProbe(1000), **options)

class Model:
    def __init__(self, name):
        self.name = name

@warm(cache=cache, size=6)
def load(name):
    return Model(name)

def use(name):
    model = load(name)
    raise OSError("no such device")

def look():
    try:
        load("b")
    except warmcache.CapacityError as error:
        print(str(error).partition("by ")[2])
    else:
        print("there is room")
    load.evict("b")
"""
# The cells after that begin with In[2].
# Cells, who is said to hold the value, and a cell that makes it let go as it is said.
HELD = {
    "a displayed value": (
        ["load('a')"],
        "Out[2] and _; run `%xdel _2` (`%reset -f out` leaves what is in _, __ and ___), raise",
        "%xdel _2",
    ),
    "one before the last": (["load('a')", "'b'"], "Out[2] and __; run `%xdel _2`", "%xdel _2"),
    "one of long ago": (
        ["load('a')", "'b'", "'c'", "'d'"],
        "Out[2]; run `%xdel _2` or `%reset -f out`, raise",
        "%reset -f out",
    ),
    "one that is in a displayed list": (["[load('a')]"], "Out[2][0]; run `%xdel _2`", "%xdel _2"),
    "one that is left in a hidden place": (
        ["load('a')", "%reset -f out"],
        "_, a result that IPython has hidden; `del get_ipython().user_ns_hidden['_']`, raise",
        "del get_ipython().user_ns_hidden['_']",
    ),
    "the last error": (
        ["use('a')"],
        "the last error, sys.last_",
        "AS SAID",
    ),
    "a global": (["model = load('a')"], "__main__.model; `del model`, raise", "del model"),
    "a list": (["kept = [load('a')]"], "__main__.kept[0]; `del kept[0]`, raise", "del kept[0]"),
}


@pytest.mark.parametrize("what", HELD)
def test_what_a_notebook_holds_is_named_and_let_go_as_it_is_said(what: str, tmp_path: Path) -> None:
    cells, said, remedy = HELD[what]
    cells = [SETUP, *cells, "load.evict('a');", "look()"]
    if remedy == "AS SAID":  # it depends on the Python
        _, remedy, _ = shown_by_ipython(tmp_path, *cells)[-1].split("`")
    shown = shown_by_ipython(tmp_path, *cells, remedy, "look()")
    assert shown[-3].startswith(said), shown
    assert "there is room\n" == shown[-1], shown


def test_no_lease_is_said_to_be_released_where_there_is_none(tmp_path: Path) -> None:
    shown = shown_by_ipython(tmp_path, SETUP, "load('a')", "load.evict('a');", "look()")
    assert "release a lease" not in shown[-1]


def test_the_last_result_of_a_plain_prompt_is_named(tmp_path: Path) -> None:
    import subprocess
    import sys

    import warmcache

    lines = SETUP.replace("\n\n", "\n").replace("\nclass", "\n\nclass")
    program = f"exec({lines!r}, globals())\nload('a')\nprint(load.evict('a') and None)\nlook()\n"
    done = subprocess.run(
        [sys.executable, "-i", "-c", ""],
        input=program + "0\nlook()\n",
        env={"PYTHONPATH": str(Path(warmcache.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "_, the last result; evaluate something else, as `0`, raise" in done.stdout
    assert done.stdout.endswith("there is room\n")
