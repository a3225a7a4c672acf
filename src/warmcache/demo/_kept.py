"""Models that are kept on disk: what a load has converted is there for the next one, in any run.

A model is an object, and no tensors or text, so its loader is given a codec: it has the model save
its tensors, and makes a model of these. What the load took lies beside them, for whoever reads them
to know what that has saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from warmcache.tiers import DiskTier

from ._journal import Journal
from ._options import DemoError, Options
from ._spec import Model, Saved

_SECONDS = "seconds"  # the file that says what the load took


class OnDisk(NamedTuple):
    """What lies on disk: how many models, and their bytes."""

    models: int
    bytes: int


class SavedModels:
    """The codec of one model, which goes to ``device``.

    ``seconds`` is what the last load took. What that gave is dumped before another load begins.
    """

    def __init__(self, saved: Saved, device: str, journal: Journal) -> None:
        self.seconds = 0.0
        self._read = saved.read
        self._device = device
        self._journal = journal

    def dump(self, model: Any, folder: Path) -> None:
        """Write the model, and what its load took."""
        model.save(folder)
        (folder / _SECONDS).write_text(repr(self.seconds), encoding="ascii")

    def load(self, folder: Path, name: str) -> Model:
        """Return the model that was written, and note what reading it took."""
        self._journal.sample()
        began = self._journal.now()
        instead = float((folder / _SECONDS).read_text(encoding="ascii"))
        model = self._read(self._device, folder)
        self._journal.loaded(name, began, model.weigh(), instead)
        return model


def open_tier(options: Options) -> DiskTier | None:
    """Return the tier in the folder that was asked for, None if none was.

    Raises:
        DemoError: filelock is not installed, or the folder cannot be used.
    """
    if options.disk is None:
        return None
    try:
        return DiskTier(options.disk)
    except ModuleNotFoundError as error:
        raise DemoError(f"--disk: {error}") from None
    except (OSError, ValueError) as error:
        raise DemoError(f"--disk: {getattr(error, 'strerror', None) or error}") from None


def on_disk(tier: DiskTier | None) -> OnDisk | None:
    """Return what lies in a tier, and close it; None where there is none."""
    if tier is None:
        return None
    stats = tier.stats()
    tier.close()
    return OnDisk(stats.entries, stats.bytes)
