"""GrabCut from frame to frame."""

import numpy as np
import pytest

from persam_hq.evaluation.baselines.grabcut import grabcut_propagation
from persam_hq.evaluation.metrics.region import region_similarity

SIZE = (96, 128)
COLOURS = {0: (40, 120, 60), 1: (200, 60, 40), 2: (60, 80, 220)}


def scene(places):
    """A label map with a square of 20 for each id."""
    labels = np.zeros(SIZE, np.uint8)
    for object_id, (x, y) in places.items():
        labels[y : y + 20, x : x + 20] = object_id
    return labels


def painted(labels, rng):
    """Each object in its own colour, with noise."""
    colours = np.array([COLOURS[i] for i in range(3)], np.float32)[labels]
    return np.clip(colours + rng.normal(0, 12, colours.shape), 0, 255).astype(np.uint8)


def follow(truth, rng):
    return list(grabcut_propagation((painted(labels, rng) for labels in truth), truth[0]))


def test_two_objects_that_move(rng):
    truth = [scene({1: (10 + 2 * t, 30), 2: (80 - 2 * t, 60)}) for t in range(12)]
    masks = follow(truth, rng)
    assert len(masks) == 12
    np.testing.assert_array_equal(masks[0], truth[0])
    for object_id in (1, 2):
        assert region_similarity(masks[-1] == object_id, truth[-1] == object_id) > 0.95
        assert region_similarity(truth[0] == object_id, truth[-1] == object_id) == 0
    assert masks[-1].dtype == np.uint8


def test_objects_that_touch_share_no_pixel(rng):
    truth = [scene({1: (30 + t, 30), 2: (60 - t, 32)}) for t in range(10)]
    masks = follow(truth, rng)
    assert set(np.unique(masks[-1]).tolist()) == {0, 1, 2}
    assert region_similarity(masks[-1] == 1, truth[-1] == 1) > 0.8


def test_a_thin_object_that_is_hidden_is_found_where_it_was(rng):
    # Thinner than twice the band of 4 pixels, so none of it is sure
    there, away = scene({}), scene({})
    there[30:70, 40:46] = 1
    masks = follow([there, there, away, away, there], rng)
    assert [np.count_nonzero(mask) for mask in masks[2:4]] == [0, 0]
    assert region_similarity(masks[4], there) > 0.9


@pytest.mark.parametrize("side", [1, 2, 3])
def test_an_object_of_few_pixels(rng, side):
    labels = np.zeros(SIZE, np.uint8)
    labels[50 : 50 + side, 60 : 60 + side] = 1
    masks = follow([labels] * 4, rng)
    assert masks[-1].shape == SIZE


def test_an_object_that_fills_the_frame_stays(rng):
    full = np.ones(SIZE, np.uint8)
    np.testing.assert_array_equal(follow([full] * 3, rng)[-1], full)


def test_the_same_every_time_and_arguments_left_alone(rng):
    truth = [scene({1: (30 + t, 30), 2: (90, 50)}) for t in range(5)]
    frames = [painted(labels, rng) for labels in truth]
    before = [frame.copy() for frame in frames], truth[0].copy()
    first, second = (list(grabcut_propagation(frames, truth[0])) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(frames, before[0])
    np.testing.assert_array_equal(truth[0], before[1])


def test_nothing_to_follow(rng):
    empty = np.zeros(SIZE, np.uint8)
    assert list(grabcut_propagation([], empty)) == []
    np.testing.assert_array_equal(follow([empty] * 3, rng), [empty] * 3)
