"""The reader of video files through decord, which gives the same frames and errors as the PyAV reader."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from persamhq_video.errors import ConfigError, InputError
from persamhq_video.io.readers.container import reason
from persamhq_video.io.readers.pyav_reader import PyAVSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from persamhq_video.protocols.frame_source import FrameWindow
    from persamhq_video.types import Frame, SourceInfo

# The share of all frames that decord may replace by copies of other ones, so small that the first one is an error.
_FAULT_TOLERANCE = 1e-9


class DecordSource:
    """A video file, decoded by decord one frame at a time, each of them compared with PyAV's.

    decord conceals damage, finds other pictures than FFmpeg in some transport streams and does not know every display
    matrix. Its first picture that differs, or that it cannot give, is therefore PyAV's, as are all after it: frames,
    times and errors are the same with both readers. The price is that every frame is decoded twice.
    """

    def __init__(self, path: Path, window: FrameWindow) -> None:
        self._path, self._window = path, window
        self._reference = PyAVSource(path, window)
        self.info: SourceInfo = self._reference.info
        # Opened once here and thrown away: a file that decord cannot read is an error before the first frame
        self._open()

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return self._reference.num_selected

    def frames(self) -> Iterator[Frame]:
        """See FrameSource."""
        reader: Any = self._open()
        position = 0
        for frame in self._reference.frames():
            # Frames left out are decoded all the same: decord's seeking is not exact on every file.
            wanted, image = self._window.start + frame.index * self._window.stride, None
            while reader is not None and position <= wanted:
                image = self._next(reader)
                reader = None if image is None else reader
                position += 1

            # The first difference ends decord's part
            if image is None or not np.array_equal(image, frame.image):
                reader = None
                yield frame
            else:
                yield replace(frame, image=image)

    def _open(self) -> Any:
        decord = _decord()
        try:
            return decord.VideoReader(str(self._path.absolute()), num_threads=1, fault_tol=_FAULT_TOLERANCE)
        except (decord.DECORDError, RuntimeError, AssertionError, UnicodeEncodeError) as exc:
            raise InputError(f"{self._path}: decord cannot read it; use --reader pyav") from exc

    def _next(self, reader: Any) -> NDArray[np.uint8] | None:
        """The next frame, None where decord cannot continue."""
        try:
            return packed_rgb(reader.next().asnumpy(), width=self.info.width, height=self.info.height)
        except (StopIteration, ValueError, _decord().DECORDError, _decord().DECORDLimitReachedError):
            return None


def _decord() -> Any:
    """The module, imported only where this reader is chosen: it is not to be had on every machine."""
    try:
        import decord
    except (ImportError, OSError) as exc:
        raise ConfigError(f"decord cannot be loaded ({reason(exc)}); install decord2 or use --reader pyav") from exc
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def packed_rgb(image: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB from what decord hands out.

    decord computes the number of channels as the line size divided by the width. Where the padding of a line happens
    to make a multiple of the width it returns (H, W, 4) or more; each line still starts with the W pixels.
    """
    lines = image.reshape(image.shape[0], -1)
    if lines.shape[0] != height or lines.shape[1] < width * 3:
        raise ValueError(f"got a picture of shape {image.shape}, expected {height}x{width}x3")
    return np.ascontiguousarray(lines[:, : width * 3]).reshape(height, width, 3)
