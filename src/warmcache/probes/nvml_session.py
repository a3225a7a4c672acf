"""This process' use of NVML, the driver's management library."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warmcache._extras import how_to_install
from warmcache._log import log
from warmcache.errors import ProbeUnavailable

_REBOOT = "reset the GPU (`nvidia-smi --gpu-reset`) or reboot"
_REMEDIES = {
    4: "let this user read and write /dev/nvidia*",
    9: "install NVIDIA's driver, or load its kernel module; `nvidia-smi` shows whether it works",
    12: "install NVIDIA's driver; start a container with --gpus all",
    15: _REBOOT,
    16: _REBOOT,
    18: "the driver was updated and not reloaded: reboot",
}


class BusyError(Exception):
    """The library could not be asked: a call of another thread does not return."""


class Session:
    """This process' use of NVML: one thread at a time, initialised once, anew after a fork.

    One thread at a time, because the library has locks of its own: a child that is
    forked while another thread is in a call inherits them locked, for ever. So a fork
    waits for the call. It also lets the library be restarted under nobody's feet.

    Attributes:
        generation: of handles; those of an older one are dead.
        patience: seconds to wait for another thread's call.
        fork_patience: seconds for which a fork waits for one.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.patience = 1.0
        self.fork_patience = 1.0
        self._lock = threading.Lock()
        self._forker: int | None = None
        self._initialised = False
        self._wedged = False

    @contextmanager
    def calls(self) -> Iterator[Any]:
        """Give ``pynvml``, loaded and initialised, to this thread alone.

        Raises:
            BusyError: another thread's call takes too long.
            ProbeUnavailable: nvidia-ml-py is not installed.
            pynvml.NVMLError: the library cannot be initialised.
        """
        if self._wedged or not self._lock.acquire(timeout=self.patience):
            raise BusyError
        try:
            nvml = _pynvml()
            if not self._initialised:
                nvml.nvmlInit()
                self._initialised = True
            yield nvml
        finally:
            self._lock.release()

    def restart(self, generation: int) -> None:
        """Have the library begin anew, unless that was done since ``generation``.

        The library counts who initialised it: where others did too, it goes on for them.
        """
        if not self._lock.acquire(timeout=self.patience):
            return
        try:
            if self._initialised and generation == self.generation:
                self._initialised = False
                self.generation += 1
                _pynvml().nvmlShutdown()
        except Exception as error:
            log().debug("NVML did not shut down: %s", error)
        finally:
            self._lock.release()

    def before_fork(self) -> None:
        """Wait until no thread is in a call."""
        if self._lock.acquire(timeout=self.fork_patience):
            self._forker = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Let calls go on."""
        if self._forker == threading.get_ident():
            self._forker = None
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Forget the parent's session without ending it, for the parent goes on with it."""
        # In a call even now: its locks stay locked in here, so never touch the library.
        self._wedged = self._wedged or self._forker != threading.get_ident()
        self._forker = None
        self._lock = threading.Lock()
        self._initialised = False
        self.generation += 1
        if "pynvml" in sys.modules:
            sys.modules["pynvml"].libLoadLock = threading.Lock()  # type: ignore[attr-defined]


session = Session()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=session.before_fork,
        after_in_parent=session.after_fork_in_parent,
        after_in_child=session.after_fork_in_child,
    )


@contextmanager
def explained() -> Iterator[None]:
    """Raise what goes wrong in here as a :class:`ProbeUnavailable` that says what to do."""
    try:
        yield
    except ProbeUnavailable:
        raise
    except BusyError:
        reason = "another thread's call of NVIDIA's library does not return"
        if session._wedged:
            reason = "this process was forked while a call of NVIDIA's library did not return"
        raise ProbeUnavailable(reason, "`nvidia-smi` shows whether it hangs too") from None
    except Exception as error:
        number = code(error)
        if number is None:
            raise
        remedy = _REMEDIES.get(number, "`nvidia-smi` may say more")
        raise ProbeUnavailable(f"NVML says: {error} (code {number})", remedy) from None


def code(error: Exception) -> int | None:
    """Return the number of an ``NVMLError``; these can be neither hashed nor compared."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def _pynvml() -> Any:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        reason = f"NVIDIA's Python bindings cannot be imported: {error}"
        raise ProbeUnavailable(reason, how_to_install("gpu")) from None
    return pynvml
