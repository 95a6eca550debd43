"""Tables of scores: a CSV file a method, and fixed-width text with several methods side by side."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from persam_hq.evaluation.davis import DavisTable, ScoreRow
from persam_hq.evaluation.errors import EvaluationError

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
