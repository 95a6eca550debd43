"""The reader of video files through PyAV, the reference for what every other reader must give."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import av

from persamhq_video.errors import DecodeError
from persamhq_video.io.readers.container import (
    count_packets,
    is_shown,
    missing_end,
    open_video,
    probe,
    reason,
)
from persamhq_video.io.readers.orientation import PictureSizeError, UprightConverter
from persamhq_video.io.readers.times import PictureTimes, without_false_alarms
from persamhq_video.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from persamhq_video.protocols.frame_source import FrameWindow
    from persamhq_video.types import SourceInfo


class BrokenStreamError(Exception):
    """The stream cannot be followed beyond ``time``; internal, the reader says which frame that is."""

    def __init__(self, message: str, *, time: int | None = None) -> None:
        super().__init__(message)
        self.time = time


class PyAVSource:
    """A video file, decoded frame by frame in one thread.

    What the decoder could only conceal is an error as well; it is known when the damaged picture itself is shown, by
    when B-frames that lean on it may have been delivered.
    """

    def __init__(self, path: Path, window: FrameWindow) -> None:
        self._path, self._window = path, window
        self.info: SourceInfo = probe(path)
        if window.start > 0:
            # The header may promise more frames than there are, so the packets are counted.
            window.check_start(path, count_packets(path))

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return None if self.info.num_frames is None else self._window.count(self.info.num_frames)

    def frames(self) -> Iterator[Frame]:
        """See FrameSource."""
        # `position` counts source frames, `index` those that the window delivers.
        index = position = 0
        try:
            with open_video(self._path) as (container, stream):
                converter: UprightConverter | None = None
                for picture, pts in _timed(self._path, container, stream, self.info):
                    if self._window.wants(position):
                        converter = converter or UprightConverter(stream, picture)
                        yield self._frame(converter(picture), index=index, pts=pts)
                        index += 1
                    position += 1
                    # Before the next picture is decoded, so that damage beyond the end does no harm
                    if self._window.is_past(position):
                        return
        except (BrokenStreamError, PictureSizeError, av.FFmpegError) as exc:
            raise DecodeError(_message(self.info, position, reason(exc)), frame=index) from exc

        # A packet may give no picture of its own, so that there are fewer than there seemed to be
        if index == 0:
            raise DecodeError(f"{self._path}: ends before frame {self._window.start}; use a lower --start", frame=0)

    def _frame(self, image: NDArray[np.uint8], *, index: int, pts: int) -> Frame:
        return Frame(index=index, pts=pts, time_base=self.info.time_base, image=image, name=f"{index:05d}")


def _timed(
    path: Path, container: InputContainer, stream: VideoStream, info: SourceInfo
) -> Iterator[tuple[VideoFrame, int]]:
    """Intact pictures in presentation order, each with its time; BrokenStreamError once one is damaged or missing."""
    # `gap` is the longest distance between two frames so far
    times = PictureTimes(container, stream)
    last, gap = None, 0
    for picture in _pictures(container, stream, info):
        time = times(picture)
        gap = gap if last is None else max(gap, time - last)
        last = time
        yield picture, time

    # The end is known only now: it may be earlier than the container promises.
    if last is not None and (why := missing_end(path, container, stream, last=last, gap=gap)):
        raise BrokenStreamError(why)


def _pictures(container: InputContainer, stream: VideoStream, info: SourceInfo) -> Iterator[VideoFrame]:
    """Intact pictures in presentation order; BrokenStreamError once the next one is damaged or missing."""
    # Packets are counted, not pictures: the promise of a container is about packets
    packets = 0
    try:
        for packet in without_false_alarms(container.demux(stream), container, stream):
            packets += is_shown(packet)
            yield from _decode(packet, stream)
    except av.FFmpegError as exc:
        raise BrokenStreamError(f"reading stops: {reason(exc)}") from exc
    if info.num_frames is not None and packets < info.num_frames:
        raise BrokenStreamError(f"the file ends after {packets} of the {info.num_frames} frames its container promises")


def _decode(packet: Packet[VideoStream], stream: VideoStream) -> Iterator[VideoFrame]:
    """The pictures that a packet completes; before an error those that are shown earlier than the broken one."""
    try:
        yield from _intact(packet)
    except (av.FFmpegError, BrokenStreamError) as exc:
        time = exc.time if isinstance(exc, BrokenStreamError) else packet.pts
        yield from _flushed(stream, before=time)
        raise BrokenStreamError(reason(exc)) from exc


def _intact(packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
    """The pictures that a packet completes; BrokenStreamError at the first that FFmpeg marks as damaged."""
    if packet.is_corrupt:
        raise BrokenStreamError("its packet is cut short or damaged", time=packet.pts)
    for picture in packet.decode():
        if picture.is_corrupt:
            raise BrokenStreamError("its data is damaged and the decoder could only conceal it", time=picture.pts)
        yield picture


def _flushed(stream: VideoStream, *, before: int | None) -> Iterator[VideoFrame]:
    """Pictures that the decoder held back for reordering, if they are intact and shown before the broken one."""
    with contextlib.suppress(av.FFmpegError):
        for picture in stream.decode(None):
            time: int | None = picture.pts
            if picture.is_corrupt or time is None or before is None or time >= before:
                return
            yield picture


def _message(info: SourceInfo, position: int, why: str) -> str:
    """The error of a video that breaks off at a source frame, with what to do."""
    last = "" if info.num_frames is None or info.num_frames <= position else f" to {info.num_frames - 1}"
    return f"{info.path}: frame {position}{last} missing or broken: {why}; repair the file or use --end {position}"
