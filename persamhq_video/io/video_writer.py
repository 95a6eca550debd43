"""What the video writers have in common: opened with a source, written frame by frame, closed or aborted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from persamhq_video.io.encoder import VideoCodec, VideoEncoder

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path
    from types import TracebackType

    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    from persamhq_video.types import SourceInfo


class VideoWriter:
    """A file that follows a source's size and times; it has its name only once it is closed."""

    def __init__(self, path: Path, codec: VideoCodec) -> None:
        self.path, self._codec = path, codec
        self._encoder: VideoEncoder | None = None

    def open(self, info: SourceInfo) -> Self:
        """Start the file for a source of this size, time base and rate."""
        self._encoder = VideoEncoder(self.path, self._codec, info=info)
        return self

    def close(self) -> None:
        """Finish the file and give it its name; closing twice is harmless."""
        if self._encoder is not None:
            self._encoder.close()

    def abort(self) -> None:
        """Leave nothing behind; harmless when closed already."""
        if self._encoder is not None:
            self._encoder.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _padded(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image, (H, W) or (H, W, 3), brought to the file's size by repeating its last row and column."""
        height, width = self._opened().size
        down, right = height - image.shape[0], width - image.shape[1]
        if down not in {0, 1} or right not in {0, 1}:
            got = f"{image.shape[1]}x{image.shape[0]}"
            raise ValueError(f"{self.path}: got a picture of {got} for a video of {width}x{height}")
        if not down and not right:
            return image
        return np.pad(image, [(0, down), (0, right)] + [(0, 0)] * (image.ndim - 2), mode="edge")

    def _encode(self, picture: VideoFrame, *, pts: int, time_base: Fraction) -> None:
        self._opened().write(picture, pts=pts, time_base=time_base)

    def _opened(self) -> VideoEncoder:
        if self._encoder is None:
            raise ValueError(f"{self.path}: written to while not open; call open() first")
        return self._encoder
