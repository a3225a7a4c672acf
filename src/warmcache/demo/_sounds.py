"""Sounds to scan: bursts like speech on faint noise, and sounds that are none.

Speech is made as formant synthesizers make it: pulses of a voice, whose pitch
glides, ring in three resonances that belong to a vowel, with a hiss before some.
(D. H. Klatt, Software for a cascade/parallel formant synthesizer, 1980; the vowels'
formants are the men's of G. E. Peterson and H. L. Barney, Control methods used in a
study of the vowels, 1952.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # samples a second
SECONDS = 2.0  # of every sound
OTHERS = ("silence", "noise", "hum")

Wave: TypeAlias = NDArray[np.floating[Any]]

_VOWELS = (  # the first three formants, Hz
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
_BANDWIDTHS = (80, 100, 140)  # Hz


@dataclass(frozen=True, slots=True)
class Sound:
    """``wave``, float32 of shape (RATE * SECONDS,), and where speech is in it, in seconds."""

    kind: str
    wave: Wave
    speech: tuple[float, float] | None


def draw_speech(chance: random.Random) -> Sound:
    """Return a sound with a burst like speech, somewhere in it."""
    rng = _rng(chance)
    start, length = chance.uniform(0.3, 0.7), chance.uniform(0.8, 1.1)
    wave, burst = _noise(rng, 0.003), _babble(rng, length)
    wave[_samples(start) :][: len(burst)] += 0.5 * burst
    return Sound("speech", wave.astype(np.float32), (start, start + length))


def draw_other(chance: random.Random) -> Sound:
    """Return silence, noise or a hum."""
    kind = chance.choice(OTHERS)
    wave: Wave = np.zeros(_samples(SECONDS))
    if kind != "silence":
        wave = _noise(_rng(chance), 0.003 if kind == "hum" else chance.uniform(0.015, 0.06))
    if kind == "hum":
        wave += _hum(chance.uniform(300, 600))
    return Sound(kind, wave.astype(np.float32), None)


def _rng(chance: random.Random) -> np.random.Generator:
    return np.random.default_rng(chance.getrandbits(32))


def _noise(rng: np.random.Generator, loudness: float) -> Wave:
    return loudness * rng.standard_normal(_samples(SECONDS))


def _samples(seconds: float) -> int:
    return int(seconds * RATE)


def _hum(pitch: float) -> Wave:
    """Return a steady tone."""
    return np.asarray(0.3 * np.sin(2 * np.pi * pitch * np.arange(_samples(SECONDS)) / RATE))


def _babble(rng: np.random.Generator, seconds: float) -> Wave:
    """Return syllables without sense, one after the other."""
    pitch, parts, length = rng.uniform(100, 210), [], 0
    while length < _samples(seconds):
        hiss, vowel = _hiss(rng), _vowel(rng, pitch)
        parts += [hiss, vowel]
        length += len(hiss) + len(vowel)
    return np.concatenate(parts)[: _samples(seconds)]


def _hiss(rng: np.random.Generator) -> Wave:
    noise = np.diff(rng.standard_normal(_samples(rng.uniform(0.03, 0.09))), prepend=0)
    return 0.12 * noise * np.hanning(len(noise))


def _vowel(rng: np.random.Generator, pitch: float) -> Wave:
    length = _samples(rng.uniform(0.12, 0.25))
    at = np.arange(length) / RATE
    glide = 0.08 * np.sin(2 * np.pi * rng.uniform(2, 5) * at + rng.uniform(0, 6))
    turns = np.cumsum(pitch * (1 + glide - 0.1 * np.arange(length) / length)) / RATE
    pulses = np.diff(np.floor(turns), prepend=0)
    voice = np.convolve(pulses, np.exp(-np.arange(60) / 12))[:length]
    voice += 0.01 * rng.standard_normal(length)
    for formant, bandwidth in zip(rng.choice(_VOWELS), _BANDWIDTHS, strict=True):
        voice = 0.35 * _loudest_is_1(voice) + _loudest_is_1(_ring(voice, formant, bandwidth))
    fade = np.minimum(np.arange(length), length - np.arange(length)) / (0.03 * RATE)
    return _loudest_is_1(voice) * np.minimum(1, fade) * rng.uniform(0.6, 1)


def _ring(voice: Wave, formant: float, bandwidth: float) -> Wave:
    """Return ``voice`` after a resonance of two poles."""
    at = np.arange(_samples(0.03))
    decay = np.exp(-np.pi * bandwidth / RATE) ** at
    response = decay * np.sin((at + 1) * 2 * np.pi * formant / RATE)
    return np.convolve(voice, response)[: len(voice)]


def _loudest_is_1(wave: Wave) -> Wave:
    return np.asarray(wave / (np.abs(wave).max() + 1e-9))
