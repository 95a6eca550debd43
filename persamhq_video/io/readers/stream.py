"""What is live: a camera or the URL of a stream, through PyAV, read once as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import av
from av.video.stream import VideoStream

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io.readers.container import (
    DEFAULT_RATE,
    frame_step,
    promised_frames,
    quarter_turns,
    reason,
    time_base_of,
)
from persamhq_video.io.readers.orientation import UprightConverter
from persamhq_video.io.readers.stream_url import ffmpeg_input, redact_password
from persamhq_video.types import Frame, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.frame import VideoFrame

    from persamhq_video.protocols.frame_source import FrameWindow

_TIMEOUT_SECONDS: Final = 10.0
"""How long an answer, and then each piece of data, is waited for."""


class StreamSource:
    """Frames of a camera or URL, counted from the first sound picture that comes.

    It is opened once, here, because its first picture is gone when it is opened again; so `frames` may be called once
    only. Pictures that are damaged are left out, as there is no better copy of them, and times count from the first
    picture. A stream that breaks off is a DecodeError, one that ends has ended.
    """

    def __init__(self, text: str, window: FrameWindow) -> None:
        self._text, self._window, self._is_read = redact_password(text), window, False
        self._container = _open(text)
        try:
            self._stream = _video_stream(self._text, self._container)
            self._pictures = _sound_pictures(self._container, self._stream)
            self._first = self._first_picture()
        except BaseException:
            self._container.close()
            raise
        turned = quarter_turns(self._first) % 2 == 1
        size = (self._first.width, self._first.height)
        self.info = SourceInfo(
            path=self._text,
            kind="stream",
            width=size[turned],
            height=size[not turned],
            time_base=time_base_of(self._stream),
            frame_rate=self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE,
            num_frames=None,
            rotation=quarter_turns(self._first) * 90,
            is_live=True,
        )

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return None if self._window.end is None else self._window.count(self._window.end)

    def frames(self) -> Iterator[Frame]:
        """See FrameSource; a second call is a DecodeError."""
        if self._is_read:
            raise DecodeError(f"{self._text}: is live and was read already; it cannot be decoded again", frame=0)
        self._is_read = True
        return self._frames()

    def close(self) -> None:
        """Let go of the camera or the connection; harmless when done already."""
        self._container.close()

    def _frames(self) -> Iterator[Frame]:
        upright = UprightConverter(self._stream, self._first)
        index = position = 0
        try:
            for picture, pts in self._timed():
                if self._window.wants(position):
                    self._refuse_change(upright, picture, index=index, position=position)
                    image = upright(picture)
                    yield Frame(index=index, pts=pts, time_base=self.info.time_base, image=image, name=f"{index:05d}")
                    index += 1
                position += 1
                if self._window.is_past(position):
                    return
        except av.FFmpegError as exc:
            raise DecodeError(f"{self._text}: breaks off after {position} frames: {_told(exc)}", frame=index) from exc
        finally:
            self.close()
        self._check_end(index=index, position=position)

    def _timed(self) -> Iterator[tuple[VideoFrame, int]]:
        """Each picture with its time since the first one; one without a time follows by a frame of the average rate."""
        step = frame_step(self._stream)
        start, last = self._first.pts or 0, 0
        yield self._first, 0
        for picture in self._pictures:
            last = last + step if picture.pts is None else picture.pts - start
            yield picture, last

    def _first_picture(self) -> VideoFrame:
        try:
            picture = next(self._pictures, None)
        except av.FFmpegError as exc:
            raise InputError(f"{self._text}: no picture comes ({_told(exc)}); see whether it plays elsewhere") from exc
        if picture is None:
            raise InputError(f"{self._text}: ends before the first picture; see whether it plays elsewhere")
        return picture

    def _refuse_change(self, upright: UprightConverter, picture: VideoFrame, *, index: int, position: int) -> None:
        if not upright.fits(picture):
            got, expected = f"{picture.width}x{picture.height}", f"{upright.size[0]}x{upright.size[1]}"
            raise DecodeError(
                f"{self._text}: frame {position} is {got} {picture.format.name}, those before were {expected}"
                f" {upright.format}; keep the picture's size while it is recorded",
                frame=index,
            )

    def _check_end(self, *, index: int, position: int) -> None:
        """A file behind a URL may say how many frames it has; then it has not ended before."""
        promised = promised_frames(self._stream)
        if promised is not None and position < promised:
            raise DecodeError(f"{self._text}: ends after {position} of {promised} frames", frame=index)
        if index == 0:
            raise DecodeError(f"{self._text}: ends before frame {self._window.start}; use a lower --start", frame=0)


def _open(text: str) -> InputContainer:
    wanted = ffmpeg_input(text)
    try:
        return av.open(
            wanted.file,
            format=wanted.format,
            options=dict(wanted.options),
            timeout=(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS),
        )
    except (av.FFmpegError, OSError, ValueError) as exc:
        name = redact_password(text)
        raise InputError(f"{name}: cannot be opened ({_told(exc)}); see whether it plays elsewhere") from exc


def _video_stream(text: str, container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise InputError(f"{text}: no video in it; give a camera or a stream that has one")
    return stream


def _sound_pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Pictures as they come; what cannot be decoded, as before the first key frame, is left out."""
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from (picture for picture in pictures if not picture.is_corrupt)


def _told(exc: BaseException) -> str:
    if isinstance(exc, av.error.ExitError):
        return f"nothing comes for {_TIMEOUT_SECONDS:.0f} s"
    return reason(exc)
