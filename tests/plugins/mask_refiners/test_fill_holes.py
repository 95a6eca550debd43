import pytest
import torch
from stand_ins.frame import predicted, rectangles, refined, registered

from persamhq_plugins.mask_refiners.fill_holes import FillHoles, persamhq_register_mask_refiners
from persamhq_video.errors import ConfigError

BODY = (5, 5, 25, 25)


def holed(*holes, body=BODY):
    return rectangles(body) & ~rectangles(*holes)


@pytest.mark.parametrize(
    ("holes", "left"),
    [
        pytest.param([], [], id="no hole"),
        pytest.param([(10, 10, 12, 12)], [], id="a small one"),
        pytest.param([(10, 10, 11, 11), (20, 20, 21, 21)], [], id="several"),
        pytest.param([(8, 8, 18, 18)], [(8, 8, 18, 18)], id="a large one stays"),
        pytest.param([(5, 10, 7, 11)], [(5, 10, 7, 11)], id="a notch is no hole"),
        pytest.param([(5, 5, 6, 6), (6, 6, 7, 7)], [(5, 5, 6, 6)], id="a corner lets nothing in"),
    ],
)
def test_small_holes_are_filled(holes, left):
    found = refined(FillHoles(largest=0.02), predicted(holed(*holes)))
    assert torch.equal(found.masks[0], holed(*left))


@pytest.mark.parametrize(("largest", "filled"), [(0.0, False), (0.33, False), (0.34, True), (1.0, True)])
def test_how_large_a_hole_may_be_is_an_option(largest, filled):
    found = refined(FillHoles(largest=largest), predicted(holed((8, 8, 18, 18))))  # 100 of 300 pixels
    assert torch.equal(found.masks[0], holed() if filled else holed((8, 8, 18, 18)))


def test_what_the_image_cuts_off_is_no_hole():
    cup = rectangles((0, 0, 10, 10)) & ~rectangles((0, 3, 1, 4))
    assert torch.equal(refined(FillHoles(), predicted(cup)).masks[0], cup)


@pytest.mark.parametrize(
    "mask", [rectangles(), rectangles((3, 3, 4, 4)), rectangles((0, 0, 40, 30))], ids=["empty", "one pixel", "all"]
)
def test_masks_without_holes_stay_as_they_are(mask):
    found = refined(FillHoles(largest=1.0), predicted(mask))
    assert torch.equal(found.masks[0], mask)


@pytest.mark.parametrize(("outside", "expected"), [(-3.0, 3.0), (0.0, 1e-3)])
def test_what_is_filled_is_as_sure_as_it_was_of_the_opposite(outside, expected):
    found = refined(FillHoles(largest=0.02), predicted(holed((10, 10, 12, 12)), outside=outside))
    assert found.logits[0, 11, 11] == pytest.approx(expected)


def test_objects_are_looked_at_one_by_one():
    found = refined(FillHoles(largest=0.02), predicted(holed((10, 10, 12, 12)), rectangles(), holed((8, 8, 18, 18))))
    assert torch.equal(found.masks, torch.stack([holed(), rectangles(), holed((8, 8, 18, 18))]))


def test_a_share_has_limits():
    with pytest.raises(ConfigError, match="option 'largest'"):
        registered(persamhq_register_mask_refiners)["fill_holes"].make({"largest": 1.5})


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "fill_holes"
    assert entry.summary
    assert all(option.doc for option in entry.options)
