"""The reader of live sources through PyAV: a camera or the URL of a stream, read once as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import av
from av.video.stream import VideoStream

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io.readers.container import (
    DEFAULT_RATE,
    pixel_aspect,
    promised_frames,
    reason,
)
from persamhq_video.io.readers.http_stream import ChunkedBody
from persamhq_video.io.readers.orientation import PictureSizeError, UprightConverter, orientation_of
from persamhq_video.io.readers.stream_url import ffmpeg_input, redact_password
from persamhq_video.io.readers.times import PictureTimes, prepare_times, time_base_of
from persamhq_video.types import Frame, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.frame import VideoFrame

    from persamhq_video.protocols.frame_source import FrameWindow

_TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the connection, and then for each piece of data, before the stream counts as broken off."""


class StreamSource:
    """Frames of a camera or URL, counted from the first intact picture that comes.

    It is opened once, here, because its first picture would be lost if it were opened again; so `frames` may be called
    once only. Damaged pictures are left out, as there is no better copy of them, and times count from the first
    picture. A stream that breaks off is a DecodeError; one that ends regularly ends the frames.
    """

    def __init__(self, text: str, window: FrameWindow) -> None:
        # Messages and records show the text without its password
        self._text, self._window, self._is_read = redact_password(text), window, False
        self._body = _chunked_body(text)
        self._container = _open(text, self._body)
        try:
            self._stream = _video_stream(self._text, self._container)
            self._times = PictureTimes(self._container, self._stream)
            self._pictures = _intact_pictures(self._container, self._stream)
            self._first = self._first_picture()
        except BaseException:
            self.close()
            raise
        # Asked now: nothing is known of a stream that is closed
        self._promised = promised_frames(self._stream)

        orientation = orientation_of(self._first)
        width, height = orientation.upright(self._first.width, self._first.height)
        self.info = SourceInfo(
            path=self._text,
            kind="stream",
            width=width,
            height=height,
            time_base=time_base_of(self._stream),
            frame_rate=self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE,
            num_frames=None,  # a live source promises none
            rotation=orientation.turns * 90,
            is_live=True,
            is_mirrored=orientation.is_mirrored,
            pixel_aspect=pixel_aspect(self._stream, orientation),
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
        """Release the camera or the connection; closing twice is harmless."""
        self._container.close()
        if self._body is not None:
            self._body.close()

    def _frames(self) -> Iterator[Frame]:
        # `position` counts pictures of the stream, `index` those that the window delivers.
        converter = UprightConverter(self._stream, self._first)
        index = position = 0
        try:
            for picture, pts in self._timed():
                if self._window.wants(position):
                    image = converter(picture)
                    yield Frame(index=index, pts=pts, time_base=self.info.time_base, image=image, name=f"{index:05d}")
                    index += 1
                position += 1
                if self._window.is_past(position):
                    return
            self._check_connection()
        except PictureSizeError as exc:
            why = f"frame {position}: {exc}; keep the picture's size while it is recorded"
            raise DecodeError(f"{self._text}: {why}", frame=index) from exc
        except (av.FFmpegError, OSError) as exc:
            raise DecodeError(f"{self._text}: breaks off after {position} frames: {_reason(exc)}", frame=index) from exc
        finally:
            self.close()

        # Without an error: the stream has ended by itself
        self._check_end(index=index, position=position)

    def _timed(self) -> Iterator[tuple[VideoFrame, int]]:
        """Each picture with its time since the first one; see PictureTimes."""
        # The first picture has been read already, to learn the size
        start = self._times(self._first)
        yield self._first, 0
        for picture in self._pictures:
            yield picture, self._times(picture) - start

    def _first_picture(self) -> VideoFrame:
        try:
            picture = next(self._pictures, None)
        except (av.FFmpegError, OSError) as exc:
            raise InputError(
                f"{self._text}: no picture comes ({_reason(exc)}); see whether it plays elsewhere"
            ) from exc
        if picture is None:
            raise InputError(f"{self._text}: ends before the first picture; see whether it plays elsewhere")
        return picture

    def _check_connection(self) -> None:
        """Raise the error of the connection that the demuxer took for an end."""
        if self._body is not None and self._body.error is not None:
            raise self._body.error

    def _check_end(self, *, index: int, position: int) -> None:
        """A DecodeError where the end came too early: a file behind a URL may promise a number of frames."""
        if self._promised is not None and position < self._promised:
            raise DecodeError(f"{self._text}: ends after {position} of {self._promised} frames", frame=index)
        if index == 0:
            raise DecodeError(f"{self._text}: ends before frame {self._window.start}; use a lower --start", frame=0)


def _chunked_body(text: str) -> ChunkedBody | None:
    """The body of an answer that comes in chunks; None for all other streams."""
    if not text.lower().startswith(("http://", "https://")):
        return None
    try:
        return ChunkedBody.open(text, timeout=_TIMEOUT_SECONDS)
    except TimeoutError as exc:
        name = redact_password(text)
        raise InputError(f"{name}: cannot be opened ({_reason(exc)}); see whether it plays elsewhere") from exc


def _open(text: str, body: ChunkedBody | None) -> InputContainer:
    wanted = ffmpeg_input(text)
    try:
        container = av.open(
            wanted.file if body is None else body,
            format=wanted.format,
            metadata_errors="replace",  # as for files
            options=dict(wanted.options),
            timeout=(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS),
        )
        return cast("InputContainer", container)
    except (av.FFmpegError, OSError, ValueError) as exc:
        if body is not None:
            body.close()
        name = redact_password(text)
        raise InputError(f"{name}: cannot be opened ({_reason(exc)}); see whether it plays elsewhere") from exc


def _video_stream(text: str, container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise InputError(f"{text}: no video in it; give a camera or a stream that has one")
    return stream


def _intact_pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Pictures as they come; those that cannot be decoded, as before the first key frame, are left out."""
    prepare_times(container)
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            # Joined in the middle, a stream begins with pictures that refer to earlier ones.
            continue
        yield from (picture for picture in pictures if not picture.is_corrupt)


def _reason(exc: BaseException) -> str:
    """The library's message; a wait that ran out has none of use."""
    if isinstance(exc, av.error.ExitError | TimeoutError):
        return f"nothing comes for {_TIMEOUT_SECONDS:.0f} s"
    return reason(exc)
