"""Which folder the processes of a node meet in, and which are refused."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from node_members import Member, Start

from warmcache._node import folder as node_folder
from warmcache._node.folder import folder_for

GPU = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WARMCACHE_NODE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def test_a_given_folder_is_taken_as_it_is_with_one_for_each_device(tmp_path: Path) -> None:
    folder = folder_for(tmp_path / "a" / "b", GPU)
    assert tmp_path / "a" / "b" / GPU == folder
    assert [0o700, 0o700] == [path.stat().st_mode & 0o777 for path in (folder, folder.parent)]
    assert folder == folder_for(str(tmp_path / "a" / "b"), GPU)


def test_without_one_the_environment_says_which_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary" / f"warmcache-{os.geteuid()}"
    assert temporary / GPU == folder_for(True, GPU)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no such"))
    assert temporary / GPU == folder_for(True, GPU)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert tmp_path / "warmcache" / GPU == folder_for(True, GPU)
    monkeypatch.setenv("WARMCACHE_NODE", str(tmp_path / "named"))
    assert tmp_path / "named" / GPU == folder_for(True, GPU)


def test_a_runtime_folder_of_another_user_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after `sudo -E`: what is made there would be in that user's way.
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/1" if os.geteuid() else str(tmp_path))
    if not os.geteuid():
        os.chown(tmp_path, 12345, -1)
    assert "temporary" in str(folder_for(True, GPU))


@pytest.mark.parametrize(
    "device", ["host:/sys/fs/cgroup/a.slice", "../../etc", ".", "", "a" * 300, "GPU 0", "Gerät"]
)
def test_whatever_a_device_is_called_its_folder_is_one_name_of_its_own(
    device: str, tmp_path: Path
) -> None:
    folder = folder_for(tmp_path, device)
    assert tmp_path == folder.parent
    assert folder.name.replace("-", "").replace("_", "").isalnum()
    assert len(folder.name) < 50
    assert folder != folder_for(tmp_path, f"{device}?")


@pytest.mark.parametrize("node", [False, None, 3, b"folder"])
def test_what_is_neither_true_nor_a_folder_is_refused(node: object) -> None:
    with pytest.raises(TypeError, match="node must be True or a folder"):
        folder_for(node, GPU)  # type: ignore[arg-type]


def test_a_folder_of_another_user_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node").mkdir(0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(PermissionError, match=rf"belongs to user {mine}.*node='/path/of/yours'"):
        folder_for(tmp_path / "node", GPU)
    assert [] == [*(tmp_path / "node").iterdir()]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node").chmod(mode)
    with pytest.raises(PermissionError, match="chmod 700"):
        folder_for(tmp_path / "node", GPU)
    with pytest.raises(PermissionError, match="chmod 700"):
        Member(tmp_path / "node")
    assert [] == [*(tmp_path / "node").iterdir()]


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_refused(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "node").symlink_to(tmp_path / "elsewhere")
    for use in (lambda: folder_for(tmp_path / "node", GPU), lambda: Member(tmp_path / "node")):
        with pytest.raises(ValueError, match="is a symbolic link; give a folder itself"):
            use()
    assert not there or [] == [*(tmp_path / "elsewhere").iterdir()]


def test_a_link_or_a_wide_folder_for_the_device_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / GPU).symlink_to(tmp_path / "temporary")
    with pytest.raises(ValueError, match="symbolic link"):
        folder_for(tmp_path, GPU)
    (tmp_path / "other").mkdir()
    (tmp_path / "other").chmod(0o777)
    with pytest.raises(PermissionError, match="chmod 700"):
        folder_for(tmp_path, "other")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("")
    with pytest.raises(ValueError, match="Not a directory|File exists"):
        folder_for(tmp_path / "node", GPU)


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "fuse.sshfs", "9p", "lustre"])
def test_a_network_file_system_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_folder, "_file_system", lambda device: kind)
    with pytest.raises(ValueError, match=rf"network file system \({kind}\).*WARMCACHE_NODE"):
        folder_for(tmp_path / "node", GPU)


def test_the_kind_of_a_file_system_is_read_where_the_system_lists_it() -> None:
    assert "proc" == node_folder._file_system(os.stat("/proc").st_dev)  # noqa: PTH116
    assert None is node_folder._file_system(os.makedev(4000, 4000))


def test_what_cannot_be_made_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match="Permission denied; give another"):
        folder_for(tmp_path / "node", GPU)


def test_a_very_long_path_is_no_obstacle(tmp_path: Path, start: Start) -> None:
    folder = folder_for(tmp_path / ("long" * 40) / ("longer" * 30), "x" * 200)
    assert len(str(folder)) > 300  # of which a socket's address has room for a third
    other, one = start(folder), Member(folder)
    other.tell("load", 90)
    assert "granted" == one.lease(50)
    assert [40] == other.tell("gave")
    one.close()


def test_without_flock_it_says_so_and_can_be_imported(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["fcntl"] = None
folder = {str(tmp_path / "node")!r}
from warmcache._node.folder import folder_for
from warmcache._node.ledger import NodeLedger
for use in (
    lambda: folder_for(True, "GPU"),
    lambda: NodeLedger(folder, budget=1, quotes=list, reclaim=int, available=int),
):
    try:
        use()
    except ValueError as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ("", 2) == (ran.stderr, ran.stdout.count("node= needs flock"))
    assert not (tmp_path / "node").exists()


def test_whoever_imports_warmcache_imports_none_of_it() -> None:
    program = "import sys, warmcache; print([m for m in sys.modules if 'memory.node' in m])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "[]\n" == ran.stdout
