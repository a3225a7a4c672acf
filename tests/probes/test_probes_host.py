"""What HostProbe makes of the files that a kernel shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from warmcache.probes import HostProbe, Probe, Sample

GIB = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE")
V2 = "35 24 0:30 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 24 0:31 {root} {point} rw - cgroup cgroup rw,memory"
CPU = "37 24 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"


class Machine:
    """A folder with the files that a test wants there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/self/statm", "5000 300 200 1 0 100 0")
        self.write("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + CPU)
        self.write("proc/self/cgroup", "3:cpu,cpuacct:/elsewhere\n")
        self.memory(total=64 * GIB, available=40 * GIB)

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def memory(self, *, total: int, available: int) -> None:
        lines = f"MemTotal: {total // 1024} kB\nMemFree: 1 kB\nMemAvailable: {available // 1024} kB"
        self.write("proc/meminfo", f"{lines}\nHugePages_Total: 0")

    def mount(self, line: str, *, root: str = "/", point: str = "/sys/fs/cgroup") -> None:
        file = self.root / "proc/self/mountinfo"
        escaped = point.replace(" ", "\\040")
        file.write_text(file.read_text() + line.format(root=root, point=escaped) + "\n")

    def belongs(self, line: str) -> None:
        file = self.root / "proc/self/cgroup"
        file.write_text(file.read_text() + line + "\n")

    def v2(self, folder: str, limit: object, used: int = 0, inactive: int = 0) -> None:
        self.write(f"{folder}/memory.max", limit)
        self.write(f"{folder}/memory.current", used)
        self.write(f"{folder}/memory.stat", f"anon 5\ninactive_file {inactive}\nactive_file 7")

    def v1(self, folder: str, limit: object, used: int = 0, inactive: int = 0) -> None:
        self.write(f"{folder}/memory.limit_in_bytes", limit)
        self.write(f"{folder}/memory.usage_in_bytes", used)
        self.write(f"{folder}/memory.stat", f"inactive_file 1\ntotal_inactive_file {inactive}")

    def sample(self) -> Sample:
        return HostProbe(self.root).sample()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def told(total: int, free: int) -> Sample:
    return Sample(total=total, free=free, used=total - free)


# -- the machine -----------------------------------------------------------------------


def test_without_limits_it_is_the_machine_that_counts(machine: Machine) -> None:
    assert told(64 * GIB, 40 * GIB) == machine.sample()


def test_allocated_is_what_the_process_has_in_memory(machine: Machine) -> None:
    assert 300 * PAGE == HostProbe(machine.root).allocated()


def test_this_machine_can_be_read() -> None:
    probe = HostProbe()
    assert isinstance(probe, Probe)
    sample, resident = probe.sample(), probe.allocated()
    assert sample.total and sample.free is not None and resident
    assert 0 <= sample.free <= sample.total
    assert 10 * 2**20 < resident < sample.total
    block = bytearray(os.urandom(1)) * (64 * 2**20)
    assert len(block) <= (probe.allocated() or 0) - resident + 2**20


def test_a_kernel_that_does_not_tell_what_is_available_leaves_it_unknown(
    machine: Machine,
) -> None:
    machine.write("proc/meminfo", "MemTotal: 1024 kB\nMemFree: 512 kB")
    assert Sample(total=2**20) == machine.sample()


@pytest.mark.parametrize("text", ["", "nonsense", "MemTotal:\nMemAvailable:"])
def test_files_that_say_nothing_are_unknown(machine: Machine, text: str) -> None:
    for file in ("meminfo", "self/statm", "self/cgroup", "self/mountinfo"):
        machine.write(f"proc/{file}", text)
    probe = HostProbe(machine.root)
    assert (Sample(), None) == (probe.sample(), probe.allocated())


# -- cgroups ---------------------------------------------------------------------------


def test_a_limit_of_cgroup_v2_counts(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.v2("sys/fs/cgroup/app", 8 * GIB, used=3 * GIB)
    assert told(8 * GIB, 5 * GIB) == machine.sample()


def test_a_limit_of_cgroup_v1_counts(machine: Machine) -> None:
    machine.mount(V1, point="/sys/fs/cgroup/memory")
    machine.belongs("4:hugetlb,memory:/app")
    machine.v1("sys/fs/cgroup/memory/app", 8 * GIB, used=3 * GIB)
    assert told(8 * GIB, 5 * GIB) == machine.sample()


def test_file_pages_that_the_kernel_can_drop_are_free(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.v2("sys/fs/cgroup/app", 8 * GIB, used=7 * GIB, inactive=2 * GIB)
    assert told(8 * GIB, 3 * GIB) == machine.sample()
    machine.mount(V1, point="/sys/fs/cgroup/memory")
    machine.belongs("4:memory:/app")
    machine.v1("sys/fs/cgroup/memory/app", 8 * GIB, used=7 * GIB, inactive=GIB)
    assert told(8 * GIB, 2 * GIB) == machine.sample()


def test_the_tightest_limit_up_the_tree_counts(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/slice/service/app")
    machine.v2("sys/fs/cgroup/slice/service/app", "max", used=GIB)
    machine.v2("sys/fs/cgroup/slice/service", 16 * GIB, used=2 * GIB)
    machine.v2("sys/fs/cgroup/slice", 20 * GIB, used=19 * GIB)
    # No more than 16 GiB ever, and just now only what the slice has left.
    assert told(16 * GIB, GIB) == machine.sample()


def test_where_memory_is_throttled_it_ends(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.v2("sys/fs/cgroup/app", 8 * GIB, used=3 * GIB)
    machine.write("sys/fs/cgroup/app/memory.high", 6 * GIB)
    assert told(6 * GIB, 3 * GIB) == machine.sample()
    machine.write("sys/fs/cgroup/app/memory.max", "max")
    assert told(6 * GIB, 3 * GIB) == machine.sample()


def test_the_machine_may_be_tighter_than_the_limit(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.v2("sys/fs/cgroup/app", 100 * GIB, used=3 * GIB)
    assert told(64 * GIB, 40 * GIB) == machine.sample()
    machine.v2("sys/fs/cgroup/app", 8 * GIB, used=GIB)
    machine.memory(total=64 * GIB, available=2 * GIB)
    assert told(8 * GIB, 2 * GIB) == machine.sample()


@pytest.mark.parametrize("limit", ["max", 9223372036854771712, "", "what"])
def test_no_limit_is_none(machine: Machine, limit: object) -> None:
    machine.mount(V2)
    machine.mount(V1, point="/sys/fs/cgroup/memory")
    machine.belongs("0::/app\n4:memory:/app")
    machine.v2("sys/fs/cgroup/app", limit, used=63 * GIB)
    machine.v1("sys/fs/cgroup/memory/app", limit, used=63 * GIB)
    assert told(64 * GIB, 40 * GIB) == machine.sample()
    machine.write("proc/meminfo", "")
    assert Sample() == machine.sample()


def test_a_limit_whose_use_is_not_told_bounds_the_total_alone(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.write("sys/fs/cgroup/app/memory.max", 50 * GIB)
    assert told(50 * GIB, 40 * GIB) == machine.sample()


def test_more_than_the_limit_in_use_leaves_nothing(machine: Machine) -> None:
    machine.mount(V2)
    machine.belongs("0::/app")
    machine.v2("sys/fs/cgroup/app", 8 * GIB, used=9 * GIB)
    assert told(8 * GIB, 0) == machine.sample()


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/", "/"),  # a container with a namespace of its own
        ("/docker/abc", "/docker/abc"),  # one without, whose mount shows its own part
        ("/", "/../../outside"),
        ("/docker/abc", "/kubepods/xyz"),
    ],
)
def test_a_container_sees_its_limit_at_the_mount_itself(
    machine: Machine, root: str, path: str
) -> None:
    machine.mount(V2, root=root)
    machine.belongs(f"0::{path}")
    machine.v2("sys/fs/cgroup", 8 * GIB, used=3 * GIB)
    machine.v2("sys/outside", GIB, used=GIB)
    assert told(8 * GIB, 5 * GIB) == machine.sample()


def test_a_mount_that_shows_a_part_of_the_tree_is_read_below_it(machine: Machine) -> None:
    machine.mount(V2, root="/docker/abc", point="/my cgroups")
    machine.belongs("0::/docker/abc/inner")
    machine.v2("my cgroups/inner", 8 * GIB, used=3 * GIB)
    machine.v2("my cgroups", 9 * GIB, used=8 * GIB)
    machine.v2("docker/abc", GIB, used=GIB)
    assert told(8 * GIB, GIB) == machine.sample()


def test_other_hierarchies_do_not_count(machine: Machine) -> None:
    machine.belongs("4:cpu:/app")
    machine.v1("sys/fs/cgroup/cpu/app", GIB, used=GIB)
    machine.mount(V1, point="/sys/fs/cgroup/memory")
    assert told(64 * GIB, 40 * GIB) == machine.sample()


def test_a_process_that_is_moved_to_another_cgroup_is_followed(machine: Machine) -> None:
    machine.mount(V2)
    machine.v2("sys/fs/cgroup/a", 8 * GIB, used=3 * GIB)
    machine.v2("sys/fs/cgroup/b", 4 * GIB, used=3 * GIB)
    probe = HostProbe(machine.root)
    machine.write("proc/self/cgroup", "0::/a")
    assert told(8 * GIB, 5 * GIB) == probe.sample()
    machine.write("proc/self/cgroup", "0::/b")
    assert told(4 * GIB, GIB) == probe.sample()


# -- other systems ---------------------------------------------------------------------


def test_without_proc_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    psutil = SimpleNamespace(
        virtual_memory=lambda: SimpleNamespace(total=64, available=40),
        Process=lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=7)),
    )
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    probe = HostProbe(tmp_path)
    assert (told(64, 40), 7) == (probe.sample(), probe.allocated())


def test_without_proc_and_psutil_everything_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    probe = HostProbe(tmp_path)
    assert (Sample(), None) == (probe.sample(), probe.allocated())
