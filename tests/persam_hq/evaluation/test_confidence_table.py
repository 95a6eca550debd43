"""The table of confidence against J."""

import csv

import pytest

from persam_hq.evaluation.metrics.confidence import ConfidenceRow
from persam_hq.evaluation.tables import render_confidence, write_confidence


@pytest.fixture
def rows():
    return [
        ConfidenceRow("bmx-trees", 2, score=0.875, region=0.5, correlation=-0.125, doubted=0.25),
        ConfidenceRow("goat", 2, score=0.375, region=1.0, correlation=None, doubted=0.0),
    ]


def test_text(rows):
    assert render_confidence(rows).splitlines() == [
        "confidence against J (first and last frame left out)",
        "sequence    score      J    gap  correlation  uncertain or absent",
        "-----------------------------------------------------------------",
        "bmx-trees    87.5   50.0  +37.5        -0.12                 25.0",
        "goat         37.5  100.0  -62.5            -                  0.0",
        "-----------------------------------------------------------------",
        "mean         62.5   75.0  -12.5        -0.12                 12.5",
    ]


def test_csv(rows, tmp_path):
    path = tmp_path / "new" / "confidence.csv"
    write_confidence(rows, path)
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
