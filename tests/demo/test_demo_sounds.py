"""The sounds have speech where they say, and are judged by where it is found."""

import random

import numpy as np
import pytest

from warmcache.demo import _sentences, _sounds


def loudness(wave, start, end):
    return np.abs(wave[int(start * _sounds.RATE) : int(end * _sounds.RATE)]).mean()


@pytest.mark.parametrize("seed", range(5))
def test_a_burst_of_speech_is_where_it_is_said_to_be(seed):
    sound = _sounds.draw_speech(random.Random(seed))
    start, end = sound.speech
    inside = loudness(sound.wave, start, end)
    assert inside > 10 * loudness(sound.wave, 0, start)
    assert inside > 10 * loudness(sound.wave, end, _sounds.SECONDS)


def test_the_other_sounds_are_of_every_kind_and_without_speech(chance):
    sounds = [_sounds.draw_other(chance) for _ in range(50)]
    assert set(_sounds.OTHERS) == {sound.kind for sound in sounds}
    assert {None} == {sound.speech for sound in sounds}


def test_a_seed_gives_the_same_sound_every_time():
    one, other = (_sounds.draw_speech(random.Random(3)).wave for _ in range(2))
    assert np.array_equal(one, other)


def test_sounds_are_of_one_length_and_type(chance):
    for sound in (_sounds.draw_speech(chance), _sounds.draw_other(chance)):
        assert (_sounds.RATE * _sounds.SECONDS,) == sound.wave.shape
        assert np.float32 == sound.wave.dtype
        assert np.abs(sound.wave).max() <= 1


def test_the_near_sentence_is_of_the_same_pair_and_the_far_one_is_not(chance):
    for _ in range(50):
        sentence, near, far = _sentences.draw(chance)
        pair = next(pair for pair in _sentences.PAIRS if sentence in pair)
        assert {sentence, near} == set(pair)
        assert far not in pair
