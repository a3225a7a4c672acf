"""``warmcache disk``: what it prints, removes, writes, and refuses; also while others write."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FOLDER,
    INLINE,
    KINDS,
    SMALL,
    bytes_of,
    commit_file,
    expected,
    files,
    key_of,
    payload_file,
    read,
    value_of,
    write,
)

from warmcache import DiskTier, warm
from warmcache._disk.commit_file import pack
from warmcache._disk.store import DiskStore
from warmcache._sizes import format_size
from warmcache.cli import main
from warmcache.tiers import worth

COMMAND = [sys.executable, "-m", "warmcache", "disk"]
READING = ["ls", "count", "size", "check", "check --keep", "evict", "export"]

Say = Callable[..., str]


def run(*words: object, status: int = 0) -> str:
    """Run the command in a process of its own; return what it said."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=50, check=False
    )
    assert (status, "") == (done.returncode, done.stderr if not status else ""), done.stderr
    return done.stdout


@pytest.fixture
def say(capsys: Any) -> Say:
    """Run the command in this process; return what it says."""

    def say(*words: object, status: int = 0) -> str:
        capsys.readouterr()
        assert status == main(["disk", *map(str, words)])
        said = capsys.readouterr()
        return str(said.out if status < 2 else said.err)

    return say


@pytest.fixture
def filled(folder: Path, store: DiskStore) -> DiskStore:
    """Six entries of two loaders, loaded 0 to 5 days ago."""
    for name in range(6):
        made = time.time() - 86_400 * name - 5
        tags = ("maps",) if name % 3 == 0 else ("maps", "text") if name % 3 == 1 else ()
        said = dict(loader=f"app.{'ab'[name % 2]}", text=f"load({name})", tags=tags, codec="json")
        write(store, name, KINDS[name % 3], made=made, seconds=0.25 * name, **said)
    return store


# -- ls, count, size -----------------------------------------------------------------------------


def test_entries_are_listed_the_newest_first(filled: DiskStore) -> None:
    write(filled, 0, loader="app.a", text="load(0)", made=time.time() - 3_700, seconds=0.0)
    assert [
        "loader  call     codec  tags           size  age    load",
        "app.a   load(0)                     1.3 KiB  1 h     0 s",
        "app.b   load(1)  json   maps,text  49.2 KiB  1 d  0.25 s",
        "app.a   load(2)  json              49.2 KiB  2 d   0.5 s",
    ] == run("ls", filled.path).splitlines()[:4]


def test_entries_are_counted_and_their_bytes_added_up_by_loader(
    filled: DiskStore, say: Say
) -> None:
    counted = say("count", filled.path).splitlines()
    assert ["loader  entries", "app.a         3", "app.b         3", "total         6"] == counted
    sizes = {line.split()[0]: line.split()[1:] for line in say("size", filled.path).splitlines()}
    assert ["size"] == sizes["loader"]
    assert format_size(bytes_of(filled.path)).split() == sizes["total"]


FILTERS = {
    "": [0, 1, 2, 3, 4, 5],
    "--loader app.a": [0, 2, 4],
    "--tag maps": [0, 1, 3, 4],
    "--tag maps --tag text": [1, 4],
    "--older 3d": [3, 4, 5],
    "--older 12h": [1, 2, 3, 4, 5],
    "--loader app.a --tag maps": [0, 4],
    "--loader app.a --tag maps --older 1d": [4],
    "--loader app": [],
    "--loader app.b --tag text --older 2w": [],
}


@pytest.mark.parametrize("words", FILTERS)
def test_what_is_named_is_what_is_all_of_that(
    words: str, filled: DiskStore, say: Say, tmp_path: Path
) -> None:
    wanted, said = FILTERS[words], words.split()
    listed = say("ls", filled.path, *said).splitlines()[1:]
    assert [f"load({name})" for name in wanted] == [line.split()[1] for line in listed]
    assert f"{len(wanted)}" == say("count", filled.path, *said).split()[-1]
    archive = tmp_path / "all.tar"
    entries = "entry" if len(wanted) == 1 else "entries"
    assert say("export", filled.path, archive, *said).startswith(
        f"exported {len(wanted)} {entries},"
    )
    assert say("import", tmp_path / "new", archive, *said).startswith(f"imported {len(wanted)} ")
    assert say("evict", filled.path, *said, "--dry-run").startswith(f"would evict {len(wanted)} ")
    assert 6 == len([*filled.entries()])
    assert say("evict", filled.path, *said).startswith(f"evicted {len(wanted)} {entries},")
    assert {key_of(name) for name in range(6) if name not in wanted} == {
        each.key for each in filled.entries()
    }


def test_evicted_bytes_are_those_of_all_files(filled: DiskStore, say: Say) -> None:
    size = format_size(bytes_of(filled.path))
    assert f"evicted 6 entries, {size}\n" == say("evict", filled.path)
    assert [] == files(filled.path)
    assert (0, 0) == filled.totals()
    assert "evicted 0 entries, 0 B\n" == say("evict", filled.path)


def test_a_tag_is_named_as_a_whole_and_a_call_shown_in_part(store: DiskStore, say: Say) -> None:
    write(store, 1, text=f"load({'x' * 200})", tags=("maps",))
    assert ["total", "0"] == say("count", store.path, "--tag", "map").split()[-2:]
    [line] = say("ls", store.path).splitlines()[1:]
    assert 60 == len(line.split()[1]) and line.split()[1].endswith("xxx...")


def test_nothing_of_what_a_file_says_commands_a_terminal(store: DiskStore, say: Say) -> None:
    write(store, 1, loader="a\x1b[2J", text="load(\r\n\u202e)", codec="\x07", tags=("\x9b",))
    said = say("ls", store.path) + say("count", store.path)
    assert 5 == len(said.splitlines())
    assert all(line.isprintable() for line in said.splitlines())
    assert r"a\x1b[2J" in said


# -- check ---------------------------------------------------------------------------------------


def test_a_check_of_what_is_whole_removes_what_is_nobodys(filled: DiskStore, say: Say) -> None:
    size = format_size(bytes_of(filled.path))
    (filled.path / "o" / key_of(1)[:2] / f"{key_of(1)}.{'0' * 16}").write_text("nobody's")
    said = say("check", filled.path)
    assert f"6 entries, {size}\nremoved: 0 damaged, 1 of no entry\n" == said


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_says_what_is_damaged_and_removes_it_unless_it_is_kept(
    kind: str, store: DiskStore
) -> None:
    write(store, 1, kind)
    write(store, 2)
    path = commit_file(store.path, 1) if kind == INLINE else payload_file(store.path, 1)
    path = path / "inner" / "two" if kind == FOLDER else path
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    before = files(store.path)
    call = "?" if kind == INLINE else r"load(1)"
    lines = run("check", store.path, "--keep", status=1).splitlines()
    assert lines[0].startswith(f"{key_of(1)}  {call}: its payload is not ")
    assert ["1 entry damaged, and kept"] == lines[1:]
    assert before == files(store.path)
    assert lines[:1] == run("check", store.path, status=1).splitlines()[:1]
    assert [key_of(2)] == [each.key for each in store.entries()]
    assert 1 == len(files(store.path))
    run("check", store.path)


@pytest.mark.parametrize("what", ["made", "seconds"])
@pytest.mark.parametrize(
    "number",
    [10**400, 2**63, float("nan"), float("inf"), -1.0],
    ids=["no float", "no row", "nan", "inf", "negative"],
)
def test_a_number_that_cannot_be_is_damage_and_keeps_nobody_from_the_rest(
    what: str, number: float, filled: DiskStore, say: Say
) -> None:
    header = filled.header(key_of(0))
    assert header is not None
    odd: dict[str, Any] = {what: number}
    commit_file(filled.path, 0).write_bytes(pack(header._replace(**odd), value_of(0, SMALL)))
    (filled.path / "index.db").unlink()
    for name in ("ls", "count", "size"):
        say(name, filled.path)
    assert write(filled, 7) is not None
    said = say("check", filled.path, status=1)
    assert "it says what cannot be of sizes and times" in said
    assert "removed: 1 damaged, 0 of no entry" in said


# -- export and import ---------------------------------------------------------------------------


def test_what_was_exported_here_is_there_after_an_import(filled: DiskStore, tmp_path: Path) -> None:
    size = format_size(bytes_of(filled.path))
    archive, there = tmp_path / "all.tar.gz", tmp_path / "there"
    assert f"exported 6 entries, {size}, to {archive}\n" == run("export", filled.path, archive)
    assert f"imported 6 entries, {size}\n" == run("import", there, archive)
    here, copied = (run("ls", path).splitlines()[2:] for path in (filled.path, there))
    assert [line.split() for line in here] == [line.split() for line in copied]
    assert [0o700, 0o600] == [each.stat().st_mode & 0o777 for each in (there, archive)]
    again = "imported 0 entries, 0 B\nleft 6 entries as they are: loaded as late, or later\n"
    assert again == run("import", there, archive)


def test_what_is_damaged_is_left_out_and_said(filled: DiskStore, say: Say, tmp_path: Path) -> None:
    commit_file(filled.path, 0).write_bytes(b"WARM")
    said = say("export", filled.path, tmp_path / "all.tar", status=1)
    assert ["exported 5 entries,", "left out 1 entry, damaged or of another version"] == [
        said[:19],
        said.splitlines()[1],
    ]


def test_the_limits_of_a_tier_are_said_to_an_import(
    filled: DiskStore, say: Say, tmp_path: Path
) -> None:
    size = format_size(bytes_of(filled.path))
    archive = tmp_path / "all.tar"
    say("export", filled.path, archive)
    for limit in ("--maxsize=100KiB", "--maxitems=5"):
        said = say("import", tmp_path / "there", archive, limit, status=2)
        assert f"{archive} is refused: there are 6 entries of {size} to import, and at" in said
        assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("there", [False, True], ids=["made", "there"])
def test_an_import_leaves_free_what_is_to_be_free_and_makes_nothing_if_it_is_refused(
    there: bool, filled: DiskStore, store: DiskStore, say: Say, tmp_path: Path
) -> None:
    archive, path = tmp_path / "all.tar", tmp_path / "new" / "there"
    say("export", filled.path, archive)
    if there:
        DiskStore(path).close()
    before = sorted(tmp_path.rglob("*"))
    said = say("import", path, archive, "--min-free=1000TiB", status=2)
    assert "6 entries of " in said and "and at most 0 B have room\n" in said
    archive.write_bytes(archive.read_bytes()[:-2_000])
    assert "is cut off" in say("import", path, archive, status=2)
    noise = {path / "index.db", path / "index.db-journal"}
    assert before == [each for each in sorted(tmp_path.rglob("*")) if each not in noise]


def test_an_archive_of_an_enemy_is_refused_in_a_line(say: Say, tmp_path: Path) -> None:
    import tarfile

    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../../tmp/x"))
    there = tmp_path / "there"
    said = run("import", there, evil, status=2)
    assert "" == said
    text = f"{evil} is refused: '../../../tmp/x' is no name of an entry\n"
    assert f"warmcache disk: error: {text}" == say("import", there, evil, status=2)
    assert not there.exists()


@pytest.fixture
def everything_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "_MARGIN", -1.0)
    monkeypatch.setattr(worth.Worth, "has_read", lambda *_, instead_of: False)


class Touches:
    """A value that says when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return _touch, (self.path,)


def _touch(path: str) -> Touches:
    Path(path).touch()
    return Touches(path)


@pytest.mark.usefixtures("everything_pays")
def test_a_pickle_that_another_has_signed_stays_a_miss(tmp_path: Path, say: Say) -> None:
    loads: list[str] = []

    def loader_of(tier: DiskTier) -> Any:
        @warm(disk=tier, codec="pickle", name="touches", code=False)
        def load(path: str) -> Touches:
            loads.append(path)
            return Touches(path)

        return load

    touched = tmp_path / "touched"
    for owner, key in (("theirs", "a key of another one"), ("mine", "a key of my very own")):
        tier = DiskTier(tmp_path / owner, signing_key=key)
        if owner == "mine":
            say("import", tmp_path / owner, tmp_path / "all.tar")
            assert 1 == tier.stats().entries
        loader_of(tier)(str(touched))
        assert not touched.exists()
        if owner == "theirs":
            say("export", tmp_path / owner, tmp_path / "all.tar")
            loader_of(tier)(str(touched))  # by who has signed it, it is read
            assert touched.exists()
            touched.unlink()
        else:
            assert 1 == tier.stats().damaged
        tier.close()
    assert 2 == len(loads)


# -- what cannot be done -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*READING, "import"])
def test_what_is_no_folder_of_results_is_an_error_and_stays_as_it_is(
    words: str, tmp_path: Path, say: Say
) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "o").mkdir()
    (other / "one.jpg").touch()
    plain = tmp_path / "plain"
    plain.touch()
    archive = tmp_path / "all.tar"
    archive.write_bytes(bytes(1024))
    before = sorted(tmp_path.rglob("*"))
    name, *options = words.split()
    more = [str(archive)] if name in ("export", "import") else []
    for path in (other, plain):
        said = say(name, path, *more, *options, status=2)
        assert f"warmcache disk: error: {path} is no folder of results: name one" in said
    if name != "import":
        said = say(name, tmp_path / "nowhere", *more, *options, status=2)
        assert f"{tmp_path / 'nowhere'} is not there" in said
    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.parametrize("words", [*READING, "import"])
def test_a_folder_that_others_may_write_to_is_refused_unless_its_group_is_trusted(
    words: str, filled: DiskStore, tmp_path: Path, say: Say
) -> None:
    filled.path.chmod(0o770)
    name, *options = words.split()
    more = [str(tmp_path / "all.tar")] if name in ("export", "import") else []
    say("export", filled.path, tmp_path / "all.tar", "--shared")
    assert "others may write to the folder" in say(name, filled.path, *more, *options, status=2)
    assert 6 == len([*filled.entries()])
    say(name, filled.path, *more, *options, "--shared")


WRONG = {
    "ls {path} --older 7": "'7' is no span of time; write it as '90s', '30m', '12h', '7d' or '2w'",
    "ls {path} --older -1d": "argument --older: ",  # and then what argparse says, by version
    "ls {path} --older 99999999999d": "is more than ten thousand years",
    "check {path} --loader x": "unrecognized arguments",
    "import {path} all.tar --maxsize huge": "'huge' is not a size",
    "import {path} all.tar --maxitems 0": "'0' is no whole number from 1 on",
    "ls ~nobodyhere/x": "'~nobodyhere/x': Could not determine home directory",
    "frobnify {path}": "invalid choice",
    "ls": "the following arguments are required: PATH",
    "": "the following arguments are required: action",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_makes_no_sense_is_one_line(words: str, filled: DiskStore, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["disk", *words.format(path=filled.path).split()])
    assert 2 == ended.value.code
    said = capsys.readouterr().err
    assert WRONG[words] in said and 1 == len(said.splitlines())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("export {path} all.zip", "all.zip must end in .tar, .tar.gz, .tgz"),
        ("export {path} nowhere/all.tar", "there is no folder nowhere"),
        ("export {path} ..tar", "..tar is a folder: name a file, which is made or replaced"),
        ("export {path} pipe.tar", "pipe.tar is no file: name a file, which is made or replaced"),
        ("import {path}/index.db/x nowhere.tar", "there is no file nowhere.tar"),
        ("import {path} nowhere.tar", "there is no file nowhere.tar"),
    ],
)
def test_an_archive_that_cannot_be_is_an_error(
    words: str, why: str, filled: DiskStore, say: Say, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("..tar").mkdir()
    os.mkfifo("pipe.tar")
    assert f"warmcache disk: error: {why}\n" == say(
        *words.format(path=filled.path).split(), status=2
    )


FAILING = {
    "ls": "folder.Folder.list",
    "count": "folder.Folder.read",
    "size": "folder.Folder.read",
    "export": "exporting._Writing.put",
    "import": "writing.Writing.commit",
    "check": "checking.must_be_whole",
    "evict": "folder.Folder.discard",
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), PermissionError(13, "Permission denied", "o/ab")],
    ids=["full", "denied"],
)
def test_a_disk_that_fails_is_one_sentence(
    name: str, error: OSError, filled: DiskStore, say: Say, tmp_path: Path, monkeypatch: Any
) -> None:
    archive = tmp_path / "all.tar"
    say("export", filled.path, archive)
    before = archive.read_bytes()
    path = filled.path if name != "import" else tmp_path / "there"

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    where, _, attribute = f"warmcache._disk.{FAILING[name]}".rpartition(".")
    monkeypatch.setattr(_found(where), attribute, fail)
    said = say(name, path, *([archive] if name in ("export", "import") else []), status=2)
    why = f"o/ab: {error.strerror}" if error.filename else error.strerror
    assert f"warmcache disk: error: cannot {name} {path}: {why}\n" == said
    assert before == archive.read_bytes()
    assert [] == [each.name for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_who_reads_no_more_ends_it_quietly(filled: DiskStore) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "ls", str(filled.path)],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
    )
    os.close(writing)
    assert (141, b"") == (done.returncode, done.stderr)


def test_it_says_what_to_install_where_there_are_no_locks(
    filled: DiskStore, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert 'needs filelock, which is not installed: pip install "warmcache[disk]"' in say(
        "ls", filled.path, status=2
    )


def test_what_only_reads_needs_no_index(
    filled: DiskStore, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("warmcache._disk.index.Index.run", lambda *work: asked.append(work))
    for words in ("ls", "count", "size", "check --keep", "export"):
        name, *options = words.split()
        say(name, filled.path, *([tmp_path / "all.tar"] if name == "export" else []), *options)
    assert [] == asked


# -- how far it is, and its end ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["ls"], "reading"),
        (["check"], "checking"),
        (["evict"], "evicting"),
        (["export", "all.tar"], "exporting"),
        (["import", "all.tar"], "importing"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else each,
)
def test_a_terminal_is_shown_how_far_it_is(
    words: list[str], text: str, filled: DiskStore, tmp_path: Path, monkeypatch: Any, say: Say
) -> None:
    monkeypatch.chdir(tmp_path)
    say("export", filled.path, "all.tar")
    path = filled.path if words[0] != "import" else tmp_path / "there"
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, words[0], str(path), *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        timeout=50,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # nobody has the other end any more
        pass
    os.close(ours)
    assert 0 == done.returncode
    assert text.encode() in shown


@pytest.mark.race
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("words", ["check", "evict", "export", "import"])
def test_an_interrupt_leaves_a_folder_that_is_whole(
    words: str,
    number: signal.Signals,
    filled: DiskStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    archive, there = tmp_path / "all.tar", tmp_path / "there"
    say("export", filled.path, archive)
    before = archive.read_bytes()
    path = there if words == "import" else filled.path
    calls, handler = [0], signal.getsignal(signal.SIGTERM)

    def interrupt(*_: Any, **__: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            os.kill(os.getpid(), number)
        return real(*_, **__)

    where = {
        "check": ("checking", "must_be_whole"),
        "evict": ("folder.Folder", "discard"),
        "export": ("exporting", "_copy"),
        "import": ("writing.Writing", "commit"),
    }
    name, function = where[words]
    module = f"warmcache._disk.{name}.{function}"
    real = _found(module)
    with monkeypatch.context() as patched:
        patched.setattr(module, interrupt)
        more = [archive] if words in ("export", "import") else []
        if number == signal.SIGINT:
            assert "warmcache: interrupted\n" == say(words, path, *more, status=130)
        else:
            with pytest.raises(SystemExit, match="143"):
                say(words, path, *more)
    assert handler is signal.getsignal(signal.SIGTERM)
    assert [] == [each.name for each in tmp_path.iterdir() if each.name.startswith(".")]
    assert before == archive.read_bytes()
    store = DiskStore(path)
    assert [] == files(path, "tmp") + files(path, "locks")
    assert 0 == store.check().damaged
    for number in range(6):
        assert read(store, number) in (None, expected(number, KINDS[number % 3]))
    assert (2 if words == "import" else 6) == len([*store.entries()]) or words == "evict"
    assert bytes_of(path) == store.totals().bytes
    store.close()


def _found(name: str) -> Any:
    from pkgutil import resolve_name

    module, _, rest = name.removeprefix("warmcache._disk.").partition(".")
    return resolve_name(f"warmcache._disk.{module}:{rest}" if rest else f"warmcache._disk.{module}")


@pytest.fixture
def writing(folder: Path) -> Iterator[Callable[[], int]]:
    """A process that writes, reads and removes all the time; gives how many things it has done."""
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from disk_stores import *
store, number = DiskStore({str(folder)!r}, maxitems=20), 0
while True:
    number += 1
    name = number % 30
    write(store, name, KINDS[name % 3], seconds=number % 7)
    if number % 5 == 0:
        store.remove(key_of((name + 7) % 30))
    found = read(store, name)
    assert found in (None, expected(name, KINDS[name % 3])), name
    assert not store.counts.damaged
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout

    def done() -> int:
        line = output.readline()
        assert line, "it has ended"
        return int(line)

    while done() < 40:
        pass
    yield done
    process.kill()
    process.wait()
    output.close()


def test_all_of_it_works_while_another_process_writes(
    writing: Callable[[], int], folder: Path, tmp_path: Path, say: Say
) -> None:
    archive, there = tmp_path / "all.tar.gz", tmp_path / "there"
    for name in ("ls", "count", "size"):
        say(name, folder)
    assert "\nremoved: 0 damaged, " in say("check", folder)
    assert "0 entries damaged, and kept\n" == say("check", folder, "--keep")
    assert run("export", folder, archive).startswith("exported ")
    assert say("import", there, archive).startswith("imported ")
    say("import", folder, archive, "--maxitems", 20)
    say("evict", folder, "--loader", "app.load")
    assert writing() > 0
    store = DiskStore(there)
    assert 5 < len([*store.entries()])
    for name in range(30):
        assert read(store, name) in (None, expected(name, KINDS[name % 3]))
    assert (0, 0) == store.check()[2:]
    store.close()
