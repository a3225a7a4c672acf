"""The table of devices, and the command that prints it."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pynvml
import pytest
from fakenvml import GIB, FakeNvml

from warmcache import cli
from warmcache.memory.report import DeviceReport, devices_table

UUID = "GPU-11111111-aaaa-bbbb-cccc-000000000001"
OTHER = "GPU-22222222-aaaa-bbbb-cccc-000000000002"


def rows(text: str) -> list[list[str]]:
    """Return the cells of the lines of a table."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


# -- the table -------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_card_and_one_for_the_machine(fake: FakeNvml) -> None:
    fake.add(UUID, total=80 * GIB, used=10 * GIB, reserved=GIB, bus=2)
    fake.add(OTHER, total=40 * GIB, used=0, reserved=0, bus=1)
    header, first, second, host, driver = rows(devices_table())
    assert ["GPU", "name", "UUID", "total", "used", "free"] == header
    assert ["1", "Fake H100", UUID, "80.0 GiB", "10.0 GiB", "69.0 GiB"] == first
    assert ["0", "Fake H100", OTHER, "40.0 GiB", "0 B", "40.0 GiB"] == second
    assert "this machine's memory" == host[0]
    assert re.fullmatch(r"process \d+\.\d MiB", host[-1])
    assert ["(driver 999.99)"] == driver


def test_the_columns_are_aligned(fake: FakeNvml) -> None:
    fake.add(UUID)
    lines = devices_table().splitlines()
    assert lines[0].index("UUID") == lines[1].index(UUID)
    assert lines[0].index("free") == lines[1].index("79.5 GiB")
    assert all(line == line.rstrip() for line in lines)


def test_a_card_that_torch_does_not_see_has_no_number(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID)
    fake.add(OTHER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    _, first, second, *_, note = rows(devices_table())
    assert ("-", "0") == (first[0], second[0])
    assert ["(CUDA_VISIBLE_DEVICES=1)"] == note


def test_an_order_that_is_not_known_is_said_so(fake: FakeNvml) -> None:
    fake.add(UUID, model="Fast")
    fake.add(OTHER, model="Slow")
    _, first, second, *_, note = rows(devices_table())
    assert ("-", "-") == (first[0], second[0])
    assert "models differ (Fast, Slow); set CUDA_DEVICE_ORDER=PCI_BUS_ID" in note[0]


def test_instances_of_mig_are_listed_under_their_card(fake: FakeNvml) -> None:
    fake.add(UUID, mig=True)
    fake.add("MIG-aaaa", parent=0, total=10 * GIB, model="Fake H100 1g.10gb")
    _, card, instance, *_ = rows(devices_table())
    assert ["-", UUID] == [card[0], card[2]]
    assert ["0", "Fake H100 1g.10gb", "MIG-aaaa", "10.0 GiB"] == instance[:4]


def test_a_card_that_cannot_be_read_is_listed_with_the_reason(fake: FakeNvml) -> None:
    fake.add(UUID)
    fake.fail("memory", pynvml.NVML_ERROR_NO_PERMISSION)
    fake.fail("memory_v2", pynvml.NVML_ERROR_NO_PERMISSION)
    _, card, *_ = rows(devices_table())
    assert ["0", "?", UUID, "?", "?", "?"] == card[:6]
    assert "NVML says: Insufficient Permissions (code 4)" == card[6]


def test_a_card_that_is_lost_does_not_hide_the_others(fake: FakeNvml) -> None:
    fake.add(UUID).error = pynvml.NVML_ERROR_GPU_IS_LOST
    fake.add(OTHER)
    _, card, *_, note = rows(devices_table())
    assert ["-", OTHER] == [card[0], card[2]]  # whether CUDA counts the lost one is not known
    assert ["(the driver's GPU 0: GPU is lost)"] == note


def test_torchs_own_figures_are_there_once_it_has_initialised_cuda(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID, model="Fast")
    fake.add(OTHER, model="Slow")
    stats = {"allocated_bytes.all.current": 2 * GIB, "reserved_bytes.all.current": 3 * GIB}
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda index: SimpleNamespace(uuid=OTHER.removeprefix("GPU-")),
        mem_get_info=lambda index: (30 * GIB, 79 * GIB),
        memory_stats=lambda index: stats,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    _, unseen, seen, by_torch, *_ = rows(devices_table())
    assert ("-", "0") == (unseen[0], seen[0])
    assert ["by torch", "79.0 GiB", "49.0 GiB", "30.0 GiB"] == by_torch[:4]
    assert "tensors 2.0 GiB, in reserve 1.0 GiB" == by_torch[4]


def test_what_caches_hold_comes_below(fake: FakeNvml) -> None:
    fake.add(UUID)
    reports = [
        DeviceReport("load", "GPU 0 (Fake H100, GPU-11111111)", 3, 12 * GIB, 20 * GIB),
        DeviceReport("other", "this machine's memory", 1200, 5, 4 * GIB),
    ]
    text = devices_table(reports)
    header, first, second = rows(text.rpartition("\n\n")[2])
    assert ["cache", "device", "entries", "holds", "of"] == header
    assert ["load", reports[0].device, "3", "12.0 GiB", "20.0 GiB"] == first
    assert ["other", reports[1].device, "1,200", "5 B", "4.0 GiB"] == second


def test_without_a_gpu_the_table_says_why(fake: FakeNvml) -> None:
    assert devices_table().endswith("no GPU: the driver shows no GPU; `nvidia-smi` should list it")
    fake.fail("count", pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    assert "no GPU: NVML says: Driver Not Loaded (code 9); install" in devices_table()
    assert "this machine's memory" in devices_table()


# -- the command -----------------------------------------------------------------------


def test_the_command_prints_the_table(fake: FakeNvml, capsys: pytest.CaptureFixture[str]) -> None:
    fake.add(UUID)
    assert 0 == cli.main(["devices"])
    said = capsys.readouterr()
    assert UUID in said.out and said.out.endswith("(driver 999.99)\n")
    assert "" == said.err


def test_without_a_gpu_the_command_ends_with_1_and_one_line(
    fake: FakeNvml, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fail("init", pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    assert 1 == cli.main(["devices"])
    said = capsys.readouterr()
    assert "this machine's memory" in said.out
    assert said.err.startswith("warmcache devices: NVML says: Driver Not Loaded (code 9); install")
    assert 1 == said.err.count("\n")


def test_torch_is_asked_only_where_it_was_said(
    fake: FakeNvml, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(UUID)

    def init() -> None:
        raise AssertionError("Torch not compiled with CUDA enabled\nmore")

    cuda = SimpleNamespace(init=init, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert 0 == cli.main(["devices"])
    assert "" == capsys.readouterr().err
    assert 1 == cli.main(["devices", "--torch"])
    said = capsys.readouterr()
    assert UUID in said.out
    complaint = "torch cannot be asked: Torch not compiled with CUDA enabled"
    assert f"warmcache devices: {complaint}\n" == said.err
    monkeypatch.setitem(sys.modules, "torch", None)
    assert 1 == cli.main(["devices", "--torch"])
    assert "torch cannot be asked" in capsys.readouterr().err
