"""Frames that a worker decodes itself (`--decode workers`), where it can reach the files: only references travel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from persamhq_video.errors import ExecutorError, PersamHQVideoError
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import Frame

__all__ = ["FrameReaders", "FrameReference"]


@dataclass(frozen=True, slots=True)
class FrameReference:
    """A frame by its source and its index in output order.

    checksum: CRC-32 of the driver's pixels. Another file under the same path, or a decoder of another version, would
    give other masks without anybody noticing.
    """

    source: FrameSource
    index: int
    checksum: int

    @classmethod
    def of(cls, source: FrameSource, frame: Frame) -> FrameReference:
        """The reference to a frame that was decoded here."""
        return cls(source, frame.index, zlib.crc32(frame.image.data))


@dataclass(slots=True)
class _Position:
    """How far a video was read."""

    frames: Iterator[Frame]
    next_index: int = 0


class FrameReaders:
    """One reader per video. Frames are mostly asked for in order, so what lies between is decoded and dropped."""

    def __init__(self) -> None:
        self._positions: dict[int, _Position] = {}

    def read(self, video: int, reference: FrameReference) -> Frame:
        """Read the frame; an ExecutorError where it cannot be read here, or is another one here."""
        try:
            frame = self._read(video, reference)
        except PersamHQVideoError as exc:
            message = f"frame {reference.index}: a worker cannot read it ({exc}); use --decode driver"
            raise ExecutorError(message) from exc
        if frame is None or zlib.crc32(frame.image.data) != reference.checksum:
            raise ExecutorError(
                f"frame {reference.index}: the file on a worker's machine, or how it is decoded there, is not"
                " the driver's; use --decode driver"
            )
        return frame

    def close(self, video: int) -> None:
        """Forget a video."""
        self._positions.pop(video, None)

    def _read(self, video: int, reference: FrameReference) -> Frame | None:
        # A frame that was passed already (it is made again after a loss) means reading from the beginning.
        position = self._positions.get(video)
        if position is None or position.next_index > reference.index:
            position = self._positions[video] = _Position(iter(reference.source.frames()))
        for frame in position.frames:
            position.next_index = frame.index + 1
            if frame.index == reference.index:
                return frame
        return None
