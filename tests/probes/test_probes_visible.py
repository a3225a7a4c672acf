"""Which card an index means: CUDA's rules over NVML's list."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from warmcache import ProbeUnavailable
from warmcache.probes.cuda_numbering import Card, by_index, cuda, parse, torch_index, torch_uuid

A, B, C = "GPU-aaaa1111-1", "GPU-aaaa2222-2", "GPU-cccc3333-3"
ALIKE = [Card(A, "X", (0, 5, 0)), Card(B, "X", (0, 1, 0)), Card(C, "X", (1, 0, 0))]
BY_BUS = [B, A, C]
MIXED = [Card(A, "X", (0, 5, 0)), Card(B, "Y", (0, 1, 0)), Card(C, "X", (1, 0, 0))]
MIG = [Card(A, "X", (0, 1, 0), ("MIG-1111", "MIG-1122")), Card(B, "X", (0, 2, 0))]


def visible(cards: list[Card], text: str | None, order: str | None = None) -> list[str]:
    """Return the UUIDs of all indices from 0 on."""
    environ = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    if order is not None:
        environ["CUDA_DEVICE_ORDER"] = order
    found: list[str] = []
    while True:
        try:
            found.append(by_index(cards, len(found), environ))
        except ProbeUnavailable as error:
            if not error.reason.startswith(f"there is no GPU {len(found)}:"):
                raise
            return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, BY_BUS),
        ("0,1,2", BY_BUS),
        ("2,0", [C, B]),
        (" 2 , 0 ", [C, B]),
        ("+1", [A]),
        ("1gpu2,2ampere", [A, C]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("none", []),
        ("NoDevFiles", []),
        ("1,,2", [A]),
        ("1,-1,2", [A]),
        ("1,x,2", [A]),
        ("1,7,2", [A]),
        ("99", []),
        ("1,1", []),
        ("0,2,0", []),
        (A, [A]),
        (f"{C},{A}", [C, A]),
        (f" {C} , {A} ", [C, A]),
        ("GPU-c", [C]),
        ("GPU-aaaa1,GPU-c", [A, C]),
        ("GPU-aaaa,GPU-c", []),
        ("GPU-c,GPU-aaaa,GPU-aaaa1", [C]),
        ("GPU-c,GPU-zz,GPU-aaaa1", [C]),
        ("GPU-c,GPU-cccc", []),
        ("GPU-c,0", [C]),
        ("0,GPU-c", [B]),
        ("GPU-c,MIG-1", [C]),
        ("gpu-c", []),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(text: str | None, expected: list[str]) -> None:
    assert expected == visible(ALIKE, text)


def test_cards_that_differ_have_no_known_order_unless_it_is_that_of_the_bus() -> None:
    for text in (None, "0", "2,1"):
        with pytest.raises(ProbeUnavailable, match=r"models differ \(X, Y\); set CUDA_DEVICE_OR"):
            visible(MIXED, text)
        with pytest.raises(ProbeUnavailable, match="models differ"):
            visible(MIXED, text, "FASTEST_FIRST")
    assert BY_BUS == visible(MIXED, None, "PCI_BUS_ID")
    assert [C, A] == visible(MIXED, "2,1", "PCI_BUS_ID")


def test_cards_that_differ_can_be_named() -> None:
    assert [C, B] == visible(MIXED, f"{C},{B}")
    assert [] == visible(MIXED, "")
    assert [] == visible(MIXED, "-1")


def test_instances_of_mig_are_named_and_divided_cards_are_not_counted() -> None:
    assert ["MIG-1122", "MIG-1111"] == visible(MIG, "MIG-1122,MIG-1111")
    assert ["MIG-1122"] == visible(MIG, "MIG-112")
    assert [] == visible(MIG, "MIG-11")
    assert [B] == visible(MIG, B)
    with pytest.raises(ProbeUnavailable, match="some are divided by MIG; name one by its UUID"):
        visible(MIG, None)
    with pytest.raises(ProbeUnavailable, match="GPU 0 is divided into 2 MIG instances; name one"):
        visible(MIG, A)


def test_the_old_names_of_instances_are_names_too() -> None:
    old = "MIG-GPU-aaaa1111-1/1/0"
    assert [old] == visible([Card(A, "X", (0, 0, 0), (old,))], old)


def test_a_uuid_that_is_the_beginning_of_another_means_itself() -> None:
    cards = [Card("GPU-1", "X"), Card("GPU-12", "X")]
    assert ["GPU-1", "GPU-12"] == visible(cards, "GPU-1,GPU-12")


@pytest.mark.parametrize(
    ("device", "meant"),
    [
        (0, 0),
        (3, 3),
        ("cuda", 0),
        ("cuda:2", 2),
        ("1", 1),
        (A, A),
        ("MIG-1", "MIG-1"),
        (type("device", (), {"__str__": lambda self: "cuda:4"})(), 4),
    ],
)
def test_a_device_is_an_index_or_a_uuid_however_it_is_said(device: object, meant: object) -> None:
    assert meant == parse(device)


class Cuda:
    def __init__(self, *uuids: str, initialised: bool = True) -> None:
        self.uuids, self.initialised, self.asked = uuids, initialised, 0

    def is_initialized(self) -> bool:
        return self.initialised

    def device_count(self) -> int:
        self.asked += 1
        return len(self.uuids)

    def get_device_properties(self, index: int) -> SimpleNamespace:
        self.asked += 1
        return SimpleNamespace(uuid=self.uuids[index])


def test_torch_is_asked_only_where_it_has_initialised_cuda(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = Cuda("aaaa1111-1", "cccc3333-3")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=module))
    assert "cccc3333-3" == torch_uuid(1)
    assert torch_uuid(2) is None
    assert (1, None) == (torch_index(C), torch_index(B))
    module.initialised, module.asked = False, 0
    assert (None, None, None) == (cuda(), torch_uuid(0), torch_index(A))
    assert 0 == module.asked


@pytest.mark.parametrize("torch", [None, SimpleNamespace()])
def test_a_torch_that_is_not_there_yet_is_none(
    torch: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert cuda() is None
    monkeypatch.delitem(sys.modules, "torch")
    assert cuda() is None
    assert "torch" not in sys.modules
