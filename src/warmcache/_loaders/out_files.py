"""Files that a loader writes to where its arguments say: kept on disk, copied to who wants them.

Who calls says where he wants them. The loader is told of other places instead, in a private folder
beside each: there it writes them, or what was kept is copied to there, and from there one rename
delivers each file. So it is there whole or not at all, nothing that fails on the disk loses what
was loaded, and what is kept is nobody's file but the disk's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from inspect import Parameter
from pathlib import Path
from typing import Any

# What comes before these says what a file is.
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z"}


class OutFiles:
    """Which arguments of a loader say where its files are wanted.

    Args:
        loader: the loader's name.
        names: those of the arguments.
        parameters: those of the loader, without ``self``.
        key: its option.

    Raises:
        TypeError: a name is no argument of its own, or one that ``key=`` has, too.
    """

    def __init__(
        self, loader: str, names: Iterable[str], parameters: list[Parameter], key: Any
    ) -> None:
        spread = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        own = {p.name: place for place, p in enumerate(parameters) if p.kind not in spread}
        by_name = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        for name in names:
            if name not in own:
                known = ", ".join(own) or "none"
                raise TypeError(
                    f"out_files= names {name!r}, which is no argument of {loader}(); "
                    f"there are: {known}"
                )
            if isinstance(key, Mapping) and name in key:
                raise TypeError(f"key= names {name!r}, which out_files= takes out of the key")
        self.loader = loader
        self._places = {name: name if name in by_name else own[name] for name in names}

    def wanted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return where the files of a call are wanted, by argument.

        Raises:
            TypeError: that is no path.
        """
        found: dict[str, Any] = {}
        for name, place in self._places.items():
            path = found[name] = kwargs[place] if isinstance(place, str) else args[place]
            if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
                raise TypeError(f"{name} must be the path of a file to be written, got {path!r}")
        return found

    def given(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], instead: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call with other paths ``instead``."""
        other, named = list(args), dict(kwargs)
        for name, place in self._places.items():
            if isinstance(place, str):
                named[place] = instead[name]
            else:
                other[place] = instead[name]
        return other, named


def suffix_of(path: Any) -> str:
    """Return what of a path its loader may go by: the suffix, of which formats are told."""
    path = Path(path)
    before = Path(path.stem).suffix if path.suffix in _COMPRESSED else ""
    return f"{before}{path.suffix}"


class Delivery:
    """The files of one call, from when they are asked for until they are where they are wanted.

    Args:
        loader: the loader's name.
        wanted: where, by argument, as it was given.
    """

    def __init__(self, loader: str, wanted: Mapping[str, Any]) -> None:
        self._loader = loader
        self._wanted = wanted
        self._targets: dict[str, str] = {}
        self.files: Mapping[str, Path] = {}

    def begin(self) -> None:
        """Make the private folders, and find where the files go.

        Raises:
            OSError: no file can be made there.
        """
        files: dict[str, Path] = {}
        try:
            for name, path in self._wanted.items():
                self._targets[name], folder = self._place(path)
                files[name] = Path(folder, name + suffix_of(path))
        finally:
            self.files = files  # at once, for who has given up may be removing them

    @staticmethod
    def _place(path: Any) -> tuple[str, str]:
        """Return where a file goes, and a new private folder beside that."""
        target = os.path.realpath(path)
        if Path(target).is_dir() or os.fspath(path).endswith(os.sep):
            raise _error(errno.EISDIR, path)
        if Path(target).exists() and not Path(target).is_file():
            raise _error(errno.EINVAL, path, "out_files= delivers regular files alone")
        try:
            return target, tempfile.mkdtemp(prefix=".warm-", dir=os.path.dirname(target))  # noqa: PTH120
        except OSError as error:
            raise _error(error.errno, path) from None

    def instead(self) -> dict[str, Any]:
        """Return the paths for the loader, as texts where the caller's are."""
        texts = {name for name, path in self._wanted.items() if isinstance(path, str)}
        return {name: str(file) if name in texts else file for name, file in self.files.items()}

    def clear(self) -> None:
        """Remove what was read from disk and turned out to be no good."""
        for file in self.files.values():
            file.unlink(missing_ok=True)

    def check(self) -> None:
        """See that the loader has written all files, and have them be as new ones are there.

        Raises:
            FileNotFoundError: it has not written one.
            IsADirectoryError: it has made a folder.
        """
        for name, file in self.files.items():
            if not file.is_file():
                number = errno.EISDIR if file.is_dir() else errno.ENOENT
                did = "made a folder of" if file.is_dir() else "wrote no file to"
                raise _error(number, self._wanted[name], f"{self._loader}() {did} {name}")
            new = file.with_name(".new")
            new.touch(exist_ok=False)  # with the mode that the umask and the folder give
            if file.is_symlink():  # what it links to is kept, and delivered
                shutil.copyfile(file, new)
                new.replace(file)
            else:
                file.chmod(stat.S_IMODE(new.stat().st_mode))

    def deliver(self) -> None:
        """Put the files where they are wanted, which ends it.

        Raises:
            OSError: one cannot be put there.
        """
        for name, file in self.files.items():
            target = Path(self._targets[name])
            try:
                with contextlib.suppress(FileNotFoundError):  # it is new
                    # One that others must not read stays so.
                    file.chmod(stat.S_IMODE(target.stat().st_mode))
                file.replace(target)
            except OSError as error:
                raise _error(error.errno, self._wanted[name]) from None
        self.end()

    def end(self) -> None:
        """Remove the private folders, unless they are."""
        for file in self.files.values():
            shutil.rmtree(file.parent, ignore_errors=True)
        self.files = {}


def _error(number: int | None, path: Any, text: str = "") -> OSError:
    number = number or errno.EIO
    return OSError(number, text or os.strerror(number), os.fspath(path))
