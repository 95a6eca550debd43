"""Tables of scores."""

import csv

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.confidence import ConfidenceRow
from persam_hq.evaluation.metrics.overlap import OverlapRow
from persam_hq.evaluation.protocols.davis import DavisTable
from persam_hq.evaluation.protocols.sequence_score import ObjectScore, SequenceScore
from persam_hq.evaluation.tables import (
    ALL_COLUMNS,
    column_value,
    csv_name,
    render_confidence,
    render_overlaps,
    render_text,
    write_confidence,
    write_csv,
)


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


@pytest.fixture
def confidence():
    return [
        ConfidenceRow("bmx-trees", 2, score=0.875, region=0.5, correlation=-0.125, doubted=0.25),
        ConfidenceRow("goat", 2, score=0.375, region=1.0, correlation=None, doubted=0.0),
    ]


def test_confidence_as_text(confidence):
    assert render_confidence(confidence).splitlines() == [
        "confidence against J (first and last frame left out)",
        "sequence    score      J    gap  correlation  uncertain or absent",
        "-----------------------------------------------------------------",
        "bmx-trees    87.5   50.0  +37.5        -0.12                 25.0",
        "goat         37.5  100.0  -62.5            -                  0.0",
        "-----------------------------------------------------------------",
        "mean         62.5   75.0  -12.5        -0.12                 12.5",
    ]


def test_confidence_as_csv(confidence, tmp_path):
    path = tmp_path / "new" / "confidence.csv"
    write_confidence(confidence, path)
    with path.open(newline="") as file:
        first, second, mean = csv.DictReader(file)
    assert first == {
        "sequence": "bmx-trees",
        "objects": "2",
        "score": "0.875000",
        "J": "0.500000",
        "gap": "0.375000",
        "correlation": "-0.125000",
        "uncertain-or-absent": "0.250000",
    }
    assert (second["gap"], second["correlation"]) == ("-0.625000", "")
    assert (mean["sequence"], mean["objects"], mean["gap"]) == ("mean", "4", "-0.125000")
    assert b"\r" not in path.read_bytes()


def test_overlaps_as_text():
    rows = [
        OverlapRow(name="goat", images=3, scores=(0.5, 1.0)),
        OverlapRow(name="a-cat", images=1, scores=(0.25, 0.0)),
    ]
    assert render_overlaps(rows, first="clip", columns=("mIoU", "bIoU")).splitlines() == [
        "clip   images  mIoU   bIoU",
        "--------------------------",
        "goat        3  50.0  100.0",
        "a-cat       1  25.0    0.0",
        "--------------------------",
        "mean        4  37.5   50.0",
    ]
