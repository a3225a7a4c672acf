"""``warmcache info`` has what a report of a problem needs, and each command's help has examples."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import _info, cli


def said_by(capsys: Any, *arguments: str) -> str:
    with suppress(SystemExit):
        assert 0 == cli.main(arguments)
    return str(capsys.readouterr().out)


def test_it_has_the_versions(capsys: Any) -> None:
    said = said_by(capsys, "info")
    words = {line.split()[0]: line.split()[1] for line in said.splitlines() if line.strip()}
    assert f"{warmcache.__version__}," == words["warmcache"]
    assert platform.python_version() == words["Python"]
    assert importlib.metadata.version("cachetools") == words["cachetools"]
    assert str(Path(warmcache.__file__).parent) in said


def test_it_has_the_extras_and_what_is_installed_of_them(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["cachetools>=5.0", "cachetools; extra == 'one'", "nowhere-to_be>=2; extra == 'two'"]
    needed.append('also.nowhere[x]>=1; python_version > "3" and extra == "two"')
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    lines = [line.split(maxsplit=1) for line in said_by(capsys, "info").splitlines()]
    version = importlib.metadata.version("cachetools")
    assert ["[one]", f"cachetools {version}"] in lines
    assert ["[two]", "also.nowhere not installed, nowhere-to_be not installed"] in lines


def test_each_extra_of_the_distribution_is_in_it() -> None:
    known = importlib.metadata.metadata("warmcache").get_all("Provides-Extra") or []
    assert {f"[{extra}]" for extra in known} == {*_info._extras()}


def test_it_says_less_of_what_is_run_from_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    assert {} == _info._extras()


def test_it_has_what_the_environment_says_to_us_and_nothing_else(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMCACHE_TRACEBACK", "full")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    said = said_by(capsys, "info")
    assert "$WARMCACHE_TRACEBACK" in said and "$CUDA_VISIBLE_DEVICES" in said
    assert "hidden" not in said


def test_it_has_the_devices(capsys: Any) -> None:
    assert "this machine's memory" in said_by(capsys, "info")


ACTIONS = ["ls", "count", "size", "check", "evict", "export", "import"]
COMMANDS = [
    *("", "simulate", "demo", "devices", "info", "disk"),
    *(
        f"disk {action}"
        for action in (["ls", "count", "size", "check", "evict", "export", "import"])
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_examples_that_the_parser_takes(command: str, capsys: Any) -> None:
    said = said_by(capsys, *command.split(), "--help")
    _, _, examples = said.partition("example")
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert lines
    for line in lines:
        words = shlex.split(line.partition("    ")[0])
        words = words[words.index("warmcache") + 1 :]
        if ">" in words:
            words = words[: words.index(">")]
        if "COMMAND" not in words:
            cli._parser().parse_args(words)
