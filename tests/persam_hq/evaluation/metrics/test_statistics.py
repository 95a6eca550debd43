"""Mean, recall and decay."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.statistics import MeasureSummary, average, quarters, summarize


def slow_bins(values):
    """Bin edges i = 0..4 at 1 + i (n - 1) / 4, halves up, ends included."""
    edges = [int(1 + i * (len(values) - 1) / 4 + 0.5 + 1e-10) - 1 for i in range(5)]
    return [list(values[edges[i] : edges[i + 1] + 1]) for i in range(4)]


def test_by_hand():
    # Nine frames: edges 0 2 4 6 8, three frames a bin.
    values = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    summary = summarize(values)
    assert summary.mean == pytest.approx(0.5)
    assert summary.recall == pytest.approx(4 / 9)  # 0.5 itself is not above 0.5
    assert summary.decay == pytest.approx(0.8 - 0.2)


def test_getting_better_is_a_negative_decay():
    assert summarize(np.linspace(0, 1, 20)).decay < 0


def test_one_frame():
    assert summarize(np.array([0.7])) == MeasureSummary(mean=0.7, recall=1.0, decay=0.0)


def test_two_frames():
    assert summarize(np.array([1.0, 0.25])).decay == 0.75


def test_halves_are_rounded_up():
    # Three frames: edges at 1, 1.5, 2, 2.5, 3; rounding halves to even would give 1, 2, 2, 2, 3.
    assert [list(part) for part in quarters(np.array([10, 20, 30]))] == [[10, 20], [20], [20, 30], [30]]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 38, 41, 78, 88, 97, 255, 256, 257, 300, 1000, 70_000])
def test_bins_against_the_formula(length):
    values = np.arange(length)
    assert [part.tolist() for part in quarters(values)] == slow_bins(values)


def test_clip_longer_than_eight_bits():
    # 600 frames, the last quarter 0: in 8 bits the last bin would start at frame 194.
    values = np.r_[np.ones(450), np.zeros(150)]
    assert summarize(values).decay == pytest.approx(1.0 - 1 / 151)


def test_quarters_do_not_lose_a_frame():
    values = np.arange(407)
    assert set(np.concatenate(quarters(values)).tolist()) == set(range(407))


def test_average():
    mean = average([MeasureSummary(0.2, 0.0, 0.5), MeasureSummary(0.4, 1.0, -0.1)])
    assert (mean.mean, mean.recall, mean.decay) == pytest.approx((0.3, 0.5, 0.2))


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((2, 2))])
def test_values_of_another_shape_are_refused(values):
    with pytest.raises(EvaluationError, match="one value a frame"):
        summarize(values)


def test_average_of_nothing_is_refused():
    with pytest.raises(EvaluationError, match="nothing to average"):
        average([])
