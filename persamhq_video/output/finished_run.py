"""A complete run in a folder, as its run.json describes it: which of its files are as the run left them.

`RunDirectory` asks it whether anything is left to do, and `ResultWriter` takes the frames from it of which a file that
is missing can be made.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from persam_hq.io.atomic import open_unlinked, read_limited
from persamhq_video.io.writers.scores import COLUMNS
from persamhq_video.output.record_file import files_in

__all__ = ["LARGEST_MASK", "FinishedRun", "sum_of"]

_CHUNK: Final = 1 << 20
"""Bytes read at once."""
LARGEST_MASK: Final = 1 << 30
"""Bytes of a label map: that of a picture of 30000 x 30000 pixels, not compressed at all."""
_LABELS: Final = "masks/"
_SCORES: Final = "scores.csv"


class FinishedRun:
    """The files of a complete run; `damaged` are those that are missing, or have another content than they had."""

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        self._folder = folder
        self.files = files_in(record)
        sums = record.get("sums")
        self._sums: Mapping[str, Any] = sums if isinstance(sums, Mapping) else {}
        self.damaged = tuple(name for name in self.files if not self._is_as_left(name))

        # Label maps are of use only where they are those of all frames
        labels = [name for name in self.files if name.startswith(_LABELS)]
        frames = record.get("frames")
        count = frames.get("committed") if isinstance(frames, Mapping) else None
        is_whole = bool(labels) and len(labels) == count and not any(name in labels for name in self.damaged)
        self.num_frames = len(labels) if is_whole else 0
        """Frames whose label maps are all there; 0 where one is not."""

    @property
    def has_scores(self) -> bool:
        """Whether the scores of all frames can be read back."""
        return _SCORES in self.files and _SCORES not in self.damaged

    def label_image(self, name: str) -> bytes:
        """The label map of the frame of that name, as the file has it."""
        return read_limited(self._folder / f"{_LABELS}{name}.png", limit=LARGEST_MASK)

    def rows(self) -> Iterator[str]:
        """The rows of scores.csv as the journal has them, those of a frame at a time; without that file none."""
        if not self.has_scores:
            return
        with os.fdopen(open_unlinked(self._folder / _SCORES, os.O_RDONLY), encoding="utf-8", newline="") as file:
            next(file, None)  # the header
            for _, rows in groupby(file, key=lambda row: row.partition(",")[0]):
                # No value has a comma; the columns behind those of the journal are the file's own
                yield "".join(",".join(row.rstrip("\n").split(",")[: len(COLUMNS)]) + "\n" for row in rows)

    def _is_as_left(self, name: str) -> bool:
        """Whether a file is there, with the size and sum of the record; earlier versions recorded none."""
        path = self._folder / name
        expected = self._sums.get(name)
        try:
            if expected is None:
                os.close(open_unlinked(path, os.O_RDONLY))
                return True
            is_long_enough = isinstance(expected, list) and path.lstat().st_size == expected[0]
            return is_long_enough and sum_of(path) == expected
        except (OSError, IndexError):
            return False


def sum_of(path: Path) -> list[int]:
    """The size and the CRC-32 of a file: they tell damage, and are quick to compute."""
    size = crc = 0
    with os.fdopen(open_unlinked(path, os.O_RDONLY), "rb") as file:
        while chunk := file.read(_CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return [size, crc]
