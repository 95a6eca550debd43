import numpy as np
import pytest

from persam_hq.io.rle import coco_counts, run_lengths


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        ([[0, 1], [0, 1]], [2, 2]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 0]], [2]),
        ([[1]], [0, 1]),
        (np.zeros((0, 3)), [0]),
    ],
)
def test_runs_go_down_the_columns_background_first(rows, runs):
    assert run_lengths(np.array(rows, dtype=bool)) == runs


@pytest.mark.parametrize(("runs", "text"), [([6, 1, 40, 4, 5, 4, 5, 4, 21], "61X13mN000`0"), ([0], "0"), ([31], "o0")])
def test_counts_as_cocos_tools_write_them(runs, text):
    assert coco_counts(runs) == text
