"""Where the processes of a node meet: which folder that is, and whether it can be trusted.

What lies in it decides who may load, so nobody else may write there, and the system must keep
locks for it that all processes of the node see. All of this is checked on an open folder, which
nobody can exchange for another afterwards, and before anything is written.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from warmcache import _checks as checks

from .flock import need_flock

# What keeps a folder from being used though nobody is to blame: the process goes on by itself.
UNUSABLE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE),
    *(errno.EIO, errno.ENOMEM, errno.ESTALE),
}
# Their locks may be seen on one machine alone, or by nobody, and sockets do not lie there.
_REMOTE = {
    *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p"),
    *("ceph", "gfs2", "ocfs2", "glusterfs", "lustre", "gpfs", "beegfs", "pvfs2", "orangefs"),
    *(f"fuse.{name}" for name in ("sshfs", "s3fs", "rclone", "gcsfuse", "goofys", "mount-s3")),
    *(
        f"fuse.{name}"
        for name in ("glusterfs", "ceph", "ceph-fuse", "davfs", "juicefs", "curlftpfs")
    ),
}
_LONG = 48  # characters of a folder's name


def folder_for(node: bool | str | os.PathLike[str], device_id: str) -> Path:
    """Return the folder in which the processes of this node meet over one device.

    It is made if it is not there yet. Where the disk is full or cannot be written, it is not,
    and that is no error: the ledger will find out, and work alone.

    Args:
        node: a folder that all of them are given; True is the one that ``$WARMCACHE_NODE`` names,
            else ``warmcache`` in ``$XDG_RUNTIME_DIR``, else ``warmcache-<uid>`` in the folder
            for temporary files.
        device_id: what tells the device from all others of the node.

    Raises:
        TypeError: ``node`` is neither True nor a path.
        ValueError: it is no folder, or a symbolic link, or on a network file system; or the
            system has no ``flock``.
        PermissionError: it is another user's, or others may write there.
    """
    need_flock()
    if node is not True and not isinstance(node, str | os.PathLike):
        raise checks.type_error("node", "True or a folder", node)
    base = _default() if node is True else Path(checks.path("node", node)).absolute()
    folder = base / _name_of(device_id)
    for each in (base, folder):
        try:
            os.close(open_folder(each))
        except PermissionError:
            raise
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise
    return folder


def _default() -> Path:
    if named := os.environ.get("WARMCACHE_NODE"):
        return Path(named).absolute()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        # After a change of user it may still be that of the one before.
        if runtime and os.stat(runtime).st_uid == os.geteuid():  # noqa: PTH116
            return Path(runtime) / "warmcache"
    except OSError:
        pass
    import tempfile

    return Path(tempfile.gettempdir()) / f"warmcache-{os.geteuid()}"


def _name_of(device_id: str) -> str:
    """Return a file's name for a device: equal ones for equal devices, and for no others."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", device_id).strip("-")
    if 0 < len(name) <= _LONG and name == device_id:
        return name
    import hashlib

    digest = hashlib.sha256(device_id.encode("utf-8", "replace")).hexdigest()
    return f"{name[:16] or 'device'}-{digest[:16]}"


def open_folder(path: Path) -> int:
    """Open a folder, made if it is not there, and return its descriptor once it is checked.

    Raises:
        ValueError: it is no folder, a symbolic link, or on a network file system.
        PermissionError: it is another user's, others may write there, or it cannot be made.
        OSError: the disk is full, or whatever else is nobody's fault.
    """
    try:
        path.mkdir(0o700, parents=True, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(path, flags)
    except PermissionError as error:
        text = f"the node's folder {path} cannot be used: {error.strerror}; give another, as"
        raise PermissionError(error.errno, f"{text} node='/path/of/yours'") from None
    except OSError as error:
        if error.errno in UNUSABLE:
            raise
        what = "is a symbolic link" if path.is_symlink() else f"cannot be used: {error.strerror}"
        raise ValueError(f"the node's folder {path} {what}; give a folder itself") from None
    try:
        _check(path, os.fstat(folder))
    except BaseException:
        os.close(folder)
        raise
    return folder


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise PermissionError(
            errno.EPERM,
            f"the node's folder {path} belongs to user {found.st_uid}, and this is user "
            f"{os.geteuid()}; give one of your own, as node='/path/of/yours'",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            errno.EPERM,
            f"others may write to the node's folder {path} (mode {stat.S_IMODE(found.st_mode):o}); "
            f"chmod 700 {path}",
        )
    kind = _file_system(found.st_dev)
    if kind in _REMOTE:
        raise ValueError(
            f"the node's folder {path} is on a network file system ({kind}), where locks are not "
            "kept for all processes; give a local folder, or set WARMCACHE_NODE to one"
        )


def _file_system(device: int) -> str | None:
    """Return the kind of file system that ``device`` is, None where that is not known."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123
            for line in mounts:
                before, _, after = line.partition(" - ")
                if before.split(" ", 3)[2] == wanted:
                    return after.split(" ", 1)[0]
    except (OSError, IndexError):
        pass
    return None
