"""One video stream into one file: the part that all video writers share."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
from av.codec.context import Flags

from persamhq_video.errors import OutputError
from persamhq_video.io.container import reason
from persamhq_video.io.files import commit, discard, part_path

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from persamhq_video.types import SourceInfo

BT709 = 1  # matrix, primaries and transfer alike
LIMITED_RANGE = 1
FULL_RANGE = 2

# The bytes of H.264 depend on the number of threads, so it is a constant and not the machine's.
ENCODER_THREADS = 2
_MAX_TIMESCALE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class VideoCodec:
    """How a stream is coded: container, encoder, pixel format, the encoder's options and the colour tags."""

    container: str
    encoder: str
    pixel_format: str
    color_range: int
    options: dict[str, str] = field(default_factory=dict)
    threads: int = ENCODER_THREADS
    even: bool = False
    """Whether the pixel format halves the chroma, so that width and height must be even."""


class VideoEncoder:
    """Encodes pictures as they come into ``part_path(path)`` and names the file when closed.

    Times are kept in the source's time base, variable frame rate included. They must rise: a picture whose time is not
    later than the one before is written one tick after it, so that no frame is lost to a faulty source. A source that
    starts before zero is moved to start at zero, because players do not show what lies before.
    """

    def __init__(self, path: Path, codec: VideoCodec, *, info: SourceInfo) -> None:
        self.path, self._codec = path, codec
        self._time_base = info.time_base
        self._last: int | None = None
        self._shift = 0
        width, height = (even(info.width), even(info.height)) if codec.even else (info.width, info.height)
        self.size = (height, width)
        _create(path)
        # Bit-exact: no version, no date and no random ids in the file.
        self._container: OutputContainer = av.open(
            str(part_path(path).absolute()), "w", format=codec.container, options=_muxer_options(codec, info)
        )
        self._open = True
        try:
            self._stream = self._add_stream(info.frame_rate)
        except BaseException:
            self.abort()
            raise

    def write(self, picture: VideoFrame, *, pts: int, time_base: Fraction) -> None:
        """Encode one picture of ``self.size`` in the codec's pixel format."""
        if not self._open:
            raise ValueError(f"{self.path}: written to after it was closed")
        time = round(pts * time_base / self._time_base)
        if self._last is None:
            self._shift = max(0, -time)
        time += self._shift
        if self._last is not None and time <= self._last:
            time = self._last + 1
        self._last = time
        picture.pts, picture.time_base = time, self._time_base
        self._mux(picture)

    def close(self) -> None:
        """Finish the file and give it its name; closing twice is harmless."""
        if not self._open:
            return
        if self._last is None:
            self.abort()
            raise OutputError(f"{self.path}: closed without a single frame, expected at least one; nothing was written")
        self._mux(None)
        self._open = False
        try:
            self._container.close()
            commit(self.path)
        except (av.FFmpegError, OSError) as exc:
            discard(self.path)
            raise _unwritable(self.path, exc) from exc

    def abort(self) -> None:
        """Leave nothing behind; harmless when closed already."""
        if self._open:
            self._open = False
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):  # an unfinished file is thrown away
                self._container.close()
            discard(self.path)

    def _add_stream(self, rate: Fraction) -> VideoStream:
        codec = self._codec
        stream = cast("VideoStream", self._container.add_stream(codec.encoder, rate=rate, options=dict(codec.options)))
        context: Any = stream.codec_context
        context.height, context.width = self.size
        context.pix_fmt, context.thread_count = codec.pixel_format, codec.threads
        context.color_range, context.colorspace = codec.color_range, BT709
        context.color_primaries, context.color_trc = BT709, BT709
        stream.time_base = context.time_base = self._time_base
        context.flags |= Flags.bitexact
        return stream

    def _mux(self, picture: VideoFrame | None) -> None:
        try:
            packets: list[Packet[Any]] = list(self._stream.encode(picture))
            self._container.mux(packets)
        except (av.FFmpegError, OSError) as exc:
            self.abort()
            raise _unwritable(self.path, exc) from exc


def _create(path: Path) -> None:
    # Here and not at the first packet, which an encoder may hold back for many frames.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part_path(path).touch()
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _unwritable(path: Path, exc: BaseException) -> OutputError:
    return OutputError(f"{path}: cannot be written ({reason(exc)}); check the folder and the space on the disk")


def _muxer_options(codec: VideoCodec, info: SourceInfo) -> dict[str, str]:
    options = {"fflags": "+bitexact"}
    if codec.container in {"mp4", "mov"} and info.time_base.denominator <= _MAX_TIMESCALE:
        # The offset of the first frame is kept in this unit; the default of 1 ms would round it.
        options["movie_timescale"] = str(info.time_base.denominator)
    return options


def even(length: int) -> int:
    """The length itself or the next even one."""
    return length + length % 2
