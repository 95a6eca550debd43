"""Confidence against J."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.confidence import ConfidenceRow, compare_confidence, mean_confidence


def compare(scores, region, doubted=None):
    scores, region = np.array(scores, float), np.array(region, float)
    return compare_confidence("goat", scores=scores, region=region, doubted=np.array(doubted or scores < 0, bool))


def row(name, *, objects=1, score=0.5, region=0.5, correlation=0.5, doubted=0.0):
    return ConfidenceRow(name, objects, score, region, correlation, doubted)


def test_by_hand():
    # Deviations -0.2 0 0.2 and -0.3 0.3 0: a product of 0.06 over sqrt(0.08 * 0.18) = 0.12.
    found = compare([[0.6, 0.8, 1.0]], [[0.2, 0.8, 0.5]], [[True, False, False]])
    assert (found.name, found.num_objects) == ("goat", 1)
    assert (found.score, found.region, found.gap) == pytest.approx((0.8, 0.5, 0.3))
    assert found.correlation == pytest.approx(0.5)
    assert found.doubted == pytest.approx(1 / 3)


def test_a_method_that_thinks_too_little_of_itself():
    assert compare([[0.2, 0.4]], [[0.9, 0.7]]).gap == pytest.approx(-0.5)
    assert compare([[0.2, 0.4]], [[0.9, 0.7]]).correlation == pytest.approx(-1)


def test_objects_are_pooled():
    # Within each object the two rise and fall together; between the objects, against each other.
    found = compare([[0.1, 0.2], [0.8, 0.9]], [[0.8, 0.9], [0.1, 0.2]], [[True, True], [False, True]])
    assert found.num_objects == 2
    assert (found.score, found.region, found.doubted) == pytest.approx((0.5, 0.5, 0.75))
    # Deviations -4 -3 3 4 and 3 4 -4 -3: -48 over 50.
    assert found.correlation == pytest.approx(-0.96)


@pytest.mark.parametrize(
    ("scores", "region"),
    [
        ([[0.7, 0.7, 0.7]], [[0.1, 0.2, 0.3]]),
        ([[0.1, 0.2, 0.3]], [[0.7, 0.7, 0.7]]),
        ([[0.7, 0.7, 0.7]], [[0.1, 0.1, 0.1]]),
        ([[0.7]], [[0.5]]),
    ],
)
def test_no_correlation_of_what_is_constant(scores, region):
    found = compare(scores, region)
    assert found.correlation is None
    assert found.gap == pytest.approx(np.mean(scores) - np.mean(region))


def test_one_frame_of_two_objects_has_a_correlation():
    assert compare([[0.2], [0.9]], [[0.4], [0.5]]).correlation == pytest.approx(1)


@pytest.mark.parametrize(
    ("scores", "region", "doubted"),
    [
        ([[0.5, 0.5]], [[0.5]], [[False, False]]),
        ([[0.5, 0.5]], [[0.5, 0.5]], [[False], [False]]),
        ([0.5], [0.5], [False]),
        ([[]], [[]], [[]]),
    ],
)
def test_arrays_that_do_not_belong_together(scores, region, doubted):
    with pytest.raises(EvaluationError, match=r"goat: got scores of shape .* expected a value an object and frame"):
        compare(scores, region, doubted)


def test_the_mean_is_over_objects():
    mean = mean_confidence(
        [
            row("camel", objects=3, score=0.8, region=0.4, correlation=0.2, doubted=0.4),
            row("goat", score=0.4, region=0.8, correlation=0.6, doubted=0.0),
        ]
    )
    assert (mean.name, mean.num_objects) == ("mean", 4)
    assert (mean.score, mean.region, mean.gap) == pytest.approx((0.7, 0.5, 0.2))
    assert (mean.correlation, mean.doubted) == pytest.approx((0.3, 0.3))


def test_the_mean_leaves_out_correlations_that_there_are_not():
    assert mean_confidence([row("camel", correlation=None), row("goat", correlation=0.6)]).correlation == 0.6
    assert mean_confidence([row("camel", correlation=None)]).correlation is None


def test_no_mean_of_nothing():
    with pytest.raises(EvaluationError, match="expected at least one scored sequence"):
        mean_confidence([])
