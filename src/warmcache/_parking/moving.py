"""Having every tensor of a value look into other storages, in place: the objects stay.

First all is made that is needed, then all is copied, and only then does one tensor after the other
look at the copies. So what fails on the way there has changed nothing; and from the first change on
nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from .devices import Device
from .finding import Held, Tensors
from .parking import CannotPark
from .views import over


def move(
    torch: Any, held: Held, copies: Sequence[Any], device: Device, copied: Container[int] = ()
) -> None:
    """Copy what is ``held`` into ``copies``, and have its tensors look into these.

    Those whose numbers are among the ``copied`` are copies already. A failure is raised and leaves
    every tensor as it was.
    """
    tensors, storages, whole, places = held
    made = views_of(torch, tensors, copies)
    for (tensor, _), view in zip(tensors, made, strict=True):
        if not torch._has_compatible_shallow_copy_type(tensor, view):
            raise CannotPark(f"torch does not move a {type(tensor).__name__} of {tensor.dtype}")
    whole_views = {
        numbers[0]: view
        for (tensor, numbers), view in zip(tensors, made, strict=True)
        if whole.get(numbers[0]) is tensor  # type: ignore[arg-type]
    }
    with torch.inference_mode():
        for number, (storage, copy) in enumerate(zip(storages, copies, strict=True)):
            if number in copied:
                continue
            if number in whole_views:
                device.copy(whole_views[number], whole[number])
            else:
                device.copy(_bytes_of(torch, copy), _bytes_of(torch, storage))
    device.synchronize({*places})
    try:
        rebind(torch, tensors, made)
    except BaseException:
        rebind(torch, tensors, views_of(torch, tensors, storages))
        raise


def views_of(torch: Any, tensors: Tensors, storages: Sequence[Any]) -> list[Any]:
    """Return what is to become of each of the tensors."""
    made: list[Any] = [None] * len(tensors)
    for inference in (False, True):
        with torch.inference_mode(inference):
            for at, (tensor, numbers) in enumerate(tensors):
                if tensor.is_inference() is inference:
                    into = [None if number is None else storages[number] for number in numbers]
                    made[at] = over(torch, tensor, into)
    return made


def rebind(torch: Any, tensors: Tensors, made: Sequence[Any]) -> None:
    """Have each of the ``tensors`` look where its counterpart looks."""
    for inference in (False, True):
        with torch.inference_mode(inference):
            for (tensor, _), view in zip(tensors, made, strict=True):
                if tensor.is_inference() is inference:
                    tensor.data = view


def _bytes_of(torch: Any, storage: Any) -> Any:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
