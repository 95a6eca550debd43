"""The writer and reader of scores.csv: one row per object and frame."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TextIO, cast

from persam_hq.io.atomic import commit, discard, open_part
from persamhq_video.types import ObjectResult

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from persamhq_video.types import FrameResult, PresenceState

COLUMNS = (
    "frame",
    "pts",
    "time_base",
    "pts_seconds",
    "object_id",
    "state",
    "score",
    "similarity",
    "predicted_iou",
    "area_px",
    "x0",
    "y0",
    "x1",
    "y1",
)
"""The columns of a result; a box has its last row and column inside, and is empty for an empty mask."""

SOURCE_COLUMN = "source_frame"
"""The last column of the file: the frame's number in its source, from 0, where `frame` counts those that were taken."""


class ScoresWriter:
    """Streams rows into a temporary file that is moved into place when closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def open(self) -> Self:
        """Start the file with its header."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = io.TextIOWrapper(open_part(self.path), encoding="utf-8", newline="")
        self._file.write(_lines([(*COLUMNS, SOURCE_COLUMN)]))
        return self

    def write(self, rows: str) -> None:
        """Add the rows of one frame, as `table_rows` made them."""
        self._opened().write(rows)

    def close(self) -> None:
        """Complete the file and move it into place; closing twice is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None
            commit(self.path)

    def abort(self) -> None:
        """Leave nothing behind; harmless when closed already."""
        if self._file is not None:
            self._file.close()
            self._file = None
            discard(self.path)

    # As a context: opened if it is not yet, complete on leaving, gone after an error

    def __enter__(self) -> Self:
        return self if self._file is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _opened(self) -> TextIO:
        if self._file is None:
            raise ValueError(f"{self.path}: written to while not open; call open() first")
        return self._file


def score_rows(result: FrameResult) -> str:
    """The rows of one frame, one line per object in the order given; numbers have six decimals, NaN is empty."""
    # Columns of the frame, the same in each row, then those of the object
    start = (str(result.index), str(result.pts), str(result.time_base), _decimal(result.pts_seconds))
    return _lines([(*start, *_object_columns(entry)) for entry in result.objects])


def table_rows(result: FrameResult, *, source_frame: int) -> str:
    """The rows of one frame as the file has them: those of `score_rows`, and the frame's number in the source."""
    return "".join(f"{line},{source_frame}\n" for line in score_rows(result).splitlines())


def read_score_rows(rows: str) -> tuple[ObjectResult, ...]:
    """The objects of one frame from the rows that `score_rows` made: numbers have six decimals, an empty one is NaN."""
    return tuple(_object_of(dict(zip(COLUMNS, cells, strict=True))) for cells in csv.reader(io.StringIO(rows)))


def _object_of(cells: dict[str, str]) -> ObjectResult:
    x0, y0, x1, y1 = (cells[edge] for edge in ("x0", "y0", "x1", "y1"))
    return ObjectResult(
        object_id=int(cells["object_id"]),
        state=cast("PresenceState", cells["state"]),
        score=_number(cells["score"]),
        similarity=_number(cells["similarity"]),
        predicted_iou=_number(cells["predicted_iou"]),
        area=int(cells["area_px"]),
        box=(int(x0), int(y0), int(x1), int(y1)) if x0 else None,
    )


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _lines(rows: Sequence[tuple[str, ...]]) -> str:
    # Lines end the same way on every system, whatever csv's default.
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _object_columns(entry: ObjectResult) -> tuple[str, ...]:
    box = ("", "", "", "") if entry.box is None else tuple(str(edge) for edge in entry.box)
    numbers = (entry.score, entry.similarity, entry.predicted_iou)
    return (str(entry.object_id), entry.state, *(_decimal(number) for number in numbers), str(entry.area), *box)


def _decimal(number: float | None) -> str:
    # Adding 0.0 turns -0.0 into 0.0, so that rounding cannot leave a sign behind.
    return "" if number is None or not math.isfinite(number) else f"{round(number, 6) + 0.0:.6f}"
