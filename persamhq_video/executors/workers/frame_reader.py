"""Frames that a worker decodes itself, where it can reach the files: only their numbers have to travel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from persamhq_video.errors import ExecutorError, PersamHQVideoError
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import Frame

__all__ = ["FrameNumber", "Readers"]


@dataclass(frozen=True, slots=True)
class FrameNumber:
    """A frame by its index in output order; `checksum` of its pixels tells whether another machine has the same."""

    source: FrameSource
    index: int
    checksum: int

    @classmethod
    def of(cls, source: FrameSource, frame: Frame) -> FrameNumber:
        """The number of a frame that was decoded here."""
        return cls(source, frame.index, zlib.crc32(frame.image.data))


@dataclass(slots=True)
class _Position:
    frames: Iterator[Frame]
    next_index: int = 0


class Readers:
    """One reader a video. Frames are mostly asked for in order, so what lies between is decoded and dropped."""

    def __init__(self) -> None:
        self._positions: dict[int, _Position] = {}

    def read(self, video: int, number: FrameNumber) -> Frame:
        """The frame; an ExecutorError where it cannot be read here, or is another one here."""
        try:
            frame = self._read(video, number)
        except PersamHQVideoError as exc:
            message = f"frame {number.index}: a worker cannot read it ({exc}); use --decode driver"
            raise ExecutorError(message) from exc
        if frame is None or zlib.crc32(frame.image.data) != number.checksum:
            raise ExecutorError(
                f"frame {number.index}: the file on a worker's machine, or how it is decoded there, is not"
                " the driver's; use --decode driver"
            )
        return frame

    def close(self, video: int) -> None:
        """Forget a video."""
        self._positions.pop(video, None)

    def _read(self, video: int, number: FrameNumber) -> Frame | None:
        position = self._positions.get(video)
        if position is None or position.next_index > number.index:
            position = self._positions[video] = _Position(iter(number.source.frames()))
        for frame in position.frames:
            position.next_index = frame.index + 1
            if frame.index == number.index:
                return frame
        return None
