"""The whole evaluation against a second one, written in numpy and plain Python from the definitions alone."""

from fractions import Fraction

import numpy as np
import pytest

from persam_hq.evaluation.protocols.davis import DavisTable
from persam_hq.evaluation.protocols.sequence_score import evaluate_sequence
from persam_hq.evaluation.tables import ALL_COLUMNS, column_value

VOID = 255
FOUR_DIGITS = 5e-5


def contour_pixels(mask):
    """(N, 2) positions that differ from what lies right, below or right below; the last row and column go on."""
    wider = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    shifted = [wider[:-1, 1:], wider[1:, :-1], wider[1:, 1:]]
    return np.argwhere(np.any([mask != other for other in shifted], axis=0))


def share_within(points, others, radius):
    """How many of the points have one of the others at a Euclidean distance of at most the radius."""
    squared = ((points[:, None, :] - others[None, :, :]) ** 2).sum(axis=2)
    return float(np.mean(squared.min(axis=1) <= radius**2))


def f_of(truth, found):
    height, width = truth.shape
    radius = int(np.ceil(0.008 * np.hypot(height, width)))
    wanted, got = contour_pixels(truth), contour_pixels(found)
    if not len(wanted) or not len(got):
        return float(len(wanted) == len(got))
    precision, recall = share_within(got, wanted, radius), share_within(wanted, got, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def j_of(truth, found):
    union = int((truth | found).sum())
    return int((truth & found).sum()) / union if union else 1.0


def statistics_of(values):
    """Mean, share above a half, and first minus last quarter with the bins' end frames in both neighbours."""
    n = len(values)
    edges = [int(1 + Fraction(i * (n - 1), 4) + Fraction(1, 2)) - 1 for i in range(5)]
    first, last = values[edges[0] : edges[1] + 1], values[edges[3] : edges[4] + 1]
    above = sum(value > 0.5 for value in values)
    return [sum(values) / n, above / n, sum(first) / len(first) - sum(last) / len(last)]


def expected_row(clips, *, one_foreground):
    """The seven columns over all objects of all clips."""
    rows = []
    for annotations, predictions in clips:
        ids = [1] if one_foreground else sorted(set(annotations[0].ravel().tolist()) - {0, VOID})
        for object_id in ids:
            pairs = [
                (a > 0, b > 0) if one_foreground else (a == object_id, b == object_id)
                for a, b in zip(annotations[1:-1], predictions[1:-1], strict=True)
            ]
            rows.append(statistics_of([j_of(*p) for p in pairs]) + statistics_of([f_of(*p) for p in pairs]))
    mean = np.mean(rows, axis=0).tolist()
    return [(mean[0] + mean[3]) / 2, *mean]


def table_row(clips):
    scores = [
        evaluate_sequence(f"clip {index}", annotations=annotations, predictions=predictions)
        for index, (annotations, predictions) in enumerate(clips)
    ]
    mean = DavisTable.from_scores("ours", scores).mean
    return [column_value(mean, column) for column in ALL_COLUMNS]


def random_labels(rng, size, ids):
    """Rectangles that hide one another; each object is away in a fifth of the frames."""
    labels = np.zeros(size, np.uint8)
    for object_id in ids:
        if rng.random() < 0.8:
            y, x = rng.integers(0, size)
            labels[y : y + rng.integers(1, size[0]), x : x + rng.integers(1, size[1])] = object_id
    return labels


def random_clip(rng, *, ids, void=False):
    """Annotations, and predictions that are a little wrong, all wrong, empty, or without one of the objects."""
    size, count = rng.integers(20, 60, 2), int(rng.integers(3, 18))
    annotations = [random_labels(rng, size, ids) for _ in range(count)]
    annotations[0][0, : len(ids)] = ids
    predictions = []
    for label in annotations:
        other = random_labels(rng, size, ids)
        mixed = np.where(rng.random(label.shape) < 0.05, other, label)
        without_last = np.where(label == ids[-1], 0, label)
        choices = [label.copy(), mixed, other, np.zeros_like(label), without_last, np.roll(label, 2, axis=1)]
        predictions.append(choices[rng.integers(len(choices))])
    if void:
        for label in annotations[1:]:
            label[-1, -4:] = VOID
    return annotations, predictions


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("void", [False, True])
def test_several_objects_as_in_2017(seed, void):
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, ids=list(range(1, 2 + k)), void=void) for k in range(3)]
    assert table_row(clips) == pytest.approx(expected_row(clips, one_foreground=False), abs=FOUR_DIGITS)


@pytest.mark.parametrize("seed", range(6))
def test_one_object_as_in_2016(seed):
    rng = np.random.default_rng(100 + seed)
    drawn = [random_clip(rng, ids=[1]) for _ in range(3)]
    clips = [([255 * label for label in annotations], predictions) for annotations, predictions in drawn]
    assert table_row(clips) == pytest.approx(expected_row(clips, one_foreground=True), abs=FOUR_DIGITS)


@pytest.mark.parametrize("what", ["truth", "prediction", "both"])
def test_where_everything_is_empty_after_the_first_frame(rng, what):
    annotations, predictions = random_clip(rng, ids=[1, 2])
    for index in range(1, len(annotations)):
        annotations[index] *= what == "prediction"
        predictions[index] *= what == "truth"
    clips = [(annotations, predictions)]
    row = table_row(clips)
    assert row == pytest.approx(expected_row(clips, one_foreground=False), abs=FOUR_DIGITS)
    assert np.isfinite(row).all()


def test_the_oracle_by_hand():
    truth, found = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    truth[5:9, 5:9], found[5:9, 7:11] = True, True
    # 8 of 24 pixels. The contours are rings of 16, moved by 2 with radius 1: the far side (5) and the middle of the
    # near side (1) stay alone.
    assert j_of(truth, found) == pytest.approx(8 / 24)
    assert f_of(truth, found) == pytest.approx((16 - 5 - 1) / 16)
    assert statistics_of([1.0, 0.5, 0.6, 0.0]) == pytest.approx([0.525, 0.5, 0.75 - 0.3])
