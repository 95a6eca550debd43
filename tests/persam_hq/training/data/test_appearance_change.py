import numpy as np
import pytest

from persam_hq.training.data.appearance_change import change_appearance
from persam_hq.training.data.datasets import Photo

LENGTH, SIDE = 5, 64


@pytest.fixture
def still():
    """A grey clip with a square object that moves to the right."""
    frames = np.full((LENGTH, SIDE, SIDE, 3), 90, np.uint8)
    masks = np.zeros((LENGTH, SIDE, SIDE), np.uint8)
    for index in range(LENGTH):
        masks[index, 16:48, 8 + 4 * index : 40 + 4 * index] = 1
    return frames, masks


@pytest.fixture
def photos():
    image = np.zeros((80, 80, 3), np.uint8)
    image[..., 1] = 250
    return [Photo(image=image, labels=(np.ones((80, 80), np.uint8),), background=True)]


def changed(before, after):
    """(T, S, S) bool."""
    return (before != after).any(axis=-1)


@pytest.mark.parametrize("seed", range(6))
def test_more_and_more_of_the_object_has_another_look_and_nothing_else_has(still, photos, seed):
    frames, masks = still
    turned = change_appearance(frames, masks, others=photos, rng=np.random.default_rng(seed))
    assert (frames == 90).all(), "what was given stays"
    assert not changed(frames, turned)[0].any()
    areas = changed(frames, turned).sum(axis=(1, 2))
    assert (np.diff(areas.astype(int)) >= 0).all()
    assert 0.15 < areas[-1] / masks[-1].sum() < 1.2
    far = np.ones_like(masks, dtype=bool)
    for index in range(LENGTH):
        far[index, 12:52, 4 + 4 * index : 44 + 4 * index] = False
    assert not (changed(frames, turned) & far).any()


def test_the_new_look_moves_with_the_object(still, photos):
    frames, masks = still
    masks = np.repeat(masks[:1], LENGTH, axis=0)
    moved = np.roll(masks, 8, axis=2)
    for seed in range(6):
        here = change_appearance(frames, masks, others=photos, rng=np.random.default_rng(seed))
        there = change_appearance(frames, moved, others=photos, rng=np.random.default_rng(seed))
        # The line between the sides is uneven where it lies in the picture, not on the object
        same = changed(frames, np.roll(here, 8, axis=2))[-1] == changed(frames, there)[-1]
        assert same.mean() > 0.9


def test_a_photo_comes_in_some_clips_and_other_colours_in_others(still, photos):
    frames, masks = still
    greens = set()
    for seed in range(20):
        turned = change_appearance(frames, masks, others=photos, rng=np.random.default_rng(seed))
        inside = turned[-1][changed(frames, turned)[-1]]
        greens.add(bool((inside.max(axis=0)[[0, 2]] <= 90).all() and inside[:, 1].max() > 200))
    assert greens == {True, False}
    assert changed(frames, change_appearance(frames, masks, others=[], rng=np.random.default_rng(0)))[-1].any()


def test_where_the_object_is_gone_nothing_turns(still, photos):
    frames, masks = still
    masks[2] = 0
    turned = change_appearance(frames, masks, others=photos, rng=np.random.default_rng(0))
    assert not changed(frames, turned)[2].any()
    assert changed(frames, turned)[4].any()
