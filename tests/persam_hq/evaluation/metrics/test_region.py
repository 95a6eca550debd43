"""Region similarity."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.region import intersection_and_union, region_similarity


@pytest.mark.parametrize(
    ("annotation", "segmentation", "expected"),
    [
        ([[1, 1], [0, 0]], [[1, 0], [1, 0]], 1 / 3),
        ([[1, 1], [1, 1]], [[1, 1], [1, 1]], 1.0),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], 1.0),
        ([[0, 0], [0, 0]], [[0, 0], [0, 1]], 0.0),
        ([[1, 0], [0, 0]], [[0, 0], [0, 0]], 0.0),
        ([[1, 0], [0, 0]], [[0, 0], [0, 1]], 0.0),
    ],
)
def test_by_hand(annotation, segmentation, expected):
    assert region_similarity(np.array(annotation, bool), np.array(segmentation, bool)) == expected


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_any_nonzero_value_is_foreground(dtype):
    annotation = (np.array([[255, 255, 0]], np.uint8)).astype(dtype)
    assert region_similarity(annotation, np.array([[1, 0, 1]], np.uint8)) == 1 / 3


def test_against_counting(rng, draw_blobs, slow_region):
    for _ in range(20):
        a, b = (draw_blobs(rng, height=13, width=17) for _ in range(2))
        assert region_similarity(a, b) == pytest.approx(slow_region(a, b), abs=1e-12)


def test_areas_beyond_eight_and_sixteen_bits():
    full = np.ones((400, 400), np.uint8)
    half = full.copy()
    half[:, 200:] = 0
    assert intersection_and_union(full, half) == (80_000, 160_000)


def test_another_size_is_refused():
    with pytest.raises(EvaluationError, match=r"\(2, 3\) and \(3, 2\).*same size"):
        region_similarity(np.ones((2, 3)), np.ones((3, 2)))


def test_a_stack_is_refused():
    with pytest.raises(EvaluationError, match="expected two masks"):
        region_similarity(np.ones((1, 2, 3)), np.ones((1, 2, 3)))
