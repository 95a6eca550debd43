"""Line charts as SVG."""

import re
import xml.etree.ElementTree as ET

import pytest

from persamhq_video.compare.svg_charts import Curve, line_chart


def points(svg):
    """The points of each curve in pixels."""
    texts = re.findall(r'points="([^"]*)"', svg)
    return [[tuple(map(float, point.split(","))) for point in text.split()] for text in texts]


def ticks(svg):
    root = ET.fromstring(svg)
    return [text.text for text in root.iter("text") if text.get("text-anchor") == "end"]


def chart(values, **options):
    return line_chart([Curve("#123456", range(1, len(values) + 1), values)], last=len(values), label="x", **options)


def test_higher_values_are_higher_up_and_later_ones_further_right():
    (((x0, y0), (x1, y1)),) = points(chart([10.0, 20.0]))
    assert y1 < y0
    assert x1 > x0


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([61.0, 99.0], {}, ["60", "70", "80", "90", "100"]),
        ([0.0, 3.9], {}, ["0", "1", "2", "3", "4"]),
        ([3.0, 3.9], {"from_zero": True}, ["0", "1", "2", "3", "4"]),
        ([50.0, 50.0], {}, ["50.0000", "50.0005"]),
        ([99.1, 99.4], {}, ["99.1", "99.2", "99.3", "99.4"]),
    ],
)
def test_round_numbers_hold_all_values(values, options, expected):
    assert ticks(chart(values, **options)) == expected


def test_everything_is_inside():
    svg = chart([0.0, 100.0, 3.0, 55.5])
    assert all(0 <= x <= 1080 and 0 <= y <= 190 for x, y in points(svg)[0])


def test_a_dip_is_seen_among_very_many_points():
    values = [90.0] * 5000
    values[3333] = 10.0
    (curve,) = points(chart(values))
    assert len(curve) <= 540
    assert max(y for _, y in curve) == max(y for _, y in points(chart([10.0, 90.0]))[0])


def test_curves_in_one_place_are_all_seen():
    curves = [Curve(colour, [1, 2], [1.0, 2.0]) for colour in ("red", "blue")]
    widths = [float(width) for width in re.findall(r'stroke-width="([^"]+)"', line_chart(curves, last=2, label="x"))]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 2


def test_without_points():
    assert points(line_chart([], last=0, label="x")) == []
