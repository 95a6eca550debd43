import pytest

from persam_hq.evaluation import EvaluationError
from persam_hq.evaluation.tables import OverlapRow, mean_row, render_overlaps

ROWS = [OverlapRow(name="goat", images=3, scores=(0.5, 1.0)), OverlapRow(name="a-cat", images=1, scores=(0.25, 0.0))]


def test_the_mean_counts_every_row_once():
    assert mean_row(ROWS) == OverlapRow(name="mean", images=4, scores=(0.375, 0.5))


def test_the_table():
    assert render_overlaps(ROWS, first="clip", columns=("mIoU", "bIoU")).splitlines() == [
        "clip   images  mIoU   bIoU",
        "--------------------------",
        "goat        3  50.0  100.0",
        "a-cat       1  25.0    0.0",
        "--------------------------",
        "mean        4  37.5   50.0",
    ]


def test_nothing_has_no_mean():
    with pytest.raises(EvaluationError, match="at least one scored clip or object"):
        mean_row([])
