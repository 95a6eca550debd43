"""Tables of scores: a CSV file a method, and fixed-width text with several methods side by side."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.confidence import ConfidenceRow, mean_confidence
from persam_hq.evaluation.protocols.davis import DavisTable, ScoreRow

Column = Literal["J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"]

ALL_COLUMNS: tuple[Column, ...] = (
    "J&F-Mean",
    "J-Mean",
    "J-Recall",
    "J-Decay",
    "F-Mean",
    "F-Recall",
    "F-Decay",
)
SIDE_BY_SIDE: tuple[Column, ...] = ("J&F-Mean", "J-Mean", "F-Mean")


def write_csv(table: DavisTable, path: Path | str) -> None:
    """A row a sequence and the row `mean`; measures from 0 to 1 with six decimals."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sequence", "objects", "frames", *ALL_COLUMNS])
        for row in (*table.rows, table.mean):
            measures = [f"{column_value(row, column):.6f}" for column in ALL_COLUMNS]
            writer.writerow([row.name, row.num_objects, row.num_frames, *measures])


def csv_name(table: DavisTable) -> str:
    """A file name for the table of a method, made of what its name has of letters, digits, dots and lines."""
    return re.sub(r"[^\w.-]+", "-", table.method.replace("/", "_")) + ".csv"


def render_text(tables: Sequence[DavisTable], *, columns: Sequence[Column] | None = None) -> str:
    """Methods side by side in percent, a line a sequence and one for the mean.

    One method shows every measure unless `columns` are given, several show J&F, J and F.
    """
    _check_same_sequences(tables)
    columns = columns or (ALL_COLUMNS if len(tables) == 1 else SIDE_BY_SIDE)
    labels = [row.name for row in tables[0].rows] + ["mean"]
    left = [[" " * len("sequence")], ["sequence"], *([label] for label in labels)]
    blocks = [align(left, numbers=False), *(_method_block(table, columns) for table in tables)]

    # A rule above the mean and below the heading.
    lines = ["   ".join(parts).rstrip() for parts in zip(*blocks, strict=True)]
    rule = "-" * max(map(len, lines))
    return "\n".join([*lines[:2], rule, *lines[2:-1], rule, lines[-1]]) + "\n"


def column_value(row: ScoreRow, column: Column) -> float:
    """The value of a row in a column, from 0 to 1."""
    if column == "J&F-Mean":
        return row.j_and_f
    letter, statistic = column.split("-")
    summary = row.j if letter == "J" else row.f
    return {"Mean": summary.mean, "Recall": summary.recall, "Decay": summary.decay}[statistic]


def align(rows: Sequence[Sequence[str]], *, numbers: bool) -> list[str]:
    """Rows of cells as lines of one width, numbers to the right and words to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pad = str.rjust if numbers else str.ljust
    return ["  ".join(map(pad, row, widths)) for row in rows]


def _method_block(table: DavisTable, columns: Sequence[Column]) -> list[str]:
    """Lines of one width: method, headings, sequences, mean."""
    cells = [[f"{100 * column_value(row, column):.1f}" for column in columns] for row in (*table.rows, table.mean)]
    body = align([[column.removesuffix("-Mean") for column in columns], *cells], numbers=True)
    width = max(len(table.method), len(body[0]))
    return [table.method.ljust(width), *(line.ljust(width) for line in body)]


def _check_same_sequences(tables: Sequence[DavisTable]) -> None:
    sets = {tuple(row.name for row in table.rows) for table in tables}
    if len(sets) != 1:
        msg = (
            f"got {len(tables)} tables over {len(sets)} different lists of sequences: expected methods scored on "
            "the same sequences; score them again with the same --sequences"
        )
        raise EvaluationError(msg)


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


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """Scores from 0 to 1, one a column, over so many images."""

    name: str
    images: int
    scores: tuple[float, ...]


def mean_row(rows: Sequence[OverlapRow]) -> OverlapRow:
    """Every column averaged over the rows, which count the same whatever their number of images."""
    if not rows:
        raise EvaluationError("nothing to average: expected at least one scored clip or object")
    scores = np.mean([row.scores for row in rows], axis=0)
    return OverlapRow(name="mean", images=sum(row.images for row in rows), scores=tuple(scores.tolist()))


def render_overlaps(rows: Sequence[OverlapRow], *, first: str, columns: Sequence[str]) -> str:
    """Fixed-width text in percent; `first` heads the names."""
    body = [*rows, mean_row(rows)]
    cells = [[row.name, str(row.images), *(f"{100 * score:.1f}" for score in row.scores)] for row in body]
    table = [[first, "images", *columns], *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *numbers in table:
        right = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]]) + "\n"
