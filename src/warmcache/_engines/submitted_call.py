"""A call that was submitted to an executor, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from .wanted import Wanted


@dataclass(slots=True, eq=False)
class SubmittedCall:
    """One call that was submitted: what is to be done, and the future that waits for it."""

    wanted: Wanted | None
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)
    running: bool = False

    @property
    def key(self) -> Any:
        """What it is routed by: the call itself if it wants nothing, for then any slot will do."""
        return self if self.wanted is None else self.wanted.name

    def resolve(self, value: Any, error: BaseException | None) -> None:
        """Give whoever waits the value, or the error if there is one."""
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)

    def begins(self) -> bool:
        """Tell whether it is to be run: not if it was cancelled."""
        self.running = self.running or self.future.set_running_or_notify_cancel()
        return self.running


class Marking(Executor):
    """Submits with what is wanted as the first argument: for the ``map`` of all executors."""

    def __init__(self, submit: Callable[..., Future[Any]]) -> None:
        self._submit = submit

    def submit(self, fn: Any, warm: Any, /, *args: Any) -> Future[Any]:  # type: ignore[override]
        return self._submit(fn, *args, warm=warm)


def error_of(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except BaseException as error:  # it was cancelled
        return error
