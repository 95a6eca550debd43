"""The reader of video files through decord, which gives the same frames and errors as the PyAV reader."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from persamhq_video.errors import ConfigError, DecodeError, InputError
from persamhq_video.io.readers.container import missing_seconds, open_video, probe, reason, shown_times
from persamhq_video.io.readers.pyav_reader import PyAVSource
from persamhq_video.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from persamhq_video.protocols.frame_source import FrameWindow
    from persamhq_video.types import SourceInfo

# The share of all frames that decord may replace by copies of other ones, so small that the first one is an error.
_FAULT_TOLERANCE = 1e-9


class DecordSource:
    """A video file, decoded by decord one frame at a time.

    decord turns and converts as UprightConverter does. Its times are float32 seconds, so the exact ones come from the
    packets. Where decord gives up (on a broken file at a point that differs from run to run, in some transport streams
    at the first frame) the PyAV reader takes over, with the same frames and the same error. Damage that a decoder
    conceals is seen by the PyAV reader only.
    """

    def __init__(self, path: Path, window: FrameWindow) -> None:
        self._path, self._window = path, window
        self.info: SourceInfo = probe(path)
        self._times = shown_times(path)
        window.check_start(path, len(self._times))
        # Opened once here and thrown away: a file that decord cannot read is an error before the first frame
        self._open()

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return self._window.count(len(self._times))

    def frames(self) -> Iterator[Frame]:
        """See FrameSource."""
        reader, index = self._open(), 0
        for position, pts in enumerate(self._times):
            if self._window.is_past(position):
                return
            # Frames left out are decoded all the same: decord's seeking is not exact on every file.
            image = self._next(reader)
            if image is None:
                yield from self._rest(index=index, position=position)
                return
            if self._window.wants(position):
                yield Frame(index=index, pts=pts, time_base=self.info.time_base, image=image, name=f"{index:05d}")
                index += 1
        self._check_promise(index)

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

    def _rest(self, *, index: int, position: int) -> Iterator[Frame]:
        """The frames of the PyAV reader from output frame ``index`` on, provided that its times agree with decord's."""
        # From its start, as exact seeking is not to be had: frames before `index` are decoded again and dropped
        rest = islice(PyAVSource(self._path, self._window).frames(), index, None)
        due = [time for i, time in enumerate(self._times) if i >= position and self._window.wants(i)]
        first = next(rest, None)
        if (first.pts if first else None) != (due[0] if due else None):
            why = "decord finds fewer frames than the file announces"
            raise DecodeError(f"{self._path}: frame {position} missing: {why}; use --reader pyav", frame=index)
        if first is not None:
            yield first
            yield from rest

    def _check_promise(self, index: int) -> None:
        """Compare the frames that came with what the container says, as the PyAV reader does."""
        found, promised = len(self._times), self.info.num_frames
        why = None
        if promised is not None and found < promised:
            why = f"the file ends after {found} of the {promised} frames its container promises"
        elif missing := self._missing_seconds():
            why = f"the file ends {float(missing):.2f} s before its container says"

        # A window that ends before the damage has all its frames.
        if why is not None and (self._window.end is None or self._window.end > found):
            raise DecodeError(f"{self._path}: frame {found} missing: {why}; repair the file", frame=index)

    def _missing_seconds(self) -> float:
        gap = max((after - before for before, after in pairwise(self._times)), default=0)
        with open_video(self._path) as (_, stream):
            return float(missing_seconds(stream, last=self._times[-1], gap=gap))


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
