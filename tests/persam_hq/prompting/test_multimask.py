import pytest
import torch

from persam_hq.prompting.candidates import Candidates
from persam_hq.prompting.multimask import select_multimask
from persam_hq.types import ImageGeometry

GEOMETRY = ImageGeometry(original=(80, 80), input=(80, 80), padded=(96, 96))
"""Candidates are compared on its 10x10 cells; those of the squares below are two cells of the logits wide."""


def candidates(*rows):
    """Squares from cell `low` to `high` of 20, and their predicted IoU."""
    logits = torch.full((len(rows), 20, 20), -9.0)
    for index, (low, high, _) in enumerate(rows):
        logits[index, low:high, low:high] = 9
    windows = torch.tensor([[0.0, 0, 80, 80]] * len(rows))
    return Candidates(logits=logits, windows=windows, scores=torch.tensor([score for _, _, score in rows]))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(6, 14, 0.1), (8, 12, 0.3), (2, 18, 0.2), (4, 16, 0.4)], [0, 3, 1]),
        ([(6, 14, 0.9), (6, 14, 0.8), (2, 18, 0.2), (8, 12, 0.1)], [0, 2, 3]),
        ([(6, 14, 0.9), (0, 2, 0.8), (2, 18, 0.2), (8, 12, 0.1)], [0, 2, 1]),
        ([(6, 14, 0.9), (2, 18, 0.2), (0, 20, 0.1)], [0, 1, 2]),
        ([(6, 14, 0.9), (6, 14, 0.8), (6, 14, 0.7), (6, 14, 0.75)], [0, 1, 3]),
        ([(6, 14, 0.9), (0, 0, 0.8), (8, 12, 0.1)], [0, 2, 1]),
        ([(6, 14, 0.9), (2, 18, 0.2)], [0, 1]),
    ],
    ids=[
        "best of each",
        "not the same again",
        "apart counts as smaller",
        "larger ones only",
        "all alike",
        "empty",
        "two",
    ],
)
def test_the_first_a_larger_and_a_smaller_one(rows, expected):
    assert select_multimask(candidates(*rows), GEOMETRY, distinct=0.75) == expected


def test_an_unstable_mask_is_worse():
    found = candidates((6, 14, 0.9), (2, 18, 0.5), (3, 17, 0.5))
    found.logits[1, 2:4] = found.logits[1, 2:4] / 18
    assert select_multimask(found, GEOMETRY, distinct=0.75)[:2] == [0, 2]
