"""mIoU and Boundary IoU."""

import math

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.overlap import (
    OverlapRow,
    boundary_iou,
    inner_rim,
    mean_boundary_iou,
    mean_image_iou,
    mean_overlap,
    pooled_iou,
    rim_width,
)


def slow_rim(mask, width):
    """Object pixels with background, or the outside, at most `width` away in the larger of the two axes."""
    height, length = mask.shape
    rim = np.zeros(mask.shape, bool)
    for y in range(height):
        for x in range(length):
            window = [(v, u) for v in range(y - width, y + width + 1) for u in range(x - width, x + width + 1)]
            outside = any(not (0 <= v < height and 0 <= u < length) or not mask[v, u] for v, u in window)
            rim[y, x] = bool(mask[y, x]) and outside
    return rim


def slow_boundary_iou(a, b, ratio):
    width = max(1, round(ratio * math.hypot(*a.shape)))
    first, second = slow_rim(a, width), slow_rim(b, width)
    either = sum((first | second).ravel().tolist())
    return sum((first & second).ravel().tolist()) / either if either else 1.0


@pytest.mark.parametrize(
    ("shape", "ratio", "expected"),
    [((480, 854), 0.02, 20), ((10, 10), 0.02, 1), ((300, 400), 0.005, 2), ((300, 500), 0.005, 3)],
)
def test_rim_width(shape, ratio, expected):
    assert rim_width(shape, dilation_ratio=ratio) == expected


def test_image_border_is_an_edge():
    rim = inner_rim(np.ones((5, 6), bool), width=1)
    expected = np.ones((5, 6), bool)
    expected[1:-1, 1:-1] = False
    np.testing.assert_array_equal(rim, expected)


@pytest.mark.parametrize("width", [1, 2, 3, 12])
def test_rim_against_the_definition(rng, draw_blobs, width):
    mask = draw_blobs(rng, height=18, width=23, blobs=3).astype(bool)
    np.testing.assert_array_equal(inner_rim(mask, width=width), slow_rim(mask, width))


@pytest.mark.parametrize("ratio", [0.02, 0.06, 0.1])
def test_boundary_iou_against_the_definition(rng, draw_blobs, ratio):
    for _ in range(5):
        a, b = (draw_blobs(rng, height=22, width=27, blobs=3) for _ in range(2))
        expected = slow_boundary_iou(a, b, ratio)
        assert boundary_iou(a, b, dilation_ratio=ratio) == pytest.approx(expected, abs=1e-12)


def test_boundary_iou_of_a_filled_hole_by_hand():
    # 100x100, so a rim of 3: the ring of the full square counts 40*40 - 34*34, the rim of the hole comes on top:
    # a hole of 4x4 has the ring 10*10 - 4*4 = 84 around it.
    full = np.zeros((100, 100), np.uint8)
    full[20:60, 20:60] = 255
    holed = full.copy()
    holed[38:42, 38:42] = 0
    outer = 40 * 40 - 34 * 34
    assert boundary_iou(full, holed) == pytest.approx(outer / (outer + 84), abs=1e-12)


def test_boundary_iou_of_empty_masks():
    empty, full = np.zeros((20, 20)), np.ones((20, 20))
    assert boundary_iou(empty, empty) == 1.0
    assert boundary_iou(empty, full) == 0.0
    assert boundary_iou(full, full) == 1.0


HALF = (np.array([[1, 1]]), np.array([[1, 0]]))
NONE = (np.array([[1, 0], [0, 0]]), np.array([[0, 1], [1, 1]]))


def test_mean_image_iou_counts_every_image_alike():
    assert mean_image_iou([HALF, NONE]) == pytest.approx(0.25)


def test_pooled_iou_counts_every_pixel_alike():
    assert pooled_iou(iter([HALF, NONE])) == pytest.approx(1 / 6)


def test_pooled_iou_of_empty_masks():
    assert pooled_iou([(np.zeros((2, 2)), np.zeros((2, 2)))]) == 1.0


def test_mean_boundary_iou():
    full, empty = np.ones((20, 20)), np.zeros((20, 20))
    assert mean_boundary_iou([(full, full), (full, empty)]) == 0.5


@pytest.mark.parametrize("measure", [mean_image_iou, pooled_iou, mean_boundary_iou])
def test_no_pair_is_refused(measure):
    with pytest.raises(EvaluationError, match="at least one pair"):
        measure([])


def test_another_size_is_refused():
    with pytest.raises(EvaluationError, match="same size"):
        boundary_iou(np.ones((4, 5)), np.ones((5, 4)))


def test_the_mean_of_rows_counts_every_row_once():
    rows = [
        OverlapRow(name="goat", images=3, scores=(0.5, 1.0)),
        OverlapRow(name="a-cat", images=1, scores=(0.25, 0.0)),
    ]
    assert mean_overlap(rows) == OverlapRow(name="mean", images=4, scores=(0.375, 0.5))


def test_no_rows_have_no_mean():
    with pytest.raises(EvaluationError, match="at least one scored clip or object"):
        mean_overlap([])
