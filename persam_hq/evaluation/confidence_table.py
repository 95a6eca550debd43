"""The table of confidence against J: fixed-width text, and a CSV file."""

import csv
from collections.abc import Sequence
from pathlib import Path

from persam_hq.evaluation.confidence import ConfidenceRow, mean_confidence
from persam_hq.evaluation.score_table import align

TITLE = "confidence against J (first and last frame left out)"


def render_confidence(rows: Sequence[ConfidenceRow]) -> str:
    """A line a sequence and one for the mean. In percent, the gap in points of it; the correlation from -1 to 1."""
    body = [*rows, mean_confidence(rows)]
    names = align([["sequence"], *([row.name] for row in body)], numbers=False)
    headings = ["score", "J", "gap", "correlation", "uncertain or absent"]
    numbers = align([headings, *map(_cells, body)], numbers=True)

    # A rule above the mean and below the heading.
    lines = [f"{name}   {number}" for name, number in zip(names, numbers, strict=True)]
    rule = "-" * len(lines[0])
    return "\n".join([TITLE, lines[0], rule, *lines[1:-1], rule, lines[-1]]) + "\n"


def write_confidence(rows: Sequence[ConfidenceRow], path: Path | str) -> None:
    """A row a sequence and the row `mean`; from 0 to 1, gap and correlation from -1 to 1, with six decimals.

    The correlation is left empty where there is none.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sequence", "objects", "score", "J", "gap", "correlation", "uncertain-or-absent"])
        for row in (*rows, mean_confidence(rows)):
            measures = [row.score, row.region, row.gap, row.correlation, row.doubted]
            numbers = ["" if measure is None else f"{measure:.6f}" for measure in measures]
            writer.writerow([row.name, row.num_objects, *numbers])


def _cells(row: ConfidenceRow) -> list[str]:
    correlation = "-" if row.correlation is None else f"{row.correlation:.2f}"
    score, region, doubted = (f"{100 * share:.1f}" for share in (row.score, row.region, row.doubted))
    return [score, region, f"{100 * row.gap:+.1f}", correlation, doubted]
