import pytest
import torch
from stand_ins.frame import predicted, rectangles, refined, registered

from persamhq_plugins.mask_refiners.largest_component import LargestComponent, persamhq_register_mask_refiners


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        pytest.param([], [], id="an empty mask"),
        pytest.param([(5, 5, 6, 6)], [(5, 5, 6, 6)], id="one pixel"),
        pytest.param([(0, 0, 40, 30)], [(0, 0, 40, 30)], id="all of the image"),
        pytest.param([(2, 2, 10, 10), (20, 20, 25, 25)], [(2, 2, 10, 10)], id="the larger of two"),
        pytest.param([(30, 0, 40, 10), (0, 20, 4, 30)], [(30, 0, 40, 10)], id="at the border"),
        pytest.param([(2, 2, 6, 6), (6, 6, 9, 9)], [(2, 2, 6, 6), (6, 6, 9, 9)], id="touching at a corner"),
        pytest.param([(20, 20, 22, 22), (2, 2, 4, 4)], [(2, 2, 4, 4)], id="the uppermost of two alike"),
    ],
)
def test_the_largest_part_stays(parts, kept):
    found = refined(LargestComponent(), predicted(rectangles(*parts)))
    assert torch.equal(found.masks[0], rectangles(*kept))


def test_what_goes_keeps_how_sure_it_was():
    found = refined(LargestComponent(), predicted(rectangles((2, 2, 10, 10), (20, 20, 25, 25)), inside=3.0))
    assert found.logits[0, 22, 22] == -3
    assert found.logits[0, 5, 5] == 3


def test_objects_are_looked_at_one_by_one():
    found = refined(
        LargestComponent(),
        predicted(rectangles((0, 0, 3, 3), (10, 10, 12, 12)), rectangles(), rectangles((0, 0, 2, 2), (10, 10, 13, 13))),
    )
    expected = [rectangles((0, 0, 3, 3)), rectangles(), rectangles((10, 10, 13, 13))]
    assert torch.equal(found.masks, torch.stack(expected))


def test_odd_sizes():
    found = refined(LargestComponent(), predicted(rectangles((0, 0, 1, 1), (3, 0, 5, 1), size=(1, 7))))
    assert found.masks[0, 0].tolist() == [False, False, False, True, True, False, False]


def test_it_is_offered_by_name_and_has_no_options():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert (entry.name, entry.options) == ("largest_component", ())
    assert entry.summary
