"""Whether anybody reads what is logged of each load and removal, as logging itself would say."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

import warmcache
from warmcache import _log
from warmcache._log import debugging

LOGGER = logging.getLogger("warmcache")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_log, "known", {})
    root, level = logging.getLogger().level, LOGGER.level
    LOGGER.setLevel(logging.NOTSET)
    yield
    logging.getLogger().setLevel(root)
    LOGGER.setLevel(level)
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", ["warmcache", None])
def test_a_level_is_heard_of_whenever_it_is_set(name: str | None) -> None:
    logger = logging.getLogger(name)
    for level in [logging.INFO, logging.DEBUG, logging.WARNING, logging.DEBUG] * 2:
        logger.setLevel(level)
        for _ in range(2):  # the second time logging knows it already
            assert (level == logging.DEBUG) is debugging()


def test_logging_may_be_disabled_for_a_while() -> None:
    LOGGER.setLevel(logging.DEBUG)
    for _ in range(2):
        assert debugging()
        logging.disable(logging.DEBUG)
        assert not debugging()
        logging.disable(logging.NOTSET)


def test_a_logger_that_decides_for_itself_is_asked_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(logging.Logger):
        reads = False

        def isEnabledFor(self, level: int) -> bool:  # noqa: N802
            super().isEnabledFor(level)
            return self.reads

    own = Own("warmcache", logging.INFO)
    monkeypatch.setitem(logging.Logger.manager.loggerDict, "warmcache", own)
    for own.reads in (False, True, False):
        assert own.reads is debugging()


def test_a_removal_is_logged_from_the_moment_on_that_somebody_reads_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    LOGGER.setLevel(logging.INFO)
    cache: warmcache.LRUCache[str, int] = warmcache.LRUCache(1)
    cache["a"] = cache["b"] = 1
    LOGGER.setLevel(logging.DEBUG)
    cache["c"] = 1
    LOGGER.setLevel(logging.INFO)
    cache["d"] = 1
    (line,) = [line for line in caplog.messages if line.startswith("evicted")]
    assert "'b'" in line and "'c'" in line


LATER = """
import sys, warmcache
from warmcache._log import debugging
assert "logging" not in sys.modules and not debugging()
import logging
assert not debugging()
logging.basicConfig(level=logging.DEBUG)
assert debugging()
"""


def test_logging_may_be_imported_later() -> None:
    subprocess.run([sys.executable, "-c", LATER], check=True)
