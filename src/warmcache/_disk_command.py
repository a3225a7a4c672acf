"""``warmcache disk``: what lies in a folder of results, and what is done with it."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ._disk.archive import RefusedArchiveError
from ._disk.exporting import compression_of, export
from ._disk.filters import Filter
from ._disk.folder import PARTS
from ._disk.importing import Import, Room
from ._disk.records import Damaged, Listed
from ._disk.room import Limits
from ._disk.store import DiskStore
from ._durations import format_duration, parse_duration
from ._progress import progress_bar
from ._sizes import format_seconds, format_size, parse_size
from ._tables import aligned

_NO_LIMITS = Limits()
_LONG = 60  # characters of a call that are shown

_DISK = """\
Looks after a folder of results on disk, as DiskTier(PATH) and @warm(disk=PATH) make it, while
others use it. What one names by --loader, --tag and --older is what is all of that."""

_EXAMPLES = """\
examples:
  warmcache disk ls ~/.cache/app/warm                   what is there, the newest first
  warmcache disk size ~/.cache/app/warm                 what it takes, by loader
  warmcache disk evict ~/.cache/app/warm --older 7d     remove what was loaded a week ago or before
  warmcache disk check ~/.cache/app/warm                read everything, remove what is damaged
  warmcache disk export ~/.cache/app/warm all.tar.gz
  warmcache disk import ~/.cache/app/warm all.tar.gz --maxsize 2GiB"""


class DiskCommandError(Exception):
    """What was asked for cannot be done; one line says why."""


_Action: TypeAlias = Callable[[argparse.Namespace], tuple[list[str], int]]  # lines, exit code


def add_to(commands: Any) -> None:
    """Add the command to those of a parser."""
    disk = commands.add_parser(
        "disk", help="look after results on disk", description=_DISK, examples=_EXAMPLES
    )
    actions = disk.add_subparsers(metavar="action", dest="action", required=True)

    def add(name: str, act: _Action, help: str, example: str) -> Any:
        said = f"{help[0].upper()}{help[1:]}."
        text = f"example:\n  warmcache disk {name} {example}"
        action = actions.add_parser(name, help=help, description=said, examples=text)
        action.set_defaults(run=lambda chosen: _run(act, chosen))
        action.add_argument("path", type=_path, metavar="PATH", help="the folder")
        action.add_argument(
            "--shared", action="store_true", help="its group shares it, and you trust that group"
        )
        return action

    where = "~/.cache/app/warm"
    _add_filter(add("ls", _ls, "list entries, the newest first", where))
    _add_filter(add("count", _count, "say how many entries there are of each loader", where))
    _add_filter(add("size", _size, "say what the entries of each loader take", where))
    _add_export(add)
    _add_import(add)
    check = add("check", _check, "read everything, and remove what is damaged or nobody's", where)
    check.add_argument("--keep", action="store_true", help="remove nothing")
    evict = add(
        "evict", _evict, "remove entries: all, unless some are named", f"{where} --older 7d"
    )
    evict.add_argument(
        "--dry-run", action="store_true", help="say what would go, and remove nothing"
    )
    _add_filter(evict)


def _add_export(add: Callable[..., Any]) -> None:
    action = add(
        "export", _export, "write entries to an archive", "~/.cache/app/warm all.tar.gz --tag maps"
    )
    action.add_argument(
        "archive",
        type=_path,
        metavar="ARCHIVE",
        help="a file: .tar, .tar.gz or .tgz; it is replaced",
    )
    _add_filter(action)


def _add_import(add: Callable[..., Any]) -> None:
    action = add("import", _import, "add the entries of an archive", "~/.cache/app/warm all.tar.gz")
    action.add_argument("archive", type=_path, metavar="ARCHIVE", help="what export has written")
    size, whole = dict(type=_bytes, metavar="SIZE"), dict(type=_whole, metavar="N")
    action.add_argument(
        "--maxsize", **size, default=math.inf, help="that of the tier: what all entries may take"
    )
    action.add_argument(
        "--maxitems", **whole, default=math.inf, help="that of the tier: how many there may be"
    )
    action.add_argument("--min-free", **size, default=0, help="what is left free on the disk")
    _add_filter(action)


def _add_filter(action: Any) -> None:
    action.add_argument("--loader", metavar="NAME", help="those of one loader, by its name on disk")
    action.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        help="those that have it; again: and it",
    )
    action.add_argument(
        "--older", type=_duration, metavar="SPAN", help="loaded longer ago: 90s, 30m, 12h, 7d, 2w"
    )


def _run(act: _Action, chosen: argparse.Namespace) -> int:
    """Do what was asked for, and say what came of it.

    Raises:
        DiskCommandError: it cannot be done.
        OSError: what came of it cannot be said.
    """
    try:
        with _ended_in_order():
            lines, code = act(chosen)
    except RefusedArchiveError as error:
        raise DiskCommandError(f"{chosen.archive} is refused: {error}") from None
    except OSError as error:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        why = f"{where}{error.strerror or error}"
        raise DiskCommandError(f"cannot {chosen.action} {chosen.path}: {why}") from None
    print(*lines, sep="\n")
    return code


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Have a SIGTERM end what is done inside as an interrupt does, with nothing half left."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # this is not the main thread, which has signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)  # None: not of Python


# -- the actions ---------------------------------------------------------------------------------


def _ls(chosen: argparse.Namespace) -> tuple[list[str], int]:
    now = time.time()
    rows = [["loader", "call", "codec", "tags", "size", "age", "load"]]
    for header, nbytes in sorted(_listed(chosen), key=lambda each: each.header.made, reverse=True):
        words = header.loader, header.text, header.codec, ",".join(header.tags)
        age = format_duration(now - header.made)
        numbers = format_size(nbytes), age, format_seconds(header.seconds)
        rows.append([*map(_shown, words), *numbers])
    return [aligned(rows, left=4)], 0


def _count(chosen: argparse.Namespace) -> tuple[list[str], int]:
    numbers = Counter(each.header.loader for each in _listed(chosen))
    return _by_loader("entries", numbers, lambda number: f"{number:,}")


def _size(chosen: argparse.Namespace) -> tuple[list[str], int]:
    sizes: Counter[str] = Counter()
    for header, nbytes in _listed(chosen):
        sizes[header.loader] += nbytes
    return _by_loader("size", sizes, format_size)


def _by_loader(
    title: str, found: Counter[str], text: Callable[[int], str]
) -> tuple[list[str], int]:
    """Return a table of a number for each loader, the most first, and the sum."""
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    rows = [[_shown(name), text(number)] for name, number in ordered]
    return [aligned([["loader", title], *rows, ["total", text(found.total())]], left=1)], 0


def _export(chosen: argparse.Namespace) -> tuple[list[str], int]:
    archive = chosen.archive
    try:
        compression_of(archive)
    except ValueError as error:
        raise DiskCommandError(str(error)) from None
    if not archive.parent.is_dir():
        raise DiskCommandError(f"there is no folder {archive.parent}")
    if archive.exists() and not archive.is_file():
        what = "a folder" if archive.is_dir() else "no file"
        raise DiskCommandError(f"{archive} is {what}: name a file, which is made or replaced")
    only, now = _filter(chosen), time.time()
    with _opened(chosen) as store, _bar("exporting") as progress:
        done = export(store.folder, archive, lambda header: only.takes(header, now), progress)
    lines = [f"exported {_entries(done.entries)}, {format_size(done.bytes)}, to {archive}"]
    if done.left_out:
        lines.append(f"left out {_entries(done.left_out)}, damaged or of another version")
    return lines, int(done.left_out > 0)


def _import(chosen: argparse.Namespace) -> tuple[list[str], int]:
    if not chosen.archive.is_file():
        raise DiskCommandError(f"there is no file {chosen.archive}")
    limits = Limits(chosen.maxsize, chosen.maxitems, chosen.min_free)
    only, now = _filter(chosen), time.time()
    with ExitStack() as held:
        progress = held.enter_context(_bar("importing"))
        raw = held.enter_context(chosen.archive.open("rb"))
        archive = Import(raw, lambda header: only.takes(header, now), now, progress)
        if _may_be_made(chosen.path):  # and is, once all of the archive was looked at
            archive.look(Room.of_none(chosen.path, limits))
            store = held.enter_context(_opened(chosen, limits, make=True))
        else:
            store = held.enter_context(_opened(chosen, limits))
            archive.look(Room.of(store))
        done = archive.write(store)
    lines = [f"imported {_entries(done.entries)}, {format_size(done.bytes)}"]
    if done.known:
        lines.append(f"left {_entries(done.known)} as they are: loaded as late, or later")
    if done.no_room:
        why = "there was no room, or somebody was writing the same"
        lines.append(f"left out {_entries(done.no_room)}: {why}")
    return lines, int(done.no_room > 0)


def _check(chosen: argparse.Namespace) -> tuple[list[str], int]:
    with _opened(chosen) as store:
        with _bar("checking") as progress:
            damaged = store.find_damaged(progress)
        lines = [f"{each.key}  {_called(each)}: {_shown(each.why)}" for each in damaged]
        if chosen.keep:
            lines.append(f"{_entries(len(damaged))} damaged, and kept")
        else:
            report = store.check(found=damaged)
            lines.append(f"{_entries(report.entries)}, {format_size(report.bytes)}")
            lines.append(f"removed: {report.damaged:,} damaged, {report.litter:,} of no entry")
    return lines, int(bool(damaged))


def _evict(chosen: argparse.Namespace) -> tuple[list[str], int]:
    with _opened(chosen) as store:
        with _bar("reading") as progress:
            doomed = store.listed(_filter(chosen), progress)
        gone = {each.header.key for each in doomed}
        if not chosen.dry_run:
            with _bar("evicting") as progress:
                gone = store.evict_all([each.header for each in doomed], progress)
    said = "would evict" if chosen.dry_run else "evicted"
    size = format_size(sum(each.bytes for each in doomed if each.header.key in gone))
    lines = [f"{said} {_entries(len(gone))}, {size}"]
    if left := len(doomed) - len(gone):
        lines.append(f"left {_entries(left)}: loaded anew meanwhile, or gone")
    return lines, 0


# -- what they share -----------------------------------------------------------------------------


@contextmanager
def _opened(
    chosen: argparse.Namespace, limits: Limits = _NO_LIMITS, *, make: bool = False
) -> Iterator[DiskStore]:
    """Open the folder, for a while, or ``make`` one."""
    path = chosen.path
    if not make and not all((path / part).is_dir() for part in PARTS):
        what = "no folder of results" if path.exists() else "not there"
        raise DiskCommandError(f"{path} is {what}: name one that @warm(disk=) has made")
    options: Any = limits._asdict()
    try:
        store = DiskStore(path, shared=chosen.shared, **options)
    except (ValueError, ModuleNotFoundError) as error:
        raise DiskCommandError(str(error)) from None
    try:
        yield store
    finally:
        store.close()


def _may_be_made(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _listed(chosen: argparse.Namespace) -> list[Listed]:
    with _opened(chosen) as store, _bar("reading") as progress:
        return store.listed(_filter(chosen), progress)


def _filter(chosen: argparse.Namespace) -> Filter:
    return Filter(chosen.loader, tuple(chosen.tag), chosen.older)


@contextmanager
def _bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, from when it is known how much there is."""
    with ExitStack() as shown:
        tell: Callable[..., object] | None = None
        before = 0

        def progress(done: int, total: int) -> None:
            nonlocal tell, before
            if tell is None:
                tell = shown.enter_context(progress_bar(total, text))
            tell(advance=done - before)
            before = done

        yield progress


def _shown(text: str) -> str:
    """Return what a file says, for a terminal: in a line, and with nothing that commands it."""
    text = text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _called(found: Damaged) -> str:
    return _shown("" if found.header is None else found.header.text) or "?"


def _entries(number: int) -> str:
    return f"{number:,} entr{'y' if number == 1 else 'ies'}"


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # there is no such user
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _bytes(text: str) -> int:
    try:
        return int(parse_size(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:19]) and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number from 1 on")
    return int(text)
