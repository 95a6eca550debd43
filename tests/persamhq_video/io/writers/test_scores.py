"""scores.csv."""

from __future__ import annotations

import csv
import math
from fractions import Fraction

import numpy as np
import pytest

from persamhq_video.io import ScoresWriter, read_score_rows, score_rows, table_rows
from persamhq_video.types import FrameResult, ObjectResult

HEADER = (
    "frame,pts,time_base,pts_seconds,object_id,state,score,similarity,predicted_iou,area_px,x0,y0,x1,y1,source_frame"
)


def result(index, *objects):
    return FrameResult(
        index=index,
        pts=index * 512,
        time_base=Fraction(1, 12800),
        name=f"{index:05d}",
        labels=np.zeros((4, 4), np.uint8),
        objects=objects,
    )


def entry(**changes):
    values = {"object_id": 1, "state": "present", "score": 0.5, "similarity": 1 / 3, "predicted_iou": 0.9}
    return ObjectResult(**{**values, "area": 12, "box": (1, 2, 3, 4), **changes})


def test_rows_are_one_an_object_and_frame(tmp_path):
    path = tmp_path / "out" / "scores.csv"
    with ScoresWriter(path) as writer:
        writer.write(table_rows(result(0, entry(state="given"), entry(object_id=7)), source_frame=40))
        gone = entry(state="absent", area=0, box=None, score=float("nan"), similarity=-1e-9)
        writer.write(table_rows(result(3, gone), source_frame=46))
    assert path.read_text(encoding="utf-8").splitlines() == [
        HEADER,
        "0,0,1/12800,0.000000,1,given,0.500000,0.333333,0.900000,12,1,2,3,4,40",
        "0,0,1/12800,0.000000,7,present,0.500000,0.333333,0.900000,12,1,2,3,4,40",
        "3,1536,1/12800,0.120000,1,absent,,0.000000,0.900000,0,,,,,46",
    ]
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["object_id"] for row in csv.DictReader(file)] == ["1", "7", "1"]


def test_no_name_before_it_is_closed_and_none_after_an_error(tmp_path):
    path = tmp_path / "scores.csv"
    writer = ScoresWriter(path).open()
    writer.write(score_rows(result(0, entry())))
    assert not path.exists()
    with pytest.raises(RuntimeError, match=r"stop"):
        stop_within(writer)
    assert list(tmp_path.iterdir()) == []


def stop_within(writer):
    with writer:
        raise RuntimeError("stop")


def test_writing_to_a_closed_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"written to while not open"):
        ScoresWriter(tmp_path / "scores.csv").write(score_rows(result(0, entry())))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"score": 1.23456789e-5, "similarity": -0.0, "state": "uncertain"},
        {"score": math.nan, "predicted_iou": math.nan, "box": None, "area": 0, "state": "absent"},
    ],
)
def test_rows_can_be_read_back(changes):
    rows = score_rows(result(3, entry(**changes), entry(object_id=7)))
    one, two = read_score_rows(rows)
    assert score_rows(result(3, one, two)) == rows
    assert (one.object_id, two.object_id) == (1, 7)
    expected = entry(**changes)
    assert (one.state, one.area, one.box) == (expected.state, expected.area, expected.box)
    assert one.score == pytest.approx(expected.score, abs=5e-7, nan_ok=True)


def test_a_frame_without_objects_has_no_rows():
    assert read_score_rows(score_rows(result(3))) == ()
