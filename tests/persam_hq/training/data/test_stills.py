import numpy as np
import pytest

from persam_hq.training.data.clips import MIN_OBJECT_PIXELS
from persam_hq.training.data.datasets import Photo
from persam_hq.training.data.stills import StillImage, draw_still

SIZE = (120, 160)
RED, BLUE = (slice(40, 80), slice(40, 80)), (slice(45, 85), slice(85, 120))


def photo(*, maps=1, **segments):
    """Green, with a red and a blue rectangle; `segments` are the labels of its one map, or of all its maps."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 1] = 150
    labels = np.zeros(SIZE, np.uint8)
    for index, (name, colour) in enumerate((("red", (200, 20, 20)), ("blue", (20, 20, 200)))):
        where = RED if name == "red" else BLUE
        image[where] = colour
        if name in segments:
            labels[where] = index + 1
    return Photo(image=image, labels=(labels,) * maps, background=True)


BOTH = photo(red=True, blue=True)


def stills(given, *, size=96, seeds=24):
    made = (draw_still(given, size=size, rng=np.random.default_rng(seed)) for seed in range(seeds))
    return [still for still in made if still is not None]


def test_a_still_has_two_segments_of_one_image():
    made = stills(BOTH)
    assert len(made) >= 12
    for still in made:
        assert still.image.shape == (96, 96, 3)
        assert still.masks.shape == (2, 96, 96)
        assert still.image.dtype == still.masks.dtype == np.uint8
        assert set(np.unique(still.masks)) == {0, 1}
    assert repr(made[0]) == "StillImage(image=(96, 96, 3))"


def test_its_segments_are_large_enough_and_differ():
    for still in stills(BOTH):
        one, other = still.masks.astype(bool)
        assert min(one.sum(), other.sum()) >= MIN_OBJECT_PIXELS
        assert (one & other).sum() / (one | other).sum() < 0.7


def test_a_segment_that_the_crop_shows_too_little_of_is_no_target():
    labels = BOTH.labels[0].copy()
    labels[labels == 2] = 0
    labels[60:70, 85:95] = 2  # 100 pixels, fewer than are asked for in most crops
    made = stills(Photo(image=BOTH.image, labels=(labels,), background=True), seeds=60)
    assert made
    assert min(still.masks.sum(axis=(1, 2)).min() for still in made) >= MIN_OBJECT_PIXELS


def test_its_segments_lie_where_they_are_in_the_image():
    # Whatever the crop and the colours became: under each mask lies red, blue, or both, and next to no green
    for still in stills(BOTH):
        red, green, blue = still.image.astype(float).transpose(2, 0, 1)
        for mask in still.masks.astype(bool):
            assert (np.maximum(red, blue) > green)[mask].mean() > 0.9
            assert (np.maximum(red, blue) < green)[~still.masks.any(axis=0)].mean() > 0.5


def test_a_part_of_a_segment_may_be_the_other_one():
    # Both of the labels together are a segment too
    nested = {bool((still.masks[0] & still.masks[1]).any()) for still in stills(BOTH, seeds=80)}
    assert nested == {True, False}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(photo(), id="no segment"),
        pytest.param(photo(red=True), id="one segment"),
        pytest.param(photo(red=True, maps=3), id="one segment drawn by three people"),
        pytest.param(
            Photo(image=np.zeros((8, 9, 3), np.uint8), labels=(np.eye(8, 9, dtype=np.uint8),), background=True),
            id="segments of too few pixels",
        ),
    ],
)
def test_without_two_segments_there_is_no_still(given):
    assert stills(given) == []


def test_the_same_generator_gives_the_same_still():
    one, other, different = (draw_still(BOTH, size=64, rng=np.random.default_rng(seed)) for seed in (3, 3, 5))
    assert isinstance(one, StillImage)
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.masks, other.masks)
    assert not np.array_equal(one.image, different.image)


def test_the_photo_stays_as_it_was():
    image, labels = BOTH.image.copy(), BOTH.labels[0].copy()
    stills(BOTH, seeds=4)
    assert np.array_equal(BOTH.image, image)
    assert np.array_equal(BOTH.labels[0], labels)
