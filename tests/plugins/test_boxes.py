import pytest

from persamhq_plugins.boxes import centre, grown, longer_side


@pytest.mark.parametrize(
    ("box", "by", "expected"),
    [
        pytest.param((12, 11, 25, 18), 10, (2, 1, 35, 28), id="inside"),
        pytest.param((4, 3, 20, 15), 10, (0, 0, 30, 25), id="clipped above and left"),
        pytest.param((15, 14, 39, 29), 10, (5, 4, 40, 30), id="clipped below and right"),
        pytest.param((5, 5, 5, 5), 0, (5, 5, 5, 5), id="one pixel, as it is"),
        pytest.param((5, 5, 6, 6), 1.5, (3.5, 3.5, 7.5, 7.5), id="by a fraction"),
    ],
)
def test_boxes_grow_inside_the_image(box, by, expected):
    assert grown(box, by, (30, 40)) == expected


@pytest.mark.parametrize(("box", "middle"), [((0, 0, 3, 5), (1, 2)), ((4, 4, 4, 4), (4, 4))])
def test_the_middle_is_a_whole_pixel(box, middle):
    assert centre(box) == middle


@pytest.mark.parametrize(("box", "pixels"), [((5, 5, 5, 5), 1), ((0, 0, 9, 3), 10), ((0, 0, 3, 9), 10)])
def test_the_longer_side_counts_both_ends(box, pixels):
    assert longer_side(box) == pixels
