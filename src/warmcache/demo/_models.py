"""The models of the demo, and how it is judged whether an answer is right."""

from __future__ import annotations

import random
from functools import partial

from . import _minilm, _sentences, _silero, _sounds
from ._spec import Answer, Lease, Spec

# Speech is found when this share of it is, and no more than this many seconds beside it.
LEAST_FOUND = 0.8
MOST_BESIDE = 0.6


def specs() -> list[Spec]:
    """Return all models with their weights; nothing is loaded for that."""
    tokenizer = Spec("tokenizer", _minilm.tokenizer_weight(), _minilm.Tokenizer)
    encoders = [
        Spec(
            name,
            _minilm.encoder_weight(form),
            partial(_minilm.Encoder, form),
            partial(embed, name),
            needs=("tokenizer",),
        )
        for name, form in _minilm.FORMS.items()
    ]
    detector = Spec("silero-vad", _silero.detector_weight(), _silero.Detector, scan)
    return [*encoders, detector, tokenizer]


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
    """Scan a sound: speech must be found where it is, and nowhere else.

    The margin is the share of the speech that was found above what is asked for, or,
    where there is none, 0 if nothing was found.
    """
    sound = _sounds.draw(chance)
    with lease("silero-vad") as detector:
        found = detector.find(sound.wave)
    return judge(sound.speech, found)


def judge(speech: tuple[float, float] | None, found: list[tuple[float, float]]) -> Answer:
    """Compare where speech is with where it was found."""
    total = sum(end - start for start, end in found)
    if speech is None:
        return Answer(not found, -total)
    start, end = speech
    inside = sum(max(0.0, min(end, b) - max(start, a)) for a, b in found)
    margin = min(inside / (end - start) - LEAST_FOUND, MOST_BESIDE - (total - inside))
    return Answer(margin >= 0, margin)
