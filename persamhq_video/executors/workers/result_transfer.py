"""Results packed for their way from a Ray worker to the driver: label maps travel as runs of equal labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import FrameResult

__all__ = ["PackedResult"]

_BYTES_PER_RUN: Final = 5
"""A label of 1 byte and a length of 4."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedResult:
    """A result without its label map, and that map, (H, W) uint8, as the labels and lengths of its runs, row by row.

    Lossless, and a hundredth of the bytes for masks of objects, so that a result travels with its answer instead of
    through Ray's object store. Noise, of which the runs would be larger, stays as it is, with `runs` None.
    """

    result: FrameResult
    shape: tuple[int, int]
    runs: tuple[NDArray[np.uint8], NDArray[np.uint32]] | None

    @classmethod
    def of(cls, result: FrameResult) -> PackedResult:
        """Pack a result."""
        # A run starts at the first pixel and wherever the label changes; a map without pixels has no run.
        height, width = result.labels.shape
        flat = result.labels.reshape(-1)
        starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))[: flat.size]
        if len(starts) * _BYTES_PER_RUN > flat.size:
            return cls(result, (height, width), None)

        # The result itself goes without its map.
        lengths = np.diff(starts, append=flat.size).astype(np.uint32)
        return cls(replace(result, labels=np.empty((0, 0), np.uint8)), (height, width), (flat[starts], lengths))

    def unpack(self) -> FrameResult:
        """The result as it was."""
        if self.runs is None:
            return self.result
        labels, lengths = self.runs
        return replace(self.result, labels=np.repeat(labels, lengths).reshape(self.shape))
