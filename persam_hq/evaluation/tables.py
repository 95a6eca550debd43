"""Tables of evaluation results: CSV files, and fixed-width text with a rule below the heading and above the mean.

There are three kinds: DAVIS measures of one or several methods, confidence against J, and overlaps in single images.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.confidence import ConfidenceRow, mean_confidence
from persam_hq.evaluation.metrics.overlap import OverlapRow, mean_overlap
from persam_hq.evaluation.protocols.davis import DavisTable, ScoreRow
from persam_hq.io.atomic import atomic_write

Column = Literal["J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"]
"""Columns of DAVIS measures, as the published evaluation calls them."""

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
"""Columns of each method where several stand beside each other."""
CONFIDENCE_TITLE = "confidence against J (first and last frame left out)"


def write_csv(table: DavisTable, path: Path | str) -> None:
    """Write the DAVIS measures of a method: one row per sequence and the row `mean`, from 0 to 1 with six decimals."""
    heading = ["sequence", "objects", "frames", *ALL_COLUMNS]
    rows = (
        [row.name, row.num_objects, row.num_frames, *(f"{column_value(row, column):.6f}" for column in ALL_COLUMNS)]
        for row in (*table.rows, table.mean)
    )
    _write_rows(path, heading, rows)


def csv_name(table: DavisTable) -> str:
    """A file name for the table of a method: the letters, digits, dots, dashes and underscores of its name."""
    return re.sub(r"[^\w.-]+", "-", table.method.replace("/", "_")) + ".csv"


def render_text(tables: Sequence[DavisTable], *, columns: Sequence[Column] | None = None) -> str:
    """DAVIS measures of methods side by side in percent, with one line per sequence and one for the mean.

    One method shows every measure unless `columns` are given, several show J&F, J and F.
    """
    _check_same_sequences(tables)
    columns = columns or (ALL_COLUMNS if len(tables) == 1 else SIDE_BY_SIDE)
    labels = [row.name for row in tables[0].rows] + ["mean"]
    left = [[" " * len("sequence")], ["sequence"], *([label] for label in labels)]
    blocks = [align(left, numbers=False), *(_method_block(table, columns) for table in tables)]

    lines = ["   ".join(parts).rstrip() for parts in zip(*blocks, strict=True)]
    return _ruled(lines, heading=2)


def column_value(row: ScoreRow, column: Column) -> float:
    """The value of a row in a column, from 0 to 1."""
    if column == "J&F-Mean":
        return row.j_and_f
    letter, statistic = column.split("-")
    summary = row.j if letter == "J" else row.f
    return {"Mean": summary.mean, "Recall": summary.recall, "Decay": summary.decay}[statistic]


def write_confidence(rows: Sequence[ConfidenceRow], path: Path | str) -> None:
    """Write the confidence of a method: one row per sequence and the row `mean`, with six decimals.

    Values are from 0 to 1, gap and correlation from -1 to 1. The correlation is left empty where there is none.
    """
    heading = ["sequence", "objects", "score", "J", "gap", "correlation", "uncertain-or-absent"]
    table = []
    for row in (*rows, mean_confidence(rows)):
        measures = [row.score, row.region, row.gap, row.correlation, row.doubted]
        numbers = ["" if measure is None else f"{measure:.6f}" for measure in measures]
        table.append([row.name, row.num_objects, *numbers])
    _write_rows(path, heading, table)


def render_confidence(rows: Sequence[ConfidenceRow]) -> str:
    """The confidence of a method in percent, with one line per sequence and one for the mean.

    The gap is in percentage points, the correlation from -1 to 1.
    """
    body = [*rows, mean_confidence(rows)]
    names = align([["sequence"], *([row.name] for row in body)], numbers=False)
    headings = ["score", "J", "gap", "correlation", "uncertain or absent"]
    numbers = align([headings, *map(_confidence_cells, body)], numbers=True)

    lines = [f"{name}   {number}" for name, number in zip(names, numbers, strict=True)]
    return f"{CONFIDENCE_TITLE}\n{_ruled(lines, heading=1)}"


def render_overlaps(rows: Sequence[OverlapRow], *, first: str, columns: Sequence[str]) -> str:
    """Overlaps in percent, with one line per row and one for the mean; `first` heads the names."""
    body = [*rows, mean_overlap(rows)]
    names = align([[first], *([row.name] for row in body)], numbers=False)
    cells = [[str(row.images), *(f"{100 * score:.1f}" for score in row.scores)] for row in body]
    numbers = align([["images", *columns], *cells], numbers=True)

    lines = [f"{name}  {number}" for name, number in zip(names, numbers, strict=True)]
    return _ruled(lines, heading=1)


def align(rows: Sequence[Sequence[str]], *, numbers: bool) -> list[str]:
    """Rows of cells as lines of one width, numbers aligned to the right and words to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pad = str.rjust if numbers else str.ljust
    return ["  ".join(map(pad, row, widths)) for row in rows]


def _ruled(lines: Sequence[str], *, heading: int) -> str:
    """Lines of a table as text: `heading` lines, a rule, the rows, a rule, and the mean in the last line."""
    rule = "-" * max(map(len, lines))
    return "\n".join([*lines[:heading], rule, *lines[heading:-1], rule, lines[-1]]) + "\n"


def _write_rows(path: Path | str, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all; its folder is made where there is none."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    atomic_write(Path(path), table.getvalue().encode())


def _method_block(table: DavisTable, columns: Sequence[Column]) -> list[str]:
    """Lines of one width for one method: its name, headings, sequences and mean."""
    cells = [[f"{100 * column_value(row, column):.1f}" for column in columns] for row in (*table.rows, table.mean)]
    body = align([[column.removesuffix("-Mean") for column in columns], *cells], numbers=True)
    width = max(len(table.method), len(body[0]))
    return [table.method.ljust(width), *(line.ljust(width) for line in body)]


def _confidence_cells(row: ConfidenceRow) -> list[str]:
    """Score, J, gap, correlation and share of doubted masks as text."""
    correlation = "-" if row.correlation is None else f"{row.correlation:.2f}"
    score, region, doubted = (f"{100 * share:.1f}" for share in (row.score, row.region, row.doubted))
    return [score, region, f"{100 * row.gap:+.1f}", correlation, doubted]


def _check_same_sequences(tables: Sequence[DavisTable]) -> None:
    """Refuse to put methods side by side that were not scored on the same sequences in the same order."""
    sets = {tuple(row.name for row in table.rows) for table in tables}
    if len(sets) != 1:
        msg = (
            f"got {len(tables)} tables over {len(sets)} different lists of sequences: expected methods scored on "
            "the same sequences; score them again with the same --sequences"
        )
        raise EvaluationError(msg)
