"""The models of the demo, and how it is judged whether an answer is right."""

from __future__ import annotations

import random
from functools import partial

from . import _minilm, _sentences, _silero, _sounds
from ._spec import Answer, Lease, Saved, Spec

# Speech is found when this share of it is, and no more than this many seconds beside it.
LEAST_FOUND = 0.7
MOST_BESIDE = 0.5


def specs() -> list[Spec]:
    """Return all models with their weights; nothing is loaded for that."""
    tokenizer = Spec("tokenizer", _minilm.tokenizer_weight(), _minilm.Tokenizer)
    encoders = [
        Spec(
            name,
            _minilm.encoder_weight(form),
            partial(_minilm.Encoder, form),
            partial(embed, name),
            "near sentences are closer than far ones",
            needs=("tokenizer",),
            saved=_saved(form),
            parks=True,
        )
        for name, form in _minilm.FORMS.items()
    ]
    detector = Spec(
        "silero-vad",
        _silero.detector_weight(),
        _silero.Detector,
        scan,
        "speech is found where it is, and nowhere else",
        parks=True,
    )
    return [*encoders, detector, tokenizer]


def _saved(form: _minilm.Form) -> Saved | None:
    if not form.quantized:
        return None
    read = partial(_minilm.Encoder.read, form)
    return Saved(read, _minilm.VERSION, dear=form.dtype == "int4")


def embed(name: str, lease: Lease, chance: random.Random) -> Answer:
    """Embed three sentences: the near one must be closer than the far one.

    The margin is by how much the first's cosine similarity is the higher.
    """
    sentences = _sentences.draw(chance)
    # The tokenizer first: whoever waits for an encoder's room holds it already.
    with lease("tokenizer") as tokenizer, lease(name) as encoder:
        sentence, near, far = encoder.embed(tokenizer(sentences))
    margin = float(sentence @ near - sentence @ far)
    return Answer(margin > 0, margin)


def scan(lease: Lease, chance: random.Random) -> Answer:
    """Scan two sounds: speech must be found where it is in one, and none in the other."""
    sounds = _sounds.draw_speech(chance), _sounds.draw_other(chance)
    with lease("silero-vad") as detector:
        answers = [judge(sound.speech, detector.find(sound.wave)) for sound in sounds]
    return min(answers, key=lambda answer: answer.margin)


def judge(speech: tuple[float, float] | None, found: list[tuple[float, float]]) -> Answer:
    """Compare where speech is with where it was found.

    The margin is the share of the speech, or the seconds beside it, that could have
    gone wrong without making the answer wrong.
    """
    total = sum(end - start for start, end in found)
    if speech is None:
        return Answer(not found, -total)
    start, end = speech
    inside = sum(max(0.0, min(end, b) - max(start, a)) for a, b in found)
    margin = min(inside / (end - start) - LEAST_FOUND, MOST_BESIDE - (total - inside))
    return Answer(margin >= 0, margin)
