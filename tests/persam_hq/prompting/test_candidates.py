import torch

from persam_hq.prompting.candidates import Candidates, best_candidates, edge_contact, pairwise_iou
from persam_hq.types import ImageGeometry

GEOMETRY = ImageGeometry(original=(80, 80), input=(80, 80), padded=(96, 96))
WHOLE = [0.0, 0, 80, 80]


def square(low, high):
    logits = torch.full((20, 20), -9.0)
    logits[low:high, low:high] = 9
    return logits


def candidates(*rows, windows=None):
    logits = torch.stack([square(*extent) for extent, _ in rows])
    scores = torch.tensor([score for _, score in rows])
    return Candidates(logits=logits, windows=torch.tensor(windows or [WHOLE] * len(rows)), scores=scores)


def chosen(found, number, distinct=0.75):
    best = best_candidates(found, GEOMETRY, number=number, distinct=distinct)
    return best.scores.tolist()


def test_the_best_have_the_highest_predicted_iou():
    assert chosen(candidates(((2, 8), 0.25), ((2, 18), 0.75), ((10, 18), 0.5)), 2) == [0.75, 0.5]


def test_what_is_offered_differs():
    assert chosen(candidates(((2, 18), 0.75), ((2, 18), 0.625), ((4, 10), 0.5)), 2) == [0.75, 0.5]


def test_as_many_as_asked_for_even_where_all_are_alike():
    assert chosen(candidates(((2, 18), 0.75), ((2, 18), 0.625), ((2, 18), 0.5)), 3) == [0.75, 0.625, 0.5]


def test_a_mask_that_another_window_confirms_is_better():
    other = [0.0, 0, 40, 40]  # sees the first mask as its cells 4 to 16
    found = candidates(((2, 8), 0.5), ((12, 18), 0.625), ((4, 16), 0.25), windows=[WHOLE, WHOLE, other])
    assert chosen(found, 1) == [0.5]


def test_of_two_the_larger_one_is_meant():
    assert chosen(candidates(((8, 10), 0.5), ((2, 18), 0.5625), ((8, 11), 0.5)), 1) == [0.5625]
    assert chosen(candidates(((8, 10), 0.5625), ((2, 18), 0.5)), 1) == [0.5]


def test_a_mask_that_its_window_cuts_off_is_worse():
    windows = [WHOLE, [0.0, 0, 40, 40]]
    found = candidates(((0, 20), 0.5), ((0, 20), 0.5), windows=windows)
    assert edge_contact(found, GEOMETRY).tolist() == [0, 1]
    inside = candidates(((5, 15), 0.5), ((0, 15), 0.5), windows=[[8.0, 8, 40, 40]] * 2)
    assert edge_contact(inside, GEOMETRY).tolist() == [0, 0.75]


def test_pairwise_iou():
    masks = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    assert torch.allclose(pairwise_iou(masks), torch.tensor([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]))


def test_it_shows_how_many():
    assert repr(candidates(((2, 8), 0.25))) == "Candidates(1)"
