"""What loaders load for, and whose end lets all of that go."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from warmcache import _checks as checks
from warmcache._core.drivers.threads import run
from warmcache._core.state.records import Removal
from warmcache._core.state.standstill import loop_here
from warmcache._tracebacks import called_from, one_frame
from warmcache.caches.all_caches import evicted
from warmcache.policies.shared_caches import nowhere

from .owners import owner_of


class Context:
    """Owns what loaders load for it, in whichever caches that lies; at its end all of it goes.

    It is a base of classes of yours. Their warm methods belong to it by themselves, and a function
    with ``per="ctx"`` to the one that it is called with::

        class Sky(warmcache.Context):
            @warm
            def beam(self, channel): ...


        @warm(per="ctx")
        def frobnify(ctx, arg): ...


        with Sky() as ctx:
            frobnify(ctx, ctx.beam(3))

    It is told from others by identity, so two never share anything, and referenced weakly: one that
    is dropped without its end is torn down by warmcache's own thread. There is nothing to be called
    in ``__init__``.
    """

    __slots__ = ("__weakref__",)

    @one_frame
    def close(self) -> None:
        """Tear down all that belongs to it, the last loaded first, and refuse whatever comes after.

        What is leased is torn down when its last lease ends, and what is being loaded as it
        arrives. Closing twice is fine; who does so while another thread is at it waits for that.
        Where a loop is running, nothing is waited for, and teardowns that are ``async`` are only
        begun: there, await :meth:`aclose`.

        Raises:
            ExceptionGroup: of what failing teardowns raised, once all have run.
        """
        plan = owner_of(self).closed(self._why("close"), waits=loop_here() is None)
        _raise(run(plan, nowhere()._view), "close")

    @one_frame
    async def aclose(self) -> None:
        """Do the same as :meth:`close` on an event loop, and await what is ``async``.

        Raises:
            ExceptionGroup: of what failing teardowns raised, once all have run.
        """
        from warmcache._core.drivers.event_loop import run_async

        plan = owner_of(self).closed(self._why("aclose"), waits=True)
        _raise(await run_async(plan, nowhere()._view), "aclose")

    def _why(self, by: str) -> str:
        return f"{type(self).__qualname__} was closed by {by}() {called_from()}; make another"

    @one_frame
    def evict(self, *, tag: str | None = None) -> list[Removal]:
        """Tear down what belongs to it, the last loaded first; return what was removed.

        Only what has ``tag``, where one is given. What is leased goes with its last lease, and is
        among what is returned. The context stays open.

        Raises:
            TypeError: ``tag`` is no text.
            ValueError: it is empty.
        """
        checks.optional(checks.text, "tag", tag)
        owner = owner_of(self)
        owned = owner.owns()
        return evicted(
            owner.caches(), lambda entry: (tag is None or tag in entry.tags) and owned(entry)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _raise(failures: list[Exception], by: str) -> None:
    if failures:
        raise ExceptionGroup(f"teardown failed in {by}()", failures)
