"""The table of a comparison: a row per strategy, with the same columns on the terminal, in compare.csv and the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Column", "ComparisonTable", "Row"]

Best = Literal["highest", "lowest"]

_PERCENT: Final = 100.0
"""Shares are kept as 0-1 and shown in percent."""


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one strategy.

    `j`, `f`: DAVIS measures in 0-1, mean over frames and objects, None without annotations; `agreement`: mean IoU with
    each strategy in the order of the rows, None for itself; `stability`: mean IoU of consecutive label maps; `score`:
    mean confidence; `absent`, `uncertain`: shares of all frames and objects; `track_ms`: milliseconds per frame.
    """

    name: str
    spec: str
    j: float | None
    f: float | None
    agreement: tuple[float | None, ...]
    stability: float
    score: float
    absent: float
    uncertain: float
    track_ms: float

    @property
    def j_and_f(self) -> float | None:
        """The mean of J and F."""
        return None if self.j is None or self.f is None else (self.j + self.f) / 2


@dataclass(frozen=True, slots=True)
class Column:
    """One number per strategy: `key` names it in files, `heading` for readers; `best` says which one to mark."""

    key: str
    heading: str
    values: tuple[float | None, ...]
    decimals: int = 1
    best: Best | None = None

    def cells(self, *, decimals: int | None = None, empty: str = "-") -> list[str]:
        """The numbers as text; `empty` stands for a missing one."""
        places = self.decimals if decimals is None else decimals
        return [empty if value is None else f"{value:.{places}f}" for value in self.values]

    def marked(self) -> list[bool]:
        """Whether each row holds the best value; none does where all values are the same."""
        # Rounded as shown, so that of two equal texts never only one is marked
        shown = [None if value is None else round(value, self.decimals) for value in self.values]
        numbers = [value for value in shown if value is not None]
        if self.best is None or len(set(numbers)) < 2:
            return [False] * len(shown)
        target = max(numbers) if self.best == "highest" else min(numbers)
        return [value == target for value in shown]


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """All rows, and the milliseconds of encoding a frame, which the strategies share."""

    rows: tuple[Row, ...]
    encode_ms: float

    @property
    def columns(self) -> list[Column]:
        """The measures of each strategy by itself; J and F only where there are annotations."""
        truth = [
            self._percents("j_and_f", "J&F", [row.j_and_f for row in self.rows], best="highest"),
            self._percents("j", "J", [row.j for row in self.rows], best="highest"),
            self._percents("f", "F", [row.f for row in self.rows], best="highest"),
        ]
        rest = [
            self._percents("stability", "stability", [row.stability for row in self.rows], best="highest"),
            self._percents("score", "score", [row.score for row in self.rows], best="highest"),
            self._percents("absent", "absent", [row.absent for row in self.rows]),
            self._percents("uncertain", "uncertain", [row.uncertain for row in self.rows]),
            Column("track_ms", "track ms", tuple(row.track_ms for row in self.rows), best="lowest"),
        ]
        # A strategy without annotated frames has no value, and without any value there is no column
        return [*(column for column in truth if any(v is not None for v in column.values)), *rest]

    @property
    def agreements(self) -> list[Column]:
        """One column per strategy: the agreement of the others' masks with its own."""
        return [
            self._percents(f"agreement_{other.name}", f"IoU with {other.name}", [row.agreement[n] for row in self.rows])
            for n, other in enumerate(self.rows)
        ]

    def csv(self) -> str:
        """compare.csv: percent and milliseconds with two decimals, empty where there is no value."""
        # Texts by column, then written by row; what is shared stands in every row, so that each is complete
        columns = [*self.columns, *self.agreements]
        cells = [column.cells(decimals=2, empty="") for column in columns]
        shared = f"{self.encode_ms:.2f}"
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["strategy", "options", *(column.key for column in columns), "encode_ms"])
        for row, *numbers in zip(self.rows, *cells, strict=True):
            writer.writerow([row.name, row.spec, *numbers, shared])
        return text.getvalue()

    def text(self) -> str:
        """The table for the terminal, in aligned columns."""
        columns = [*self.columns, *self.agreements]
        headings = ["strategy", *(column.heading for column in columns)]
        cells = [[row.name for row in self.rows], *(column.cells() for column in columns)]

        # Each column is as wide as its longest cell
        widths = [max(map(len, [heading, *column])) for heading, column in zip(headings, cells, strict=True)]
        lines = [_aligned(line, widths) for line in (headings, *zip(*cells, strict=True))]
        note = f"percent; encode {self.encode_ms:.1f} ms a frame, once for all"
        return "\n".join([*lines, note, ""])

    @staticmethod
    def _percents(key: str, heading: str, shares: Sequence[float | None], *, best: Best | None = None) -> Column:
        return Column(key, heading, tuple(None if s is None else _PERCENT * s for s in shares), best=best)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line: the name left-aligned, numbers right-aligned."""
    name, *numbers = (
        f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}"
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([name, *numbers])
