"""Detection of soft masks: grey edges and compression noise that would be read as dozens of objects.

A mask file's distinct values are objects. Readers ask here before they believe it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

__all__ = ["looks_soft", "ragged_values"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# So many values with hardly a solid pixel are compression noise, wherever they lie.
_MANY_RAGGED = 8
_SHARE_SOLID = 0.1
_SHARE_BETWEEN = 0.8
# Half of the steps from pixel to pixel go this far through a gradient's values at most; objects border on any other.
_GRADIENT_STEP = 0.125
# So many pixels without an equal one beside them are noise: of 255 values at random one in 32 has an equal neighbour.
_SHARE_ALONE = 0.5


def looks_soft(ranks: NDArray[np.intp], distinct: list[int], *, has_background: bool) -> bool:
    """Whether most values of a mask are the grey edge of something rather than objects.

    ``ranks`` (H, W) numbers the values in rising order from 0, background included if it is there; ``distinct`` are
    the non-zero values. A value is ragged if hardly a pixel of it is surrounded by its own kind, as on an anti-aliased
    rim or in JPEG noise. Few ragged values count only if their pixels lie between a lower and a higher neighbour, which
    the pixels of a tiny object do not. Ids numbered 1, 2, ... n without a gap are taken at their word, unless the
    values are those of a gradient (a blurred mask has all of 1 to 255) or of noise (a damaged file has them too).
    """
    # One value is one object, however ragged
    if len(distinct) < 2:
        return False

    # Most values have to be ragged, the background aside
    ragged = ragged_values(ranks, len(distinct) + has_background)
    if has_background:
        ragged[0] = False
    if ragged.sum() * 2 < len(distinct):
        return False

    # Many, or few between their neighbours; ids without a gap only as a gradient
    is_many = bool(ragged.sum() >= _MANY_RAGGED)
    if distinct == list(range(1, len(distinct) + 1)):
        is_gradient = _median_step(ranks) <= _GRADIENT_STEP * len(distinct)
        return is_many and (is_gradient or _share_alone(ranks, ragged) >= _SHARE_ALONE)
    return is_many or _share_between(ranks, ragged[ranks]) >= _SHARE_BETWEEN


def _neighbours(ranks: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """The eight shifted copies of (H, W) ranks; the border repeats."""
    # A frame of one repeated pixel keeps shapes equal and makes no new values
    height, width = ranks.shape
    padded = np.pad(ranks, 1, mode="edge")
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                yield padded[dy : dy + height, dx : dx + width]


def ragged_values(ranks: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """(count,) bool: which values have hardly a pixel whose eight neighbours are all of the same value."""
    # A solid pixel has eight neighbours of its own value; cores counts them per value, sizes all pixels
    solid = np.ones(ranks.shape, dtype=np.bool_)
    for shifted in _neighbours(ranks):
        solid &= shifted == ranks
    sizes, cores = np.bincount(ranks.ravel(), minlength=count), np.bincount(ranks[solid], minlength=count)
    ragged: NDArray[np.bool_] = cores < _SHARE_SOLID * sizes
    return ragged


def _median_step(ranks: NDArray[np.intp]) -> float:
    """How many values apart two pixels side by side are, where they differ; the median."""
    # Down and to the right; pairs of equal pixels say nothing about steps
    steps = np.concatenate([np.abs(np.diff(ranks, axis=axis)).ravel() for axis in (0, 1)])
    return float(np.median(steps[steps > 0]))


def _share_between(ranks: NDArray[np.intp], chosen: NDArray[np.bool_]) -> float:
    """Share of the chosen pixels that have both a lower and a higher value beside them."""
    # On a ramp between two areas a pixel has both, at a border of two objects only one
    lower, higher = np.zeros_like(chosen), np.zeros_like(chosen)
    for shifted in _neighbours(ranks):
        lower |= shifted < ranks
        higher |= shifted > ranks
    total = int(chosen.sum())
    return float((chosen & lower & higher).sum() / total) if total else 0.0


def _share_alone(ranks: NDArray[np.intp], values: NDArray[np.bool_]) -> float:
    """Share of the pixels of these values that have no equal one beside them; a value of one pixel is a dot."""
    chosen = (values & (np.bincount(ranks.ravel(), minlength=len(values)) > 1))[ranks]
    alone = chosen.copy()
    for shifted in _neighbours(np.where(chosen, ranks, -1)):
        alone &= shifted != ranks
    total = int(chosen.sum())
    return float(alone.sum() / total) if total else 0.0
