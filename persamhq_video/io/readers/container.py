"""Containers through PyAV: opening a file, and what it says of its video stream: size, rate, frame count, times."""

from __future__ import annotations

import re
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from persam_hq.errors import one_line
from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io.readers.cut_files import ends_in_a_frame
from persamhq_video.io.readers.gif import gif_outline, mended_gif
from persamhq_video.io.readers.matroska import missing_part
from persamhq_video.io.readers.orientation import Orientation, orientation_of
from persamhq_video.io.readers.times import frame_step, late_start, prepare_times, time_base_of
from persamhq_video.types import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BytesIO
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

DEFAULT_RATE = Fraction(25)
"""Frames per second of a stream that states no rate, as raw H.264 and some cameras."""
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_MAX_PIXEL_ASPECT = 16
"""The widest pixel that is believed: anamorphic video has 1.1 to 2, and faulty headers any number."""
_MAX_REASON = 120
"""Characters of a library's message that a line of an error has room for."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, set to decode in one thread."""
    try:
        # The absolute path keeps a name such as "take:2.mp4" from being read as a protocol.
        # Titles and the like may be in any encoding, whatever the container's standard says; none of them is used.
        file: BytesIO | str = mended_gif(path) or str(path.absolute())
        container = av.open(file, "r", metadata_errors="replace")
    except (av.FFmpegError, OSError) as exc:
        raise InputError(f"{path}: not a video that can be read ({reason(exc)}); give a video or a folder") from exc

    with container:
        # The cover picture of a music file is a video stream to FFmpeg.
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or Disposition.attached_pic in Disposition(stream.disposition):
            raise InputError(f"{path}: no video stream in it; give a file that has one")
        # One thread names the packet that fails exactly; decoding is far from being the bottleneck.
        stream.thread_count = 1
        prepare_times(container)
        yield container, stream


def probe(path: Path) -> SourceInfo:
    """Everything known about a video without reading it through; its first frame is decoded to prove it can be."""
    with open_video(path) as (container, stream):
        # Orientation is a property of the decoded picture, not of the container.
        picture = _first_picture(path, container, stream)
        orientation = orientation_of(picture)
        width, height = orientation.upright(picture.width, picture.height)
        return SourceInfo(
            path=path,
            kind="video",
            width=width,
            height=height,
            time_base=time_base_of(stream),
            frame_rate=stream.average_rate or stream.guessed_rate or DEFAULT_RATE,
            num_frames=promised_frames(stream),
            rotation=orientation.turns * 90,
            is_mirrored=orientation.is_mirrored,
            pixel_aspect=pixel_aspect(stream, orientation),
            start=late_start(container, stream),
            notes=_hints(path, container),
        )


def _hints(path: Path, container: InputContainer) -> tuple[str, ...]:
    """Lines on what is odd about a file before a frame is missed."""
    if "matroska" in container.format.name and missing_part(path) == "rest":
        return (f"{path}: ends before the size that it states, as a recording that broke off; it is read to there",)
    return ()


def _first_picture(path: Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    """The first picture that the decoder gives; an InputError where it gives none."""
    try:
        for picture in container.decode(stream):
            return picture
    except av.FFmpegError as exc:
        raise InputError(f"{path}: its first frame cannot be decoded ({reason(exc)}); re-encode the file") from exc
    raise InputError(f"{path}: no frame in its video stream; give a video with at least one")


def pixel_aspect(stream: VideoStream, orientation: Orientation) -> Fraction:
    """Width of a pixel of the upright picture by its height; 1 where the stream says nothing, or nonsense."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not aspect or not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
        return Fraction(1)
    return 1 / aspect if orientation.turns % 2 else aspect


def promised_frames(stream: VideoStream) -> int | None:
    """The number of frames that the container promises to show, None when it does not say.

    An edit list that trims a file leaves the frame count of the whole file in the header. The demuxer's own index
    knows which frames the edit list drops, so the promise is the smaller of the two counts.
    """
    if stream.frames <= 0:
        return None
    entries = [entry for entry in stream.index_entries if entry.size > 0]
    shown = sum(1 for entry in entries if not entry.is_discard)
    return min(stream.frames, shown) if entries else stream.frames


def is_shown(packet: Packet[VideoStream]) -> bool:
    """Whether a packet holds a frame that an edit list does not drop."""
    return packet.size > 0 and not packet.is_discard


def missing_end(path: Path, container: InputContainer, stream: VideoStream, *, last: int, gap: int) -> str | None:
    """What shows that frames are missing at the end of a Matroska, GIF, FLV or Y4M file, None where nothing does.

    ``last`` is the time stamp of the last frame and ``gap`` the longest distance between two. They have no frame
    count; the size of the file tells, and, where only the index of Matroska is missing, the duration that a track may
    carry. That alone is a hint only: the last frame may be held, and editors leave old durations behind.
    """
    if container.format.name == "gif":
        outline = gif_outline(path)
        return None if outline is None or outline.whole is None else "the file ends in the middle of a frame"
    if ends_in_a_frame(path, format_name=container.format.name, frame_bytes=_picture_bytes(stream)):
        return "the file ends in the middle of a frame"
    part = missing_part(path) if "matroska" in container.format.name else None
    if part == "frames":
        return "the file ends in the middle of its frames"
    if part == "rest" and (missing := _missing_seconds(stream, last=last, gap=gap)):
        return f"the file ends {float(missing):.2f} s before its container says"
    return None


def _picture_bytes(stream: VideoStream) -> int:
    """Bytes of a picture as raw formats store it, without padding."""
    total = 0
    for number, component in enumerate(stream.format.components):
        # Interleaved formats have several components in one plane; raw video of this kind has none
        total += component.width * component.height * (-(-component.bits // 8)) if number == component.plane else 0
    return total


def _missing_seconds(stream: VideoStream, *, last: int, gap: int) -> Fraction:
    """Seconds by which a stream ends earlier than its duration says; 0 where it does not, or says none."""
    promised = _DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if promised is None:
        return Fraction(0)
    hours, minutes, seconds = (Fraction(part) for part in promised.groups())

    # The last frame may stay on screen as long as any frame before it; a gap no longer than that is no loss.
    longest = max(gap, frame_step(stream)) * time_base_of(stream)
    missing = hours * 3600 + minutes * 60 + seconds - (last * time_base_of(stream) + longest)
    return missing if missing > longest else Fraction(0)


def count_packets(path: Path) -> int:
    """The number of frames that are shown, from the packets alone; those that an edit list drops are left out."""
    count = 0
    with open_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                count += is_shown(packet)
        except av.FFmpegError as exc:
            raise DecodeError(f"{path}: reading stops after {count} packets ({reason(exc)})", frame=0) from exc
    return count


def reason(exc: BaseException) -> str:
    """The library's own message, on one line and without the path."""
    text = exc.strerror if isinstance(exc, OSError | av.FFmpegError) and exc.strerror else str(exc)
    return one_line(text)[:_MAX_REASON]


def ffmpeg_libraries() -> dict[str, str]:
    """Versions of the FFmpeg libraries that PyAV brings along, by name; `persamhq-video doctor` prints them."""
    return {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
