"""The reader of video files through PyAV, the reference for what every other reader must give."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import av

from persamhq_video.errors import DecodeError
from persamhq_video.io.readers.container import (
    frame_step,
    is_shown,
    missing_seconds,
    open_video,
    probe,
    reason,
    shown_times,
)
from persamhq_video.io.readers.orientation import UprightConverter
from persamhq_video.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

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
            window.check_start(path, len(shown_times(path)))

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
                for picture, pts in _timed(_pictures(container, stream, self.info), stream):
                    if self._window.wants(position):
                        converter = converter or UprightConverter(stream, picture)
                        yield self._frame(converter, picture, index=index, pts=pts)
                        index += 1
                    position += 1
                    # Before the next picture is decoded, so that damage beyond the end does no harm
                    if self._window.is_past(position):
                        return
        except (BrokenStreamError, av.FFmpegError) as exc:
            raise DecodeError(_message(self.info, position, reason(exc)), frame=index) from exc

    def _frame(self, converter: UprightConverter, picture: VideoFrame, *, index: int, pts: int) -> Frame:
        if not converter.fits(picture):
            got = f"{picture.width}x{picture.height} {picture.format.name}"
            expected = f"{converter.size[0]}x{converter.size[1]} {converter.format}"
            raise BrokenStreamError(f"the picture changes from {expected} to {got} in mid-stream")
        image = converter(picture)
        return Frame(index=index, pts=pts, time_base=self.info.time_base, image=image, name=f"{index:05d}")


def _pictures(container: InputContainer, stream: VideoStream, info: SourceInfo) -> Iterator[VideoFrame]:
    """Intact pictures in presentation order; BrokenStreamError once the next one is damaged or missing."""
    # Packets are counted, not pictures: the promise of a container is about packets
    packets = 0
    try:
        for packet in container.demux(stream):
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


def _timed(pictures: Iterator[VideoFrame], stream: VideoStream) -> Iterator[tuple[VideoFrame, int]]:
    """Each picture with its time stamp; one without a time follows its predecessor by a frame of the average rate."""
    # `gap` is the longest distance between two frames so far
    step, gap = frame_step(stream), 0
    last: int | None = None
    for picture in pictures:
        given: int | None = picture.pts
        time = given if given is not None else (0 if last is None else last + step)
        gap = gap if last is None else max(gap, time - last)
        last = time
        yield picture, time

    # The end is known only now: it may be earlier than the container promises.
    if last is not None and (missing := missing_seconds(stream, last=last, gap=gap)):
        raise BrokenStreamError(f"the file ends {float(missing):.2f} s before its container says")


def _message(info: SourceInfo, position: int, why: str) -> str:
    """The error of a video that breaks off at a source frame, with what to do."""
    last = "" if info.num_frames is None or info.num_frames <= position else f" to {info.num_frames - 1}"
    return f"{info.path}: frame {position}{last} missing or broken: {why}; repair the file or use --end {position}"
