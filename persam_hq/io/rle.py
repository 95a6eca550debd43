"""Run-length encoding of masks as COCO has it: down the columns, background first, and its compressed text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["coco_counts", "run_lengths"]

# Five bits per character with one more that says whether others follow, from the printable "0" on.
_BITS: Final = 5
_MORE, _SIGN = 1 << _BITS, 1 << (_BITS - 1)
_FIRST_CHARACTER: Final = 48


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of equal pixels of a mask (H, W), column after column; the first is of zeros, perhaps 0."""
    # The places where a pixel differs from the one before it
    pixels = mask.ravel(order="F").astype(bool)
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs: list[int] = np.diff(np.concatenate([[0], edges, [pixels.size]])).tolist()
    return [0, *runs] if pixels.size and pixels[0] else runs


def coco_counts(runs: Sequence[int]) -> str:
    """The text of COCO's `counts` from lengths of runs.

    From the fourth run on each is coded as its difference to the last but one, in groups of 5 bits, lowest first, each
    a character.
    """
    earlier = [0, 0, 0, *runs[1:]]
    return "".join(chr(code) for i, run in enumerate(runs) for code in _codes(run - earlier[i]))


def _codes(number: int) -> Iterator[int]:
    """The characters of one number, two's complement, lowest bits first."""
    while True:
        group = number & (_MORE - 1)
        number >>= _BITS
        # Done once what is left is only the sign that the highest bit of this group tells already.
        is_last = number == (-1 if group & _SIGN else 0)
        yield (group if is_last else group | _MORE) + _FIRST_CHARACTER
        if is_last:
            return
