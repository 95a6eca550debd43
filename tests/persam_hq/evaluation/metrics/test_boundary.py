"""Boundary measure."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.boundary import boundary_map, boundary_measure, boundary_radius, disk


def square(height=100, width=100, *, top=20, left=20, side=40):
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_contour_is_half_a_pixel_towards_the_origin():
    mask = np.zeros((5, 5), bool)
    mask[2:4, 2:4] = True
    expected = [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(boundary_map(mask), expected)


def test_contour_on_the_last_row_and_column_looks_along_it_only():
    mask = np.zeros((3, 4), bool)
    mask[1:, 2:] = True
    expected = [[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(boundary_map(mask), expected)


def test_last_pixel_is_never_on_the_contour():
    mask = np.zeros((3, 3), bool)
    mask[2, 2] = True
    np.testing.assert_array_equal(boundary_map(mask), [[0, 0, 0], [0, 1, 1], [0, 1, 0]])


@pytest.mark.parametrize("value", [False, True])
def test_a_full_and_an_empty_mask_have_no_contour(value):
    assert not boundary_map(np.full((6, 7), value)).any()


@pytest.mark.parametrize(
    ("shape", "tolerance", "expected"),
    [
        ((480, 854), 0.008, 8),  # 0.008 * 979.65 = 7.84
        ((1080, 1920), 0.008, 18),  # 17.62
        ((300, 400), 0.008, 4),  # 4 on the dot
        ((10, 10), 0.008, 1),
        ((480, 854), 3, 3),
        ((480, 854), 1, 1),
    ],
)
def test_radius(shape, tolerance, expected):
    assert boundary_radius(shape, tolerance=tolerance) == expected


def test_disk_by_hand():
    np.testing.assert_array_equal(disk(1), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    np.testing.assert_array_equal(
        disk(2),
        [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]],
    )
    assert disk(8).sum() == 197  # lattice points of a circle of radius 8


def test_shared_disk_cannot_be_spoilt():
    with pytest.raises(ValueError, match="read-only"):
        disk(3)[0, 0] = 1


def test_equal_masks():
    assert boundary_measure(square(), square()) == 1.0


@pytest.mark.parametrize(
    ("annotation", "segmentation", "expected"),
    [
        (np.zeros((50, 50)), np.zeros((50, 50)), 1.0),
        (np.ones((50, 50)), np.ones((50, 50)), 1.0),
        (np.ones((50, 50)), np.zeros((50, 50)), 1.0),  # neither has a contour
        (np.zeros((50, 50)), square(50, 50, side=10), 0.0),
        (square(50, 50, side=10), np.zeros((50, 50)), 0.0),
        (square(50, 50, side=10), np.ones((50, 50)), 0.0),
    ],
)
def test_empty_contours(annotation, segmentation, expected):
    assert boundary_measure(annotation, segmentation) == expected


def test_far_apart():
    assert boundary_measure(square(top=5, left=5, side=10), square(top=60, left=60, side=10)) == 0.0


def test_shift_within_the_tolerance_by_hand():
    # Radius 2 on 100x100 (0.008 * 141.4 = 1.13): a square moved by 2 to the right still matches everywhere.
    assert boundary_measure(square(), square(left=22)) == 1.0


def test_shift_beyond_the_tolerance_by_hand():
    # A contour is a ring of 41x41, 160 pixels. Moved by 4 with radius 2, what stays alone of the left one is its
    # left side (41), the next pixel of top and bottom (2), and the right side save 3 pixels at either end (35).
    expected = (160 - 41 - 2 - 35) / 160
    assert boundary_measure(square(), square(left=24)) == pytest.approx(expected, abs=1e-12)


def test_precision_and_recall_are_weighed_by_the_harmonic_mean():
    # Of the two squares found one is right; the annotated one is found: precision 1/2, recall 1.
    both = square(top=10, left=10, side=20) | square(top=60, left=60, side=20)
    assert boundary_measure(square(top=10, left=10, side=20), both) == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize(("height", "width"), [(24, 31), (31, 24), (1, 40), (40, 1), (2, 2), (150, 20)])
def test_against_all_pairs(rng, draw_blobs, slow_boundary, height, width):
    for _ in range(8):
        a, b = (draw_blobs(rng, height=height, width=width) for _ in range(2))
        assert boundary_measure(a, b) == pytest.approx(slow_boundary(a, b), abs=1e-12)


def test_against_all_pairs_with_a_wider_disk(rng, draw_blobs, slow_boundary):
    # 400 pixels wide, so radius 4; objects at the border check that nothing is matched from beyond it.
    a = draw_blobs(rng, height=12, width=400)
    b = np.roll(a, 3, axis=1)
    assert boundary_radius(a.shape) == 4
    assert boundary_measure(a, b) == pytest.approx(slow_boundary(a, b), abs=1e-12)


def test_strided_views_are_read_right(rng, draw_blobs):
    a, b = (draw_blobs(rng, height=30, width=40).astype(bool) for _ in range(2))
    expected = boundary_measure(a.T.copy(), b.T.copy())
    assert boundary_measure(a.T, b.T) == expected
    assert boundary_measure(a[::-1, ::-1], b[::-1, ::-1]) == boundary_measure(
        a[::-1, ::-1].copy(), b[::-1, ::-1].copy()
    )


def test_arguments_are_left_alone(rng, draw_blobs):
    a, b = (draw_blobs(rng, height=30, width=40) for _ in range(2))
    before = a.copy(), b.copy()
    boundary_measure(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_another_size_is_refused():
    with pytest.raises(EvaluationError, match="same size"):
        boundary_measure(np.ones((4, 5)), np.ones((5, 4)))
