"""Video encoding for all writers: the settings of a codec, the encoder of pictures, and the muxer of its packets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast, runtime_checkable

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from av.packet import Packet as AvPacket

from persam_hq.io.atomic import commit, discard, open_part
from persamhq_video.errors import OutputError
from persamhq_video.io.readers.container import reason

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from persamhq_video.types import FrameResult, SourceInfo

# FFmpeg's numbers of colour tags
BT709 = 1  # matrix, primaries and transfer alike
LIMITED_RANGE = 1  # luma from 16 to 235, what players expect of video
FULL_RANGE = 2  # from 0 to 255

# The bytes of H.264 depend on the number of threads, so it is a constant and not the machine's number of cores.
ENCODER_THREADS = 2
_MAX_TIMESCALE = 2**31 - 1
"""The largest unit of time that fits the field of an MP4 file."""


@dataclass(frozen=True, slots=True)
class VideoCodec:
    """The settings of a video: container, encoder, pixel format, the encoder's options and the colour range."""

    container: str
    encoder: str
    pixel_format: str
    color_range: int
    options: dict[str, str] = field(default_factory=dict)
    threads: int = ENCODER_THREADS
    even: bool = False
    """Whether the pixel format halves the chroma, so that width and height must be even."""

    def size(self, info: SourceInfo) -> tuple[int, int]:
        """(height, width) of the video of a source: its own, or the next even ones."""
        return (even(info.height), even(info.width)) if self.even else (info.height, info.width)

    def padded(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image, (H, W) or (H, W, 3), padded to the video's size by repeating its last row and column."""
        down, right = (length % 2 if self.even else 0 for length in image.shape[:2])
        if not down and not right:
            return image
        return np.pad(image, [(0, down), (0, right)] + [(0, 0)] * (image.ndim - 2), mode="edge")


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded picture; times are ticks of the source's time base."""

    data: bytes
    pts: int
    dts: int
    duration: int
    is_key: bool


class VideoKind(Protocol):
    """The content of a video that is made from results: a picture for each frame, and the codec for all of them."""

    @property
    def codec(self) -> VideoCodec:
        """The settings that the pictures are coded with."""
        ...

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """The picture of a frame, (H, W, 3) uint8 RGB, and its label map, (H, W) uint8, in the codec's format."""
        ...


@runtime_checkable
class ResultVideoKind(Protocol):
    """A VideoKind whose pictures show more of a result than its label map, such as states and numbers."""

    def result_picture(self, image: NDArray[np.uint8], result: FrameResult) -> VideoFrame:
        """The picture of a frame, (H, W, 3) uint8 RGB, with its result, in the codec's format."""
        ...


class PictureEncoder:
    """An encoder: pictures in, packets out; the packets depend only on the pictures since it was made."""

    def __init__(self, codec: VideoCodec, info: SourceInfo) -> None:
        self._size = codec.size(info)
        self._time_base = info.time_base
        self._aspect = None if info.pixel_aspect == 1 else _AspectTag(codec, info)
        self._context: Any = av.CodecContext.create(codec.encoder, "w")
        self._context.options = dict(codec.options)
        _configure(self._context, codec, info)
        # MP4, QuickTime and Matroska keep the codec's parameters once, in the head of the file.
        self._context.flags |= Flags.global_header
        self._context.open()

    @property
    def extradata(self) -> bytes:
        """The codec's parameters, for the head of the container."""
        return bytes(self._context.extradata or b"")

    def encode(self, picture: VideoFrame, time: int) -> Iterator[Packet]:
        """The packets that are complete after this picture; an encoder may hold pictures back."""
        if (picture.height, picture.width) != self._size:
            height, width = self._size
            raise ValueError(f"got a picture of {picture.width}x{picture.height} for a video of {width}x{height}")
        picture = picture if self._aspect is None else self._aspect(picture)
        picture.pts, picture.time_base = time, self._time_base
        return map(_packet, self._context.encode(picture))

    def finish(self) -> Iterator[Packet]:
        """The packets that were held back."""
        return map(_packet, self._context.encode(None))


class _AspectTag:
    """Tags pictures with the aspect of their pixels: FFV1 keeps it with each, and PyAV cannot set it in Matroska."""

    def __init__(self, codec: VideoCodec, info: SourceInfo) -> None:
        height, width = codec.size(info)
        aspect = info.pixel_aspect
        self._graph = Graph()
        self._graph.threads = 1
        self._graph.link_nodes(
            self._graph.add_buffer(
                width=width, height=height, format=av.VideoFormat(codec.pixel_format), time_base=info.time_base
            ),
            self._graph.add("setsar", f"{aspect.numerator}/{aspect.denominator}"),
            self._graph.add("buffersink"),
        ).configure()

    def __call__(self, picture: VideoFrame) -> VideoFrame:
        """The same picture with its tag."""
        self._graph.vpush(picture)
        return self._graph.vpull()


def write_video(
    path: Path, packets: Iterable[Packet], *, codec: VideoCodec, info: SourceInfo, extradata: bytes
) -> None:
    """Write packets into a file as they come, without coding anything again; the file appears once it is complete."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_part(path) as part:
            _mux(part, packets, codec=codec, info=info, extradata=extradata)
        commit(path)
    except (av.FFmpegError, OSError) as exc:
        raise unwritable(path, exc) from exc
    finally:
        with contextlib.suppress(OSError):  # must not hide the error that is being raised
            discard(path)


def _mux(part: BinaryIO, packets: Iterable[Packet], *, codec: VideoCodec, info: SourceInfo, extradata: bytes) -> None:
    """Write a container of one video stream from its packets."""
    # Into an open file: FFmpeg itself would follow a link of that name
    with av.open(part, "w", format=codec.container, options=_muxer_options(codec, info)) as container:
        stream = cast(
            "VideoStream", container.add_stream(codec.encoder, rate=info.frame_rate, options=dict(codec.options))
        )
        _configure(stream.codec_context, codec, info)
        stream.time_base = info.time_base

        # This opens an encoder that never gets a picture: PyAV has no other way to fill in the head of the stream. It
        # has to fill in the same as the encoder of the packets did, or a player could not decode them.
        container.start_encoding()
        if bytes(stream.codec_context.extradata or b"") != extradata:
            raise OutputError(
                f"{part.name}: the {codec.encoder} encoder is not the one that coded the video; use --overwrite"
            )

        for packet in packets:
            container.mux_one(_av_packet(packet, stream, info))


def _configure(context: Any, codec: VideoCodec, info: SourceInfo) -> None:
    """Set the size, format, colours and times of an encoder's context."""
    context.height, context.width = codec.size(info)
    context.pix_fmt, context.thread_count = codec.pixel_format, codec.threads
    context.color_range, context.colorspace = codec.color_range, BT709
    context.color_primaries, context.color_trc = BT709, BT709
    context.time_base, context.framerate = info.time_base, info.frame_rate
    # Pixels that are not square stay so; square ones are left unsaid.
    if info.pixel_aspect != 1:
        context.sample_aspect_ratio = info.pixel_aspect
    # The quality in the codec's options decides, not PyAV's default bit rate.
    context.bit_rate = 0
    # No version of the encoder in the stream
    context.flags |= Flags.bitexact


def _packet(packet: AvPacket[Any]) -> Packet:
    """A packet of PyAV's as it is kept in a segment."""
    assert packet.pts is not None
    # Encoders without reordering may leave the decoding time out; it is that of presentation.
    dts = packet.pts if packet.dts is None else packet.dts
    return Packet(bytes(packet), pts=packet.pts, dts=dts, duration=packet.duration or 0, is_key=packet.is_keyframe)


def _av_packet(packet: Packet, stream: VideoStream, info: SourceInfo) -> AvPacket[Any]:
    """A kept packet as PyAV's, for a stream of a container."""
    made: AvPacket[Any] = AvPacket(packet.data)
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.is_keyframe, made.time_base, made.stream = packet.is_key, info.time_base, stream
    return made


def unwritable(path: Path, exc: BaseException) -> OutputError:
    """The OutputError for a file that cannot be written."""
    return OutputError(f"{path}: cannot be written ({reason(exc)}); check the folder and the space on the disk")


def _muxer_options(codec: VideoCodec, info: SourceInfo) -> dict[str, str]:
    # Bit-exact: no version, no date and no random ids in the file
    options = {"fflags": "+bitexact"}
    if codec.container in {"mp4", "mov"} and info.time_base.denominator <= _MAX_TIMESCALE:
        # The offset of the first frame is kept in this unit; the default of 1 ms would round it.
        options["movie_timescale"] = str(info.time_base.denominator)
    return options


def even(length: int) -> int:
    """The length itself or the next even one."""
    return length + length % 2
