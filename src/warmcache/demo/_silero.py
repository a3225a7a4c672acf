"""Voice activity detection: silero-vad, a TorchScript file inside its package."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

from ._libraries import library
from ._sounds import RATE, Wave

torch = library("torch")
silero_vad = library("silero_vad")
_FILE = Path(silero_vad.__file__).parent / "data" / "silero_vad.jit"
_WINDOW = 512  # samples that the model judges at a time


class Detector:
    """Finds where somebody speaks."""

    def __init__(self, device: str) -> None:
        self._model: Any = silero_vad.load_silero_vad().to(device)
        self._device = device
        self._lock = threading.Lock()  # the model remembers what it has just heard

    def weigh(self) -> int:
        tensors = [*self._model.parameters(), *self._model.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def close(self) -> None:
        self._model = None

    def find(self, wave: Wave) -> list[tuple[float, float]]:
        """Return the spans, in seconds, in which speech is the more likely."""
        with self._lock, torch.inference_mode():
            chances = self._model.audio_forward(self._put(wave), RATE)[0].tolist()
        spans: list[tuple[float, float]] = []
        for index, chance in enumerate(chances):
            if chance > 0.5:
                start, end = index * _WINDOW / RATE, (index + 1) * _WINDOW / RATE
                if spans and spans[-1][1] == start:
                    start = spans.pop()[0]
                spans.append((start, end))
        return spans

    def _put(self, wave: Wave) -> Any:
        return torch.from_numpy(wave).to(self._device)


def detector_weight() -> int:
    """Return the bytes of the model's tensors, from its archive's list of contents."""
    with zipfile.ZipFile(_FILE) as archive:
        return sum(
            member.file_size
            for member in archive.infolist()
            if member.filename.split("/")[1:2] == ["data"]
        )
