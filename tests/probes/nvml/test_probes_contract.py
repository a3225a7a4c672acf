"""What every probe promises: ours over the fake library, and, with a GPU, over the real one.

``tox -e gpu`` runs the same claims on a real card, and those below that only a card with
torch can keep.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakenvml import FakeNvml

from warmcache import probes, testing
from warmcache.probes import HostProbe, NvmlProbe, Probe, TorchProbe
from warmcache.probes.nvml_session import session

CAP = 30.0
MIB = 2**20
REAL = pytest.mark.gpu

MAKERS: dict[str, Callable[[], Probe]] = {
    "fake": lambda: testing.FakeProbe(100 * MIB, foreign=MIB),
    "host": HostProbe,
    "nvml": NvmlProbe,
    "torch": TorchProbe,
}


@pytest.fixture(
    params=[
        "fake",
        "host",
        "nvml",
        "torch",
        pytest.param("real nvml", marks=REAL),
        pytest.param("real torch", marks=REAL),
    ]
)
def probe(request: pytest.FixtureRequest) -> Probe:
    name: str = request.param
    if name in ("nvml", "torch"):
        request.getfixturevalue("fake").add()
    return MAKERS[name.removeprefix("real ")]()


def test_it_is_a_probe_with_a_name(probe: Probe) -> None:
    assert isinstance(probe, Probe)
    assert probe.name


def test_its_figures_agree_with_each_other(probe: Probe) -> None:
    sample = probe.sample()
    assert sample.total is not None and sample.free is not None and sample.used is not None
    assert 0 <= sample.free <= sample.total
    assert 0 <= sample.used <= sample.total
    assert sample.available is not None and sample.available >= sample.free
    assert sample.available <= sample.total


def test_many_threads_may_ask_it(probe: Probe) -> None:
    total = probe.sample().total
    wrong: list[object] = []

    def work() -> None:
        try:
            wrong.extend(s for _ in range(100) if (s := probe.sample()).total != total)
            probe.allocated()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)
    assert [] == wrong


def test_asking_it_initialises_no_cuda(probe: Probe) -> None:
    torch = sys.modules.get("torch")
    before = torch is not None and torch.cuda.is_initialized()
    probe.sample(), probe.allocated()
    torch = sys.modules.get("torch")
    assert before == (torch is not None and torch.cuda.is_initialized())


CHILD = """
    import os, signal, sys
    from warmcache.probes import *
    probe = eval(sys.argv[1])
    total = probe.sample().total
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            result = 7 if total and probe.sample().total == total else 8
        finally:
            os._exit(result)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, probe.sample().total == total, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("maker", "environ"),
    [
        ("HostProbe()", None),
        ("NvmlProbe(0)", "fake"),
        ("TorchProbe(0)", "fake"),
        pytest.param("NvmlProbe(0)", None, marks=REAL, id="real nvml"),
        pytest.param("TorchProbe(0)", None, marks=REAL, id="real torch"),
    ],
)
def test_parent_and_child_may_ask_it_after_a_fork(
    maker: str, environ: str | None, request: pytest.FixtureRequest
) -> None:
    found = dict(os.environ)
    if environ:
        fake: FakeNvml = request.getfixturevalue("fake")
        library: Path = request.getfixturevalue("library")
        fake.add()
        found |= fake.environ(library)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), maker],
        env=found,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ["7", "True", "False"] == ran.stdout.split(), ran.stderr


# -- on a real card, with torch --------------------------------------------------------


@pytest.fixture
def cuda() -> Iterator[Any]:
    import torch

    assert torch.cuda.is_available(), "this torch cannot use the GPU"
    torch.cuda.init()
    torch.cuda.empty_cache()
    yield torch
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.gpu
def test_the_card_is_the_one_that_torch_means(cuda: Any) -> None:
    for index in range(cuda.cuda.device_count()):
        uuid = str(cuda.cuda.get_device_properties(index).uuid)
        assert NvmlProbe(index).uuid.endswith(uuid)
        code = "from warmcache.probes import NvmlProbe; import sys; "
        code += "print(NvmlProbe(int(sys.argv[1])).uuid, 'torch' in sys.modules)"
        before = subprocess.check_output([sys.executable, "-c", code, str(index)], text=True)
        assert [NvmlProbe(index).uuid, "False"] == before.split()


@pytest.mark.gpu
def test_a_tensor_is_seen_and_what_it_leaves_is_reserved_until_it_is_given_back(
    cuda: Any,
) -> None:
    probe = TorchProbe(0)
    size = 512 * MIB
    allocated, before = probe.allocated(), probe.sample()
    tensor = cuda.empty(size, dtype=cuda.uint8, device="cuda:0")
    cuda.cuda.synchronize()
    assert size == (probe.allocated() or 0) - (allocated or 0)
    found = on_card(tensor)
    ((owner, nbytes),) = found.parts
    assert size == found.nbytes == nbytes
    assert owner() is not None
    during = probe.sample()
    assert before.free is not None and during.free is not None
    assert before.free - during.free >= size
    del tensor
    assert owner() is None
    after = probe.sample()
    assert (after.reserved or 0) - (during.reserved or 0) >= size
    assert (during.available or 0) + size <= (after.available or 0)
    cuda.cuda.empty_cache()
    deadline = threading.Event()
    for _ in range(100):  # the driver may take a moment to count it
        if (probe.sample().free or 0) - during.free >= size:
            break
        deadline.wait(0.1)
    assert (probe.sample().free or 0) - during.free >= size


def on_card(value: object) -> Any:
    from warmcache.memory.footprint import footprint

    return footprint(value, "cuda:0")


@pytest.mark.gpu
def test_both_versions_of_the_drivers_figures_agree_on_what_is_free(cuda: Any) -> None:
    import pynvml

    probe = NvmlProbe(0)
    with session.calls() as nvml:
        handle = nvml.nvmlDeviceGetHandleByUUID(probe.uuid)
        first = nvml.nvmlDeviceGetMemoryInfo(handle)
        second = nvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    assert (first.total, first.free) == (second.total, second.free)
    assert first.used == second.used + second.reserved


@pytest.mark.gpu
def test_the_table_lists_the_card(cuda: Any) -> None:
    from warmcache.memory.report import devices_table

    text = devices_table()
    assert NvmlProbe(0).uuid in text
    assert "by torch" in text


def test_the_probes_are_those_of_the_contract() -> None:
    ours = {name for name in probes.__all__ if name.endswith("Probe")} - {"Probe"}
    assert {"HostProbe", "NvmlProbe", "TorchProbe"} == ours
