import numpy as np
import pytest

from persamhq_plugins.score_map import find_peaks, level, peak_region


def bumps(*values, size=(30, 40)):
    scores = np.zeros(size, np.float32)
    for value, (x, y) in values:
        scores[y, x] = value
    return scores


@pytest.mark.parametrize(("share", "expected"), [(0, 1.0), (0.5, 2.0), (1, 3.0)])
def test_levels_run_from_the_mean_to_the_maximum(share, expected):
    assert level(np.array([[0.0, 0.0, 1.0, 3.0]]), share) == expected


def test_a_map_of_one_value_has_one_level():
    assert level(np.full((3, 3), 0.1, np.float32), 0.7) == np.float32(0.1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"count": 3, "reach": 1}, [(5, 7), (8, 7), (20, 9)], id="highest first"),
        pytest.param({"count": 3, "reach": 3}, [(5, 7), (20, 9), (39, 29)], id="none within reach of a higher one"),
        pytest.param({"count": 2, "reach": 3}, [(5, 7), (20, 9)], id="as many as asked"),
        pytest.param({"count": 9, "reach": 3, "at_least": 0.5}, [(5, 7), (20, 9)], id="none below the least"),
        pytest.param({"count": 0, "reach": 3}, [], id="none asked"),
    ],
)
def test_peaks(options, expected):
    scores = bumps((0.9, (5, 7)), (0.8, (8, 7)), (0.7, (20, 9)), (0.3, (39, 29)))
    assert find_peaks(scores, **options) == expected


def test_a_slope_is_no_peak():
    scores = np.maximum(0, 10 - np.abs(np.arange(40) - 20))[None].repeat(5, axis=0).astype(np.float32)
    assert [x for x, _ in find_peaks(scores, count=5, reach=50)] == [20]
    assert {x for x, _ in find_peaks(scores, count=5, reach=1, at_least=1)} == {20}


def test_of_equal_peaks_the_first_in_reading_order_counts():
    assert find_peaks(np.ones((4, 5), np.float32), count=2, reach=3) == [(0, 0), (4, 0)]


def test_the_region_is_what_hangs_together_with_the_peak():
    scores = np.zeros((20, 30), np.float32)
    scores[4:8, 5:12] = 0.8
    scores[8, 12] = 0.8  # touches at a corner
    scores[5, 6] = 1.0
    scores[15:18, 20:28] = 0.9  # higher than the rest of the region, but elsewhere
    assert peak_region(scores, share=0.5) == ((6, 5), (5, 4, 12, 8))


@pytest.mark.parametrize(("share", "box"), [(1.0, (6, 5, 6, 5)), (0.0, (6, 5, 6, 5))])
def test_a_peak_of_one_pixel(share, box):
    assert peak_region(bumps((1.0, (6, 5))), share=share) == ((6, 5), box)


def test_a_map_of_one_value_is_one_region():
    assert peak_region(np.full((5, 7), 0.3, np.float32), share=0.5) == ((0, 0), (0, 0, 6, 4))
