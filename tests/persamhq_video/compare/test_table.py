"""The table on the terminal, in compare.csv and as columns of the page."""

import csv
import io

import pytest

from persamhq_video.compare.table import Column, ComparisonTable, Row


def row(name, *, j=None, f=None, track_ms=20.0, agreement=(None, 0.5), stability=0.9):
    return Row(
        name=name,
        spec=f"--{name}, x",
        j=j,
        f=f,
        agreement=agreement,
        stability=stability,
        score=0.75,
        absent=0.0,
        uncertain=0.125,
        track_ms=track_ms,
    )


def table(**options):
    rows = (row("near", **options), row("far", track_ms=12.34, agreement=(0.5, None), **options))
    return ComparisonTable(rows, encode_ms=80.0)


def test_csv():
    lines = list(csv.DictReader(io.StringIO(table(j=0.8, f=0.9).csv())))
    assert list(lines[0]) == [
        "strategy",
        "options",
        "j_and_f",
        "j",
        "f",
        "stability",
        "score",
        "absent",
        "uncertain",
        "track_ms",
        "agreement_near",
        "agreement_far",
        "encode_ms",
    ]
    assert lines[0] | {"strategy": ""} == {
        "strategy": "",
        "options": "--near, x",
        "j_and_f": "85.00",
        "j": "80.00",
        "f": "90.00",
        "agreement_near": "",
        "agreement_far": "50.00",
        "stability": "90.00",
        "score": "75.00",
        "absent": "0.00",
        "uncertain": "12.50",
        "track_ms": "20.00",
        "encode_ms": "80.00",
    }
    assert [line["strategy"] for line in lines] == ["near", "far"]


def test_without_annotations_there_is_no_column_for_them():
    assert "j_and_f" not in table().csv()
    assert "J&F" not in table().text()


def test_text():
    lines = table().text().splitlines()
    assert lines[0].split("  ")[0] == "strategy"
    assert lines[1].startswith("near")
    assert lines[1].split() == ["near", "90.0", "75.0", "0.0", "12.5", "20.0", "-", "50.0"]
    assert lines[2].split() == ["far", "90.0", "75.0", "0.0", "12.5", "12.3", "50.0", "-"]
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[3] == "percent; encode 80.0 ms a frame, once for all"


@pytest.mark.parametrize(
    ("values", "best", "marked"),
    [
        ((1.0, 2.0, 2.0), "highest", [False, True, True]),
        ((1.0, 2.0, 3.0), "lowest", [True, False, False]),
        ((1.0, None, 3.0), "highest", [False, False, True]),
        ((1.01, 1.02), "highest", [False, False]),
        ((2.0, 2.0), "highest", [False, False]),
        ((None, None), "highest", [False, False]),
        ((1.0, 2.0), None, [False, False]),
    ],
)
def test_the_best_is_marked(values, best, marked):
    assert Column("x", "x", values, best=best).marked() == marked


def test_cells():
    assert Column("x", "x", (1.25, None), decimals=1).cells() == ["1.2", "-"]
    assert Column("x", "x", (1.25, None)).cells(decimals=2, empty="") == ["1.25", ""]
