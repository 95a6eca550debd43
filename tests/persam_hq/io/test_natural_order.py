"""Natural order of names in which numbers have fractions, signs, exponents, and dates."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from persam_hq.io.text.natural_order import natural_key, natural_sorted, numbers_in

IN_ORDER = {
    # Whole numbers, as ever
    "whole": ["1", "2", "10"],
    "padded": ["f0001", "f0002", "f0010"],
    "copies": ["IMG", "IMG (1)", "IMG (2)", "IMG (10)"],
    "separators": ["frame-1", "frame-2", "frame-10", "frame-11"],
    "two numbers": ["a1-2", "a1-10", "a2-1"],
    "case": ["Clip1", "clip2", "CLIP10"],
    "words": ["1", "a", "b"],
    "episodes": ["s1e2", "s1e10", "s2e1"],
    "versions": ["v1.1", "v1.2", "v1.9", "v1.10", "v1.11"],
    "versions without the tenth": ["shot1.1", "shot1.5", "shot1.9", "shot1.13"],
    "chains of points": ["1.2.3", "1.2.10", "1.10.1"],
    "frame numbers behind a point": ["take2.0001", "take2.0002", "take2.0100"],
    "names with hashes": ["1e3f", "5e1a", "10aa"],
    "wide digits": ["frame１", "frame２", "frame１０"],  # noqa: RUF001
    "digits of Arabic": ["١", "٢", "١٠"],  # noqa: RUF001
    # Fractions
    "seconds": ["t0.5", "t0.75", "t1", "t1.25", "t1.5", "t1.75", "t2", "t2.25"],
    "tenths": ["0", "0.5", "1", "1.5", "2", "10", "10.5"],
    "commas": ["t0,5", "t0,75", "t1", "t1,25"],
    "uneven fractions": ["0.125", "0.25", "0.3", "2"],
    "with a unit": ["0.5s", "0.75s", "1s", "1.25s", "10s"],
    "floats as Python prints them": ["0.0", "0.25", "0.5", "0.75", "1.0", "1.25", "10.0"],
    "thirtieths": ["t0.0", "t0.033", "t0.067", "t0.1", "t0.133", "t0.9", "t0.967", "t1.0", "t1.033"],
    "hundredths without padding": ["0.05", "0.1", "0.15", "0.2"],
    "versions of many": ["1.0", "1.1", "1.9", "1.10", "1.20", "2.0"],
    # Signs
    "negative first": ["-10", "-2", "-1", "0", "1", "2", "10"],
    "negative behind a letter": ["z-10", "z-5", "z0", "z5", "z10"],
    "plus": ["d-1", "d+0", "d+1", "d2"],
    "negative fractions": ["x-1.5", "x-1", "x-0.25", "x0", "x0.25"],
    "the minus of typography": ["−5", "0", "5"],  # noqa: RUF001
    "both signs": ["z-10", "z-2", "z-1", "z+0", "z+1", "z+10"],
    "before and after": ["T-10s", "T-9s", "T-1s", "T+1s", "T+10s"],
    "all negative": ["z=-10", "z=-5", "z=-1"],
    "negative behind an underscore": ["depth_-100", "depth_-20", "depth_-3"],
    "negative fractions of one length": ["x-1.5", "x-1.0", "x-0.5", "x0.0", "x0.5"],
    # Exponents
    "exponents": ["1e-3", "5e-3", "1e-2", "1e-1", "1e0", "2e+1"],
    "exponents behind a name": ["lr_1e-05", "lr_0.0002", "lr_1e-03", "lr_0.5"],
    "exponents without sign": ["9e1", "1e2", "5e3"],
    "exponents and signs": ["a-1e-2", "a-1e-3", "a0", "a1e-3"],
    # Dates
    "dates by year": ["2023-12-31", "2024-1-2", "2024-01-10"],
    "dates by day": ["30.12.2023", "31.12.2023", "01.01.2024"],
    "dates by month": ["12-31-2023", "01-01-2024", "01-02-2024"],
    "days of one month": ["05-03-2024", "06-03-2024", "01-04-2024"],
    "months by name": ["28 Feb 2024", "1 Mar 2024", "2 March 2024", "1 Jan 2025"],
    "months first": ["Feb 28, 2024", "Mar 1, 2024", "Mar 10, 2024"],
    "clocks of twelve hours": [
        "Screenshot 2024-01-02 at 12.00.01 AM",
        "Screenshot 2024-01-02 at 9.30.05 AM",
        "Screenshot 2024-01-02 at 10.00.00 AM",
        "Screenshot 2024-01-02 at 12.10.00 PM",
        "Screenshot 2024-01-02 at 1.05.00 PM",
    ],
    "time stamps": ["20231231_235959", "20240101_000000", "20240101_000001"],
}


@pytest.mark.parametrize("kind", IN_ORDER)
def test_names_come_in_the_order_of_their_numbers(kind):
    files = [Path(f"{name}.png") for name in IN_ORDER[kind]]
    shuffled = random.Random(kind).sample(files, len(files))
    assert natural_sorted(shuffled) == files


def test_names_of_equal_value_have_one_order():
    assert natural_sorted([Path("01.png"), Path("1.png"), Path("1.jpg")]) == [
        Path("01.png"),
        Path("1.jpg"),
        Path("1.png"),
    ]
    assert natural_sorted([]) == []


def test_a_name_by_itself_has_whole_numbers():
    assert sorted(["b10", "b2", "b1.5", "a"], key=natural_key) == ["a", "b1.5", "b2", "b10"]
    assert numbers_in("take2_0007") == [2, 7]
