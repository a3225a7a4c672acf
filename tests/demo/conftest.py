"""Models that weigh a few units and load at once, so that no torch is needed."""

import random

import pytest
from demo_zoo import Zoo, specs_of


@pytest.fixture
def zoo():
    return Zoo()


@pytest.fixture
def specs(zoo):
    return specs_of(zoo)


@pytest.fixture
def chance():
    return random.Random(0)
