"""Tables of scores."""

import csv

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.protocols.davis import DavisTable
from persam_hq.evaluation.protocols.sequence_score import ObjectScore, SequenceScore
from persam_hq.evaluation.tables import ALL_COLUMNS, column_value, csv_name, render_text, write_csv


def table(method="ours", *, names=("bmx-trees", "goat"), values=(0.5, 1.0)):
    scores = []
    for name, value in zip(names, values, strict=True):
        region, boundary = np.array([value, value, value, value / 2]), np.full(4, value / 4)
        objects = (ObjectScore(object_id=1, region=region, boundary=boundary),)
        scores.append(SequenceScore(name=name, frame_names=("1", "2", "3", "4"), objects=objects))
    return DavisTable.from_scores(method, scores)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("J&F-Mean", 0.5625),
        ("J-Mean", 0.875),
        ("J-Recall", 0.75),
        ("J-Decay", 0.25),
        ("F-Mean", 0.25),
        ("F-Recall", 0.0),
        ("F-Decay", 0.0),
    ],
)
def test_values_by_hand(column, expected):
    # Four frames 1 1 1 0.5: edges at 1, 1.75, 2.5, 3.25, 4 become 1 2 3 3 4, so the last bin is (1, 0.5).
    assert column_value(table().rows[1], column) == pytest.approx(expected)


def test_csv(tmp_path):
    path = tmp_path / "new" / "folder" / "scores.csv"
    write_csv(table(), path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["bmx-trees", "goat", "mean"]
    assert list(rows[0]) == ["sequence", "objects", "frames", *ALL_COLUMNS]
    assert rows[1]["J-Mean"] == "0.875000"
    assert (rows[2]["objects"], rows[2]["frames"]) == ("2", "8")
    assert float(rows[2]["J&F-Mean"]) == pytest.approx((0.5625 + 0.28125) / 2)
    assert b"\r" not in path.read_bytes()


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("first mask copied", "first-mask-copied.csv"),
        ("auto, SAM decoder", "auto-SAM-decoder.csv"),
        ("out/predictions", "out_predictions.csv"),
        ("v1.2", "v1.2.csv"),
    ],
)
def test_a_file_is_named_after_the_method(method, name):
    assert csv_name(table(method)) == name


def test_one_method():
    assert render_text([table()]) == (
        "            ours\n"
        "sequence     J&F     J  J-Recall  J-Decay     F  F-Recall  F-Decay\n"
        "------------------------------------------------------------------\n"
        "bmx-trees   28.1  43.8       0.0     12.5  12.5       0.0      0.0\n"
        "goat        56.2  87.5      75.0     25.0  25.0       0.0      0.0\n"
        "------------------------------------------------------------------\n"
        "mean        42.2  65.6      37.5     18.8  18.8       0.0      0.0\n"
    )


def test_several_methods_side_by_side():
    text = render_text([table("ours"), table("the first mask, copied", values=(0.24, 0.4))])
    assert text == (
        "            ours               the first mask, copied\n"
        "sequence     J&F     J     F    J&F     J     F\n"
        "-----------------------------------------------------\n"
        "bmx-trees   28.1  43.8  12.5   13.5  21.0   6.0\n"
        "goat        56.2  87.5  25.0   22.5  35.0  10.0\n"
        "-----------------------------------------------------\n"
        "mean        42.2  65.6  18.8   18.0  28.0   8.0\n"
    )


def test_chosen_columns():
    heading = render_text([table(), table("b")], columns=("J-Mean", "J-Decay")).splitlines()[1]
    assert heading.split() == ["sequence", "J", "J-Decay", "J", "J-Decay"]


def test_methods_scored_on_other_sequences_are_refused():
    with pytest.raises(EvaluationError, match="2 tables over 2 different lists of sequences"):
        render_text([table(), table("b", names=("bmx-trees", "camel"))])


def test_no_table_is_refused():
    with pytest.raises(EvaluationError, match="got 0 tables"):
        render_text([])
