"""The stream of requests is the same for the same seed, and skewed."""

from collections import Counter

from warmcache.demo._requests import EXPONENT, stream

MODELS = ["a", "b", "c", "d", "e"]


def test_a_seed_gives_the_same_stream_every_time():
    assert stream(MODELS, 200, seed=7) == stream(MODELS, 200, seed=7)


def test_another_seed_gives_another_stream():
    assert stream(MODELS, 200, seed=7) != stream(MODELS, 200, seed=8)


def test_a_longer_stream_begins_with_the_same_popular_model():
    def favourite(count):
        return Counter(r.model for r in stream(MODELS, count, seed=7)).most_common(1)[0][0]

    assert favourite(2000) == favourite(4000)


def test_the_seed_decides_which_model_is_popular():
    favourites = {
        Counter(r.model for r in stream(MODELS, 500, seed)).most_common(1)[0][0]
        for seed in range(20)
    }
    assert favourites == set(MODELS)


def test_the_second_most_popular_is_asked_for_as_often_as_zipf_says():
    counts = Counter(request.model for request in stream(MODELS, 50_000, seed=7))
    first, second = (count for _, count in counts.most_common(2))
    assert abs(first / second - 2**EXPONENT) < 0.15


def test_two_requests_for_one_model_ask_different_things():
    requests = [r for r in stream(MODELS, 50, seed=7) if r.model == "a"]
    assert len(requests) == len({request.seed for request in requests}) > 1
