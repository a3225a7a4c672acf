"""What other ways would have paid, computed by hand."""

import pytest

from warmcache.demo._compare import Paid, certain_entries, cold_start, lru_cache
from warmcache.demo._requests import Request

SECONDS = {"forty": 4.0, "thirty": 3.0, "twenty": 2.0, "ten": 1.0, "tokenizer": 0.5}


def requests(*models):
    return [Request(model, seed=0) for model in models]


def test_a_cold_start_loads_the_model_and_what_it_needs_for_every_request(specs):
    paid = cold_start(requests("forty", "forty", "ten"), specs, SECONDS)
    assert Paid(loads=5, seconds=4.5 + 4.5 + 1.0) == paid


def test_lru_cache_pays_again_for_what_it_has_dropped(specs):
    asked = requests("forty", "ten", "forty", "twenty", "forty", "ten")
    paid = lru_cache(asked, specs, SECONDS, maxsize=2)
    assert Paid(loads=5, seconds=4.0 + 1.0 + 2.0 + 1.0 + 0.5) == paid


def test_lru_cache_of_one_entry_pays_for_every_change_of_model(specs):
    paid = lru_cache(requests("ten", "ten", "twenty", "ten"), specs, SECONDS, maxsize=1)
    assert Paid(loads=4, seconds=1.0 + 2.0 + 1.0 + 0.5) == paid


def test_lru_cache_that_holds_everything_pays_once_for_each(specs):
    asked = requests("ten", "twenty", "thirty", "forty") * 3
    assert 10.5 == lru_cache(asked, specs, SECONDS, maxsize=4).seconds


@pytest.mark.parametrize(
    ("budget", "entries"), [(41, 1), (69, 1), (70, 2), (90, 3), (99, 3), (100, 4), (1000, 4)]
)
def test_lru_cache_is_given_as_many_entries_as_of_the_largest_models_fit(specs, budget, entries):
    assert entries == certain_entries(specs, budget)
