"""Voice activity detection: silero-vad, a TorchScript file inside its package."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

from ._libraries import library
from ._sounds import RATE, Wave

torch = library("torch")
silero_vad = library("silero_vad")
_FILE = Path(silero_vad.__file__).parent / "data" / "silero_vad.jit"


class Detector:
    """Finds where somebody speaks."""

    def __init__(self) -> None:
        self._model = silero_vad.load_silero_vad()
        self._lock = threading.Lock()  # the model remembers what it has just heard

    def weigh(self) -> int:
        tensors = [*self._model.parameters(), *self._model.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def close(self) -> None:
        self._model = None

    def find(self, wave: Wave) -> list[tuple[float, float]]:
        """Return where speech begins and ends, in seconds."""
        with self._lock:
            found = silero_vad.get_speech_timestamps(
                torch.from_numpy(wave), self._model, sampling_rate=RATE
            )
        return [(span["start"] / RATE, span["end"] / RATE) for span in found]


def detector_weight() -> int:
    """Return the bytes of the model's tensors, from its archive's list of contents."""
    with zipfile.ZipFile(_FILE) as archive:
        return sum(
            member.file_size
            for member in archive.infolist()
            if member.filename.split("/")[1:2] == ["data"]
        )
