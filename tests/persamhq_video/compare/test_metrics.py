"""Agreement, stability and the other measures, computed by hand."""

import numpy as np
import pytest
from stand_ins.results import combined, found, square

from persamhq_video.compare.metrics import Agreement, StrategyMetrics, mean_object_iou

EMPTY = square(0, size=0)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (square(0), square(0), 1.0),
        (square(0), square(4), 32 / 96),
        (square(0), square(20), 0.0),
        (square(0), square(8), 0.0),
        (EMPTY, EMPTY, 1.0),
        (square(0), EMPTY, 0.0),
        (square(0), square(2, size=4, top=6), 16 / 64),
    ],
)
def test_iou(first, second, expected):
    assert mean_object_iou(found(first), found(second)) == pytest.approx(expected)
    assert mean_object_iou(found(second), found(first)) == pytest.approx(expected)


def test_iou_is_that_of_whole_label_maps():
    generator = np.random.default_rng(3)
    for _ in range(10):
        one, other = (generator.integers(0, 3, (36, 64)) * (generator.random((36, 64)) > 0.5) for _ in range(2))
        expected = [np.sum((one == i) & (other == i)) / np.sum((one == i) | (other == i)) for i in (1, 2)]
        assert mean_object_iou(found(one, ids=(1, 2)), found(other, ids=(1, 2))) == pytest.approx(np.mean(expected))


def test_the_first_frame_is_left_out():
    metrics = StrategyMetrics()
    metrics.add(found(square(0), score=1.0, state="given"), 9.0)
    metrics.add(found(square(4), score=0.5, state="uncertain"), 0.25)
    metrics.add(found(EMPTY, score=0.0, state="absent"), 0.75)
    assert metrics.scores == [0.5, 0.0]
    assert metrics.seconds == [0.25, 0.75]
    assert metrics.areas == [64 / (36 * 64), 0.0]
    assert metrics.stability == pytest.approx([32 / 96, 0.0])
    assert (metrics.share("uncertain"), metrics.share("absent"), metrics.share("present")) == (0.5, 0.5, 0.0)


def test_without_frames():
    assert StrategyMetrics().share("absent") == 0.0


def test_agreement():
    agreement = Agreement(3)
    assert agreement.add(combined(square(0), square(0), square(4))) == pytest.approx((1 + 2 * 32 / 96) / 3)
    assert agreement.add(combined(square(0), square(20), square(20))) == pytest.approx(1 / 3)
    assert agreement.between(0, 1) == agreement.between(1, 0) == [1.0, 0.0]
    assert agreement.of(2) == pytest.approx([32 / 96, 0.5])
