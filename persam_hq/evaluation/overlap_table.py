"""A table of overlaps: a line a clip or object, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from persam_hq.evaluation.errors import EvaluationError


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
