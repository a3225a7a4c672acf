"""Models that are parked: who has to make room for another has its bytes moved, and is kept.

For models of torch on a GPU ``host=`` alone would do. It is said here how they are parked, so that
the demo can note what each move took, and because without a GPU nothing would be parked: bytes
that lie on the host need not be moved there. Then the machine's memory stands for a device, and
another part of it is where the bytes are moved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from warmcache._parking.devices import ACCELERATORS, Accelerators
from warmcache._parking.in_place import InPlaceParker
from warmcache._parking.parking import Parked, Parker
from warmcache._parking.slabs import Slabs
from warmcache._sizes import format_size
from warmcache.memory import MemoryCache
from warmcache.memory.host_parking import spare
from warmcache.policies import registry
from warmcache.probes.host import HostProbe

from ._journal import Journal
from ._options import DemoError, Options
from ._spec import Model, Spec

_ALONE = 2  # budgets, where no size was said


class HostAsDevice(Accelerators):
    """The machine's memory, as if it were a device."""

    def has(self, place: Any) -> bool:
        return bool(place.type == "cpu")

    def synchronize(self, places: Iterable[Any]) -> None:
        """Nothing is under way: a copy has ended when its call has."""


class _State:
    """What is parked of a model; its bytes are given back with the last reference."""

    def __init__(self, parked: Parked) -> None:
        self.nbytes = parked.nbytes
        self.unpark = parked.unpark
        weakref.finalize(self, parked.drop).atexit = False


class Parking:
    """Parks the models of one server in ``budget`` bytes, and notes what comes back."""

    def __init__(self, device: str, budget: int, journal: Journal) -> None:
        self._parker = _parker(device, budget)
        self._journal = journal

    def options(self, spec: Spec) -> dict[str, Any]:
        """Return what the loader of ``spec`` is told; nothing for what cannot be parked."""

        def park(model: Model) -> _State:
            began = self._journal.now()
            state = _State(self._parker.park(model, spec.weight))
            self._journal.parked(spec.name, began)
            return state

        def unpark(state: _State) -> Any:
            began = self._journal.now()
            model = state.unpark()
            self._journal.unparked(spec.name, began)
            return model

        return {"park": (park, unpark)} if spec.parks else {}


def _parker(device: str, budget: int) -> Parker:
    where = HostAsDevice() if device == "cpu" else ACCELERATORS
    return InPlaceParker(Slabs(limit=budget), where)


# -- the option ------------------------------------------------------------------------


def check_host(options: Options) -> None:
    """Raise DemoError unless models can be parked by this policy, in one process."""
    if options.host is None:
        return
    if options.workers > 1:
        raise DemoError("--host: each worker would have it for itself; leave --workers out")
    if not issubclass(registry[options.policy], MemoryCache):
        raise DemoError(
            f"--policy: {options.policy!r} has no device that models could leave; with --host "
            "the demo can use: auto, gpu, ram"
        )


def host_budget(options: Options) -> tuple[int, str]:
    """Return the bytes that parked models may take, and how that came about.

    Raises:
        DemoError: no size was said, and nothing fits.
    """
    assert options.host is not None
    if options.host is not True:
        return options.host, "as was said"
    alone = _ALONE * options.budget
    left = spare(HostProbe().sample())
    # Without a GPU the budget lies in the same memory.
    fits = alone if left is None else int(left) - options.budget
    if fits <= 0:
        raise DemoError(
            f"--host: nothing fits into this machine's memory beside {format_size(options.budget)} "
            "of models; give it a size, or a smaller --budget"
        )
    return (fits, "what fits") if fits < alone else (alone, "twice the budget")
