from fractions import Fraction

import numpy as np
import pytest

from persamhq_video.executors.workers.feature_store import FeatureFootprint, FeatureStore
from persamhq_video.types import Frame

VIDEO, OTHER = 3, 4


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def frame(index):
    return Frame(index, index, Fraction(1, 25), np.full((2, 2, 3), index, dtype=np.uint8), f"{index:05d}")


def store(budget, encode=lambda f: f"features {f.index}"):
    return FeatureStore(budget=budget, encode=encode, size_of=lambda _: {"image": 4, "image_embedding": 6})


def counts(features, video=VIDEO):
    told = features.forget(video)
    return tuple(told[f"features_{name}"] for name in ("hits", "evicted", "recomputed", "high_water"))


def test_what_fits_is_kept():
    features = store(30)
    assert [features.encode(VIDEO, frame(i)) for i in range(3)] == [FeatureFootprint(num_bytes=10, capacity=3)] * 3
    assert [features.take(VIDEO, i) for i in range(3)] == ["features 0", "features 1", "features 2"]
    assert counts(features) == (3, 0, 0, 30)


def test_what_is_needed_last_is_dropped_and_made_again():
    features = store(20)
    for index in (2, 0, 1):
        features.encode(VIDEO, frame(index))
    assert [features.take(VIDEO, i) for i in range(3)] == ["features 0", "features 1", "features 2"]
    assert counts(features) == (2, 1, 1, 30)


def test_a_budget_below_one_frame_still_gives_every_frame():
    features = store(1)
    assert features.encode(VIDEO, frame(0)) == FeatureFootprint(num_bytes=10, capacity=0)
    features.encode(VIDEO, frame(1))
    assert [features.take(VIDEO, i) for i in range(2)] == ["features 0", "features 1"]
    assert counts(features) == (0, 2, 2, 10)


def test_taking_makes_room():
    features = store(10)
    for index in range(5):
        features.encode(VIDEO, frame(index))
        assert features.take(VIDEO, index) == f"features {index}"
    assert counts(features)[:3] == (5, 0, 0)


def test_a_frame_is_taken_once():
    features = store(10)
    features.encode(VIDEO, frame(0))
    features.take(VIDEO, 0)
    with pytest.raises(KeyError, match="0"):
        features.take(VIDEO, 0)


def test_videos_share_the_budget_and_are_counted_apart():
    features = store(20)
    features.encode(VIDEO, frame(40))
    features.encode(VIDEO, frame(41))
    # The frame that its video needs last goes, not the one with the highest number.
    features.encode(OTHER, frame(3))
    assert features.take(VIDEO, 41) == "features 41"
    assert counts(features)[:3] == (0, 1, 1)
    assert features.take(OTHER, 3) == "features 3"
    assert counts(features, OTHER)[:3] == (1, 0, 0)


def test_what_is_forgotten_makes_room():
    features = store(20)
    for index in range(2):
        features.encode(VIDEO, frame(index))
    features.forget(VIDEO)
    for index in range(2):
        features.encode(OTHER, frame(index))
    assert counts(features, OTHER)[:3] == (0, 0, 0)
    with pytest.raises(KeyError):
        features.take(VIDEO, 0)


def test_every_kind_is_counted_exactly():
    features = store(100)
    features.encode(VIDEO, frame(0))
    told = features.forget(VIDEO)
    assert (told["feature_bytes_image"], told["feature_bytes_image_embedding"]) == (4, 6)


def test_a_device_that_runs_out_of_memory_goes_on_with_less():
    released = []

    def encode(frame):
        held = features._held_bytes
        if held > 10:
            raise OutOfMemoryError("got 20 bytes, wanted 30")
        return f"features {frame.index}"

    features = FeatureStore(
        budget=100, encode=encode, size_of=lambda _: {"image": 10}, release=lambda: released.append(1)
    )
    kept = [features.encode(VIDEO, frame(index)) for index in range(4)]
    assert [k.capacity for k in kept] == [10, 10, 1, 1]
    assert released == [1]
    assert [features.take(VIDEO, index) for index in range(4)] == [f"features {index}" for index in range(4)]
    assert features.forget(VIDEO)["out_of_memory"] == 1


def test_a_device_too_small_for_one_frame_says_so():
    def encode(frame):
        raise OutOfMemoryError("no room at all")

    features = store(100, encode=encode)
    with pytest.raises(OutOfMemoryError, match="no room at all"):
        features.encode(VIDEO, frame(0))
