"""The way through the disk of a loader that writes files: each call ends with their delivery."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Ask, Plan, Produced
from warmcache._core.state.entry import Source
from warmcache.tiers.disk_tier import DiskCall

from .hit_path_text import Shape
from .loader_options import LoaderOptions
from .out_files import Delivery, OutFiles, suffix_of
from .through_disk import Places, Produce, SaysWhenEnded, ThroughDisk

T = TypeVar("T")


def through_disk(
    target: Any,
    where: str,
    shape: Shape,
    options: LoaderOptions,
    *,
    of_owner: bool,
    loader: weakref.ref[SaysWhenEnded],
) -> ThroughDisk:
    """Return the way of a loader, by what it gives; see :class:`ThroughDisk`."""
    kind = ThroughDisk if options.out_files is None else FilesThroughDisk
    return kind(target, where, shape, options, of_owner=of_owner, loader=loader)


class FilesThroughDisk(ThroughDisk):
    """The tier of a loader that writes files, and how they get to who wants them."""

    def __init__(
        self,
        target: Any,
        where: str,
        shape: Shape,
        options: LoaderOptions,
        *,
        of_owner: bool,
        loader: weakref.ref[SaysWhenEnded],
    ) -> None:
        super().__init__(target, where, shape, options, of_owner=of_owner, loader=loader)
        self._called = where.rpartition(".")[2]
        self._out = OutFiles(self._called, options.out_files, shape.parameters, options.key)

    def _besides(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        wanted = self._out.wanted(args, kwargs)
        return {f"file {name}": suffix_of(path) for name, path in wanted.items()}

    def loading(
        self,
        view: CacheView,
        produce: Produce,
        call: DiskCall,
        source: Source,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Produce:
        instance = args[: len(args) - len(call.args)]
        return super().loading(view, produce, call, source, instance, {})

    def _delivery(self, call: DiskCall) -> Delivery:
        return Delivery(self._called, self._out.wanted(call.args, call.kwargs))  # type: ignore[arg-type]

    def _elsewhere(self, call: DiskCall, produce: Produce, delivery: Delivery) -> Any:
        """Return ``produce`` as it is called to write its files into the private folders."""
        args, kwargs = self._out.given(call.args, call.kwargs, delivery.instead())  # type: ignore[arg-type]
        return partial(produce, *args, **kwargs)

    def _one(self, call: DiskCall, source: Source, produce: Produce) -> Plan[Produced]:
        delivery = self._delivery(call)

        def load(_: Places) -> Plan[list[Produced]]:
            yield self.blocking(delivery.clear)
            produced = yield Ask(self._elsewhere(call, produce, delivery))
            yield self.blocking(delivery.check)
            return [produced]

        try:
            yield self.blocking(delivery.begin)
            called = call._replace(files=delivery.files)
            [produced] = yield from self.way([called], load, source)
            yield self.blocking(delivery.deliver)
        except Exception:
            yield self.blocking(delivery.end)
            raise
        finally:  # where it was cancelled, or its loop was closed
            delivery.end()
        return produced

    async def _aside(self, work: Callable[[], T], unclaimed: Callable[[T], object] | None) -> T:
        """Do ``work`` in a thread to its end: its files are removed once nobody waits for it."""
        from warmcache._core.drivers.aside import aside_to_its_end

        if unclaimed is not None:  # it waits for others, and has no files
            return await super()._aside(work, unclaimed)
        value, cancelled = await aside_to_its_end(work, "warmcache-disk")
        if cancelled is not None:
            raise cancelled
        return value
