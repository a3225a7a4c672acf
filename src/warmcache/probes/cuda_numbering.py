"""Which card is meant: as CUDA counts them, from what NVML lists.

CUDA numbers the cards that ``CUDA_VISIBLE_DEVICES`` shows, in the order of
``CUDA_DEVICE_ORDER``; NVML knows nothing of either. Only a UUID means the same
card to both.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from warmcache import _checks as checks
from warmcache.errors import ProbeUnavailable

_THE_MACHINE = "policy='ram' is the machine's memory, and beside other policies device='cpu'"
_LIST = "`nvidia-smi -L` lists the UUIDs of all"


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card.

    Attributes:
        uuid: its name for good.
        model: what it is; cards of one model are equally fast.
        place: its PCI domain, bus and device.
        instances: the UUIDs of the parts that MIG made of it; None without MIG.
    """

    uuid: str
    model: str
    place: tuple[int, int, int] = (0, 0, 0)
    instances: tuple[str, ...] | None = None


class TorchDevice(Protocol):
    """A ``torch.device``, which may be given where its text may."""

    @property
    def type(self) -> str: ...
    @property
    def index(self) -> int | None: ...


DeviceName: TypeAlias = int | str | TorchDevice


def parse(device: Any) -> int | str:
    """Return the index or the UUID that ``1``, ``"cuda:1"``, a UUID or a torch.device means.

    Raises:
        TypeError: it is nothing of all that.
        ValueError: it means none.
    """
    must_be = "a GPU: its index as torch counts, 'cuda:0', or its UUID 'GPU-...'"
    if checks.is_number(device) and checks.is_whole_number(device):
        if not 0 <= int(device) < 10**9:
            raise checks.value_error("device", must_be, device)
        return int(device)
    if not isinstance(device, str) and type(device).__name__ != "device":  # torch's
        raise checks.type_error("device", must_be, device)
    text = str(device)
    if text.startswith(("GPU-", "MIG-")):
        return text
    number = re.fullmatch(r"(?:cuda:?)?(\d{0,9})", text)
    if number and text:
        return int(number[1] or 0)
    raise checks.value_error("device", must_be, device, _THE_MACHINE)


def cuda() -> Any:
    """Return ``torch.cuda``, if torch is imported and has initialised CUDA; else None.

    It imports nothing and initialises nothing.
    """
    try:
        module = sys.modules["torch"].cuda
        return module if module.is_initialized() else None
    except (KeyError, AttributeError):  # not imported, or only just being so
        return None


def torch_uuid(index: int) -> str | None:
    """Return the number in the UUID of torch's device ``index``; None if it does not know."""
    module = cuda()
    try:
        return None if module is None else str(module.get_device_properties(index).uuid)
    except Exception:  # there is no such device, or an old torch does not tell
        return None


def torch_index(uuid: str) -> int | None:
    """Return which of torch's devices has ``uuid``; None if torch does not know."""
    module = cuda()
    for index in range(module.device_count() if module is not None else 0):
        number = torch_uuid(index)
        if number and uuid.endswith(number):
            return index
    return None


def no_cards() -> ProbeUnavailable:
    """Return the error that says that the driver has none."""
    return ProbeUnavailable("the driver shows no GPU", "`nvidia-smi` should list it")


def by_uuid(cards: Sequence[Card], text: str) -> str:
    """Return the one UUID that begins with ``text``."""
    if not cards:
        raise no_cards()
    found = _beginning(names(cards), text)
    if len(found) == 1:
        return found[0]
    number = f"{len(found)} GPUs have" if found else "no GPU here has"
    raise ProbeUnavailable(f"{number} a UUID that begins with {text}", _LIST)


def count(cards: Sequence[Card], environ: Mapping[str, str]) -> int:
    """Return how many cards CUDA would show, were it initialised now."""
    return len(_visible(cards, environ))


def by_index(cards: Sequence[Card], index: int, environ: Mapping[str, str]) -> str:
    """Return the UUID of what CUDA would call device ``index``, were it initialised now."""
    if not cards:
        raise no_cards()
    visible = _visible(cards, environ)
    if index >= len(visible):
        text = environ.get("CUDA_VISIBLE_DEVICES")
        shown = "" if text is None else f" CUDA_VISIBLE_DEVICES={text!r} shows"
        raise ProbeUnavailable(
            f"there is no GPU {index}:{shown} {len(visible)} of {len(cards)}",
            f"choose an index below {len(visible)}" if visible else f"show some; {_LIST}",
        )
    uuid = visible[index]
    card = next((card for card in cards if card.uuid == uuid), None)
    if card is None or card.instances is None:
        return uuid
    if len(card.instances) == 1:
        return card.instances[0]
    raise ProbeUnavailable(
        f"GPU {index} is divided into {len(card.instances)} MIG instances",
        f"name one by its UUID, MIG-..., here or in CUDA_VISIBLE_DEVICES; {_LIST}",
    )


def _visible(cards: Sequence[Card], environ: Mapping[str, str]) -> list[str]:
    """Return the UUIDs that CUDA shows, in its order.

    The first entry that means nothing ends the list, and one given twice empties it.
    """
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return _in_order(cards, environ)
    entries = [entry.strip() for entry in text.split(",")]
    visible: list[str] = []
    for entry in entries:
        found = _shown(cards, entry, environ) if _kind(entry) == _kind(entries[0]) else []
        if len(found) != 1:
            break
        if found[0] in visible:
            return []
        visible += found
    return visible


def _kind(entry: str) -> str:
    return entry[:4] if entry.startswith(("GPU-", "MIG-")) else "number"


def _shown(cards: Sequence[Card], entry: str, environ: Mapping[str, str]) -> list[str]:
    """Return the UUIDs that an entry of CUDA_VISIBLE_DEVICES may mean."""
    if _kind(entry) != "number":
        return _beginning(names(cards), entry)
    number = re.match(r"\+?(\d+)", entry)  # CUDA reads "1x" as 1
    if number is None:
        return []
    at = int(number[1])
    return _in_order(cards, environ)[at : at + 1]


def _in_order(cards: Sequence[Card], environ: Mapping[str, str]) -> list[str]:
    """Return the UUIDs in the order in which CUDA numbers them."""
    if environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and len({c.model for c in cards}) > 1:
        models = ", ".join(sorted({card.model for card in cards}))
        raise ProbeUnavailable(
            f"which GPU CUDA counts first is not known: the models differ ({models})",
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or give the GPU's UUID",
        )
    if len(cards) > 1 and any(card.instances is not None for card in cards):
        raise ProbeUnavailable(
            "which GPU CUDA counts first is not known: some are divided by MIG",
            f"name one by its UUID, here or in CUDA_VISIBLE_DEVICES; {_LIST}",
        )
    return [card.uuid for card in sorted(cards, key=lambda card: card.place)]


def names(cards: Sequence[Card]) -> list[str]:
    """Return the UUIDs of all cards and their MIG instances."""
    return [uuid for card in cards for uuid in (card.uuid, *(card.instances or ()))]


def _beginning(uuids: Sequence[str], text: str) -> list[str]:
    """Return the UUIDs that begin with ``text``; one that is exactly it is the only one."""
    return [text] if text in uuids else [uuid for uuid in uuids if uuid.startswith(text)]
