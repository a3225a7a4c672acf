"""The folder of a store: who may write there, and what its files are called.

::

    o/ab/<key>            the commit file of an entry
    o/ab/<key>.<writer>   its payload, where that is not inside: a file or a folder
    tmp/<key>.<writer>    a commit file in the making, locked by its writer as long as that lives
    tmp/<key>.<writer>.p  the payload in the making
    tmp/....x             a folder that is being removed
    locks/<key>           locked by who loads what the key stands for
    index.db              the index

What lies there is loaded into programs. So nobody else may write there, which is checked on the
open folder that everything is done through afterwards: nobody can exchange it for another. Links
are not followed, and what belongs to another user is not read. ``shared`` is for several users of
a group that trust each other.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

from warmcache import _checks as checks
from warmcache._process.after_fork import begins_anew_in_child

from .commit_file import MOST, DamagedError, OtherFormatError, unpack
from .records import Header

PARTS = ("o", "tmp", "locks")
# What keeps files from being made though the folder is as it should be: they can still be read.
_UNWRITABLE = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT),
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOENT),
}
_KEY = re.compile(r"[0-9a-f]{4,128}")
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_READ = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)  # a pipe must not hold us up
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class RefusedError(PermissionError):
    """Something is a link, or no file, or another user's, or others may write there."""


def check_key(key: str) -> None:
    """Refuse what is no key.

    Raises:
        ValueError: it is none.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"a key must be 4 to 128 lower-case hex digits, got {key[:200]!r}")


class Folder:
    """An open folder, and the files in it by their names.

    Raises:
        PermissionError: it is another user's, or others may write there, or it cannot be made.
        ValueError: it is no folder, or a symbolic link.
    """

    def __init__(self, path: str | os.PathLike[str], *, shared: bool = False) -> None:
        self.path = Path(checks.path("path", path)).expanduser().absolute()
        self._name = str(self.path)
        self.shared = shared
        self._mode, self._file_mode = (0o770, 0o660) if shared else (0o700, 0o600)
        self.writing: set[str] = set()  # what this process has in ``tmp``
        self._shards: set[str] = set()  # that were looked at
        self._close: Callable[[], object] | None = None
        self._open()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Leave to the parent what that is writing, in a forked child."""
        self.writing = set()

    def _open(self) -> None:
        _make(self.path, self._mode)
        try:
            root = os.open(self.path, _DIRECTORY | _NO_LINK)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            what = "is a symbolic link" if self.path.is_symlink() else "is no folder"
            raise ValueError(f"path={self._name!r} {what}; give a folder itself") from None
        try:
            found = os.fstat(root)
            self._check(self.path, found)
        except BaseException:
            os.close(root)
            raise
        if self._close is not None:
            self._close()
        self._root, self._inode = root, (found.st_dev, found.st_ino)
        self._close = weakref.finalize(self, os.close, root)
        self._shards = set()
        for part in PARTS:
            self._make_part(part)

    def _make_part(self, name: str) -> None:
        try:
            self._mkdir(name)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
        found = self.stat(name)
        if found is not None:
            self._check(self.path / name, found)

    def _mkdir(self, name: str) -> None:
        try:
            os.mkdir(name, self._mode, dir_fd=self._root)
        except FileExistsError:
            return
        if self.shared:
            os.chmod(name, self._mode, dir_fd=self._root)

    def _check(self, path: Path, found: os.stat_result) -> None:
        if not stat.S_ISDIR(found.st_mode):
            raise PermissionError(errno.EPERM, f"{path} is no folder; remove it")
        if found.st_uid != os.geteuid() and not self.shared:
            raise PermissionError(
                errno.EPERM,
                f"the folder {path} belongs to user {found.st_uid}, and this is user "
                f"{os.geteuid()}; give one of your own, or shared=True if you trust its group",
            )
        others = stat.S_IWOTH if self.shared else stat.S_IWGRP | stat.S_IWOTH
        if found.st_mode & others:
            raise PermissionError(
                errno.EPERM,
                f"others may write to the folder {path} (mode {stat.S_IMODE(found.st_mode):o}); "
                f"chmod {self._mode:o} {path}, once nothing in it is theirs",
            )

    def renew(self) -> bool:
        """Make the folder anew if it was removed while it was in use; return whether it was.

        Raises:
            OSError: it cannot be.
        """
        try:
            there = os.stat(self._name, follow_symlinks=False)  # noqa: PTH116
            if (there.st_dev, there.st_ino) == self._inode:
                return False
        except FileNotFoundError:
            pass
        try:
            self._open()
        except ValueError as error:
            raise PermissionError(errno.EPERM, str(error)) from None
        return True

    # -- names ---------------------------------------------------------------------------

    def place(self, key: str) -> str:
        """Return the name of a key's commit file.

        Raises:
            ValueError: it is no key.
            RefusedError: the folder for keys like this one cannot be trusted.
        """
        check_key(key)
        shard = key[:2]
        if shard not in self._shards:
            found = self.stat(f"o/{shard}")
            if found is not None:
                try:
                    self._check(self.path / "o" / shard, found)
                except PermissionError as error:
                    raise RefusedError(*error.args) from None
                self._shards.add(shard)
        return f"o/{shard}/{key}"

    def can_have(self, name: str) -> bool:
        """Whether there may be an entry of this name, in a folder that can be trusted."""
        try:
            return bool(self.place(name))
        except (ValueError, RefusedError):
            return False

    def make_shard(self, key: str) -> None:
        """Make the folder for keys like this one, and those above it."""
        try:
            self._mkdir(f"o/{key[:2]}")
        except FileNotFoundError:
            self._mkdir("o")
            self._mkdir(f"o/{key[:2]}")

    def make_part_of(self, name: str) -> None:
        """Make the part that a file of this name is in."""
        self._mkdir(name.partition("/")[0])

    def list(self, name: str) -> list[str]:
        """Return the names in a part, or in one of its folders; none where it is not there."""
        try:
            folder = os.open(name, _DIRECTORY | _NO_LINK, dir_fd=self._root)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return []
            raise
        try:
            return os.listdir(folder)  # noqa: PTH208
        finally:
            os.close(folder)

    # -- files ---------------------------------------------------------------------------

    def open(self, name: str, flags: int) -> int:
        """Open a file, made for those alone who may use it."""
        try:
            opened = os.open(name, flags, self._file_mode, dir_fd=self._root)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            self.make_part_of(name)
            opened = os.open(name, flags, self._file_mode, dir_fd=self._root)
        if self.shared and flags & os.O_CREAT:
            try:
                os.fchmod(opened, self._file_mode)  # whatever the umask is
            except PermissionError:  # it was there, and is another's of the group
                pass
            except BaseException:
                os.close(opened)
                raise
        return opened

    def stat(self, name: str) -> os.stat_result | None:
        """Return what has a name, itself and not what it links to; None where nothing has."""
        try:
            return os.stat(name, dir_fd=self._root, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes | None:
        """Return the contents of a small file; None if it is not there.

        Raises:
            DamagedError: it is longer than any commit file.
            RefusedError: it is no file, or another user's.
        """
        try:
            opened = os.open(name, _READ | _NO_LINK, dir_fd=self._root)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
                raise RefusedError(f"{name} is no file") from None
            raise
        try:
            found = os.fstat(opened)
            self.trust(name, found)
            if found.st_size > MOST:
                raise DamagedError("it is too long")
            return os.read(opened, found.st_size)
        finally:
            os.close(opened)

    def trust(self, name: str, found: os.stat_result) -> None:
        """Refuse what is no file, or no folder if it should be, and what another user put there."""
        if not (stat.S_ISDIR if name[-1:] == "/" else stat.S_ISREG)(found.st_mode):
            raise RefusedError(f"{name} is not what it should be")
        if found.st_uid != os.geteuid() and not self.shared:
            raise RefusedError(f"{name} belongs to user {found.st_uid}")

    def header(self, key: str) -> Header | None:
        """Return what the commit file of a key says, None if there is no good one."""
        try:
            found = self.read(self.place(key))
            return None if found is None else unpack(key, found)[0]
        except (DamagedError, RefusedError, OtherFormatError):
            return None

    def bytes_of(self, header: Header) -> int:
        """Return what all files of an entry take."""
        found = self.stat(self.place(header.key))
        beside = header.size if header.payload else 0
        return (0 if found is None else found.st_size) + beside

    def rename(self, name: str, to: str) -> None:
        """Give something another name, and replace what has it."""
        os.rename(name, to, src_dir_fd=self._root, dst_dir_fd=self._root)

    def discard(self, name: str) -> bool:
        """Remove a file, or a folder, out of sight at once; return whether it was there."""
        try:
            os.unlink(name, dir_fd=self._root)
        except FileNotFoundError:
            return False
        except (IsADirectoryError, PermissionError):
            found = self.stat(name)
            if found is None:  # somebody else has removed it
                return False
            if not stat.S_ISDIR(found.st_mode):
                raise
            return self._discard_folder(name)
        return True

    def _discard_folder(self, name: str) -> bool:
        if not name.endswith(".x"):
            hidden = f"tmp/{name.rpartition('/')[2]}.{os.urandom(4).hex()}.x"
            self.make_part_of(hidden)
            try:
                self.rename(name, hidden)
            except FileNotFoundError:
                return False
            name = hidden
        while self.stat(name) is not None:
            try:
                shutil.rmtree(name, dir_fd=self._root)
            except FileNotFoundError:  # who clears away is at it, too
                continue
        return True

    def discard_entry(self, key: str, writer: str = "") -> None:
        """Remove the commit file of a key and then its payloads: that of ``writer``, too."""
        if not self.can_have(key):
            return
        header = self.header(key)
        self.discard(self.place(key))
        names = {header.payload.rstrip("/")} if header is not None and header.payload else set()
        for name in names | ({f"{key}.{writer}"} if writer else set()):
            self.discard(f"o/{key[:2]}/{name}")

    def discard_payload(self, key: str, writer: str) -> None:
        """Remove the payload that a writer has written under a key."""
        if writer and self.can_have(key):
            self.discard(f"o/{key[:2]}/{key}.{writer}")

    def discard_payloads(self, key: str, but: str = "") -> None:
        """Remove all payloads of a key but one, whoever wrote them; it looks at all names."""
        if self.can_have(key):
            for name in self.list(f"o/{key[:2]}"):
                if name.startswith(f"{key}.") and name != but:
                    self.discard(f"o/{key[:2]}/{name}")

    def free(self) -> int:
        """Return the bytes that the file system has left for this user."""
        found = os.fstatvfs(self._root)
        return found.f_bavail * found.f_frsize

    def sync(self, *names: str) -> None:
        """Wait until the names in these folders are on the device."""
        for name in names:
            folder = os.open(name, _DIRECTORY, dir_fd=self._root)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _make(path: Path, mode: int) -> None:
    """Make a folder, and those above it that are not there, for the same people."""
    missing: list[Path] = []
    for each in (path, *path.parents):
        if each.exists():
            break
        missing.append(each)
    for each in reversed(missing):
        try:
            each.mkdir(mode)
        except FileExistsError:
            continue
        except PermissionError as error:
            text = f"the folder {path} cannot be made: {error.strerror}; give another path"
            raise PermissionError(error.errno, text) from None
        if mode & 0o070:
            each.chmod(mode)
