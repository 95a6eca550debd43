from fractions import Fraction

import numpy as np
import pytest

from persamhq_video.features import FeatureStore, StoreCounters
from persamhq_video.types import Frame


def frame(index):
    return Frame(index, index, Fraction(1, 25), np.full((2, 2, 3), index, dtype=np.uint8), f"{index:05d}")


def store(budget):
    return FeatureStore(budget=budget, encode=lambda f: f"features {f.index}", size_of=lambda _: 10)


def test_what_fits_is_kept():
    features = store(30)
    assert [features.encode(frame(i)) for i in range(3)] == [10, 10, 10]
    assert [features.take(i) for i in range(3)] == ["features 0", "features 1", "features 2"]
    assert features.counters == StoreCounters(hits=3, evictions=0, recomputes=0, high_water=30)


def test_what_is_needed_last_is_dropped_and_made_again():
    features = store(20)
    for index in (2, 0, 1):
        features.encode(frame(index))
    assert [features.take(i) for i in range(3)] == ["features 0", "features 1", "features 2"]
    assert features.counters == StoreCounters(hits=2, evictions=1, recomputes=1, high_water=20)


def test_a_budget_below_one_frame_still_gives_every_frame():
    features = store(1)
    for index in range(3):
        features.encode(frame(index))
    assert [features.take(i) for i in range(3)] == ["features 0", "features 1", "features 2"]
    assert features.counters == StoreCounters(hits=0, evictions=3, recomputes=3, high_water=0)


def test_taking_makes_room():
    features = store(10)
    for index in range(5):
        features.encode(frame(index))
        assert features.take(index) == f"features {index}"
    assert features.counters.evictions == 0


def test_a_frame_is_taken_once():
    features = store(10)
    features.encode(frame(0))
    features.take(0)
    with pytest.raises(KeyError, match="0"):
        features.take(0)
