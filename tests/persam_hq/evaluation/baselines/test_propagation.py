"""Baselines without a model."""

import numpy as np
import pytest

from persam_hq.evaluation.baselines.propagation import first_mask_copied, flow_propagation
from persam_hq.evaluation.metrics.region import region_similarity


def textured(rng, *, height=96, width=128):
    """Smooth noise, RGB, wider than the frame so that it can move."""
    coarse = rng.integers(0, 255, (height // 8 + 1, width // 4 + 1, 3)).astype(np.float32)
    rows = np.linspace(0, coarse.shape[0] - 1, height)
    columns = np.linspace(0, coarse.shape[1] - 1, 2 * width)
    along = np.stack(
        [np.stack([np.interp(columns, np.arange(coarse.shape[1]), row[:, c]) for row in coarse]) for c in range(3)],
        axis=-1,
    )
    down = np.stack(
        [
            np.stack([np.interp(rows, np.arange(coarse.shape[0]), along[:, x, c]) for x in range(2 * width)], axis=1)
            for c in range(3)
        ],
        axis=-1,
    )
    return down.astype(np.uint8)


def panned(image, shifts, *, width=128):
    return [np.ascontiguousarray(image[:, shift : shift + width]) for shift in shifts]


@pytest.fixture
def first_mask():
    mask = np.zeros((96, 128), np.uint8)
    mask[30:60, 70:100] = 1
    mask[62:80, 80:110] = 2
    return mask


def test_first_mask_copied(first_mask):
    frames = [np.zeros((96, 128, 3), np.uint8)] * 4
    masks = list(first_mask_copied(iter(frames), first_mask))
    assert len(masks) == 4
    masks[0][:] = 9
    np.testing.assert_array_equal(masks[1], first_mask)
    assert first_mask.max() == 2


def test_no_frames(first_mask):
    assert list(first_mask_copied([], first_mask)) == []
    assert list(flow_propagation([], first_mask)) == []


def test_flow_starts_with_the_mask_given(rng, first_mask):
    masks = list(flow_propagation(panned(textured(rng), [0]), first_mask))
    np.testing.assert_array_equal(masks, [first_mask])


def test_flow_follows_a_pan(rng, first_mask):
    frames = panned(textured(rng), range(0, 40, 4))
    masks = list(flow_propagation(iter(frames), first_mask))
    expected = np.roll(first_mask, -36, axis=1)
    for object_id in (1, 2):
        assert region_similarity(masks[-1] == object_id, expected == object_id) > 0.85
    assert region_similarity(first_mask == 1, expected == 1) == 0
    assert masks[-1].dtype == np.uint8


def test_flow_adds_up_moves_of_less_than_a_pixel(rng, first_mask):
    wide = textured(rng).astype(np.float32)
    between = [
        (wide[:, s // 4 : s // 4 + 128] * (4 - s % 4) + wide[:, s // 4 + 1 : s // 4 + 129] * (s % 4)) / 4
        for s in range(41)
    ]
    masks = list(flow_propagation([frame.astype(np.uint8) for frame in between], first_mask))
    assert region_similarity(masks[-1] > 0, np.roll(first_mask, -10, axis=1) > 0) > 0.8


def test_flow_of_a_still_picture(rng, first_mask):
    masks = list(flow_propagation(panned(textured(rng), [0] * 5), first_mask))
    assert region_similarity(masks[-1], first_mask) > 0.99
