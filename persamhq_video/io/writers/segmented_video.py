"""Videos coded in segments of 64 frames, so that a resumed run gives the same bytes as one that was never killed."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import av

from persam_hq.io.atomic import commit, discard, open_part, part_path
from persamhq_video.errors import OutputError
from persamhq_video.io.writers.video_encoder import Packet, PictureEncoder, VideoCodec, unwritable, write_video

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from persamhq_video.types import SourceInfo

__all__ = ["SEGMENT_FRAMES", "SegmentedVideo"]

SEGMENT_FRAMES: Final = 64
"""Frames of a segment: at most so many are coded again after a kill, and each segment costs one key frame."""

# A segment's file: the magic line, a line of JSON (`_head` and the codec's parameters), packets, each after its header,
# and the end.
_MAGIC: Final = b"persamhq packets 1\n"
_PACKET: Final = struct.Struct("<qqqI?")  # pts, dts, duration, bytes that follow, key frame
_END: Final = struct.Struct("<II")  # frames, CRC-32 of everything before
_CHUNK: Final = 1 << 20
"""Bytes read at once where a whole file is checked."""
_TAIL_NAME: Final = "tail.packets"
_LIBRARIES: Final = {name: list(version) for name, version in sorted(av.library_versions.items())}
"""Versions of FFmpeg's libraries: other ones may code other bytes, so their segments are not mixed."""


class SegmentedVideo:
    """A video whose frames [64k, 64k+64) are each coded by an encoder of their own, into a file that appears whole.

    Which frames an attempt codes therefore leaves no trace in the bytes. Packets are kept as the encoder gives them,
    with times in the source's time base, so joining the segments rounds no time that the container itself does not
    round. Frames whose segment is there already are skipped.
    """

    def __init__(self, codec: VideoCodec, *, info: SourceInfo, folder: Path) -> None:
        self._codec, self._info, self._folder = codec, info, folder
        self._head = {"codec": repr(codec), "info": repr(_without_path(info)), "libraries": _LIBRARIES}
        self._extradata = b""
        self._finished: dict[int, int] = {}
        self._segment: _Segment | None = None
        self._is_tail = False

    def first_missing(self, end: int) -> int:
        """The start of the first segment before `end` that is not complete; `end` itself if none is missing."""
        for start in range(0, end, SEGMENT_FRAMES):
            if start + self._frames_in(start // SEGMENT_FRAMES) < min(end, start + SEGMENT_FRAMES):
                return start
        return end

    def write(self, index: int, time: int, picture: Callable[[], VideoFrame]) -> None:
        """Code the picture of frame `index` at `time`; frames come in order, from the start of a segment.

        `picture` is called only where the frame is coded.
        """
        # A frame of a complete segment is skipped
        number, place = divmod(index, SEGMENT_FRAMES)
        if self._segment is None and self._frames_in(number) > place:
            return

        # The first frame of a segment opens its file and encoder
        try:
            if self._segment is None:
                if place:
                    raise ValueError(f"{self._folder}: got frame {index}, expected the start of its segment first")
                self._segment = _Segment(self._path(number), PictureEncoder(self._codec, self._info), self._head)
            self._segment.write(picture(), time)
        except (av.FFmpegError, OSError) as exc:
            self.abandon()
            raise unwritable(self._path(number), exc) from exc

        # The last one completes it
        if place == SEGMENT_FRAMES - 1:
            self._close(self._path(number))

    def finish(self) -> None:
        """Close the last segment: no frame comes any more, in this attempt or another."""
        if self._segment is not None:
            self._close(self._segment.path)

    def pause(self) -> None:
        """Close the last segment for now: another attempt codes it again from its start."""
        if self._segment is not None:
            self._close(self._folder / _TAIL_NAME)
            self._is_tail = True

    def abandon(self) -> None:
        """Throw the unfinished segment away."""
        if self._segment is not None:
            self._segment.discard()
            self._segment = None

    def join(self, path: Path, frames: int) -> None:
        """Write the video of the first `frames` frames, all of them coded, without coding any of them again."""
        # The segments in order; after a pause the last one has a name of its own
        parts = [self._path(number) for number in range(-(-frames // SEGMENT_FRAMES))]
        if self._is_tail:
            parts[-1] = self._folder / _TAIL_NAME
        for part in parts:
            _check_segment(part)

        # Every encoder has the same parameters, so those of the first segment serve the whole file
        extradata = _read_head(parts[0])["extradata"]
        packets = (packet for part in parts for packet in _read_packets(part))
        write_video(path, packets, codec=self._codec, info=self._info, extradata=bytes.fromhex(extradata))
        if self._is_tail:
            (self._folder / _TAIL_NAME).unlink(missing_ok=True)

    def _close(self, path: Path) -> None:
        assert self._segment is not None
        try:
            self._segment.close(path)
        except (av.FFmpegError, OSError) as exc:
            self._segment.discard()
            raise unwritable(path, exc) from exc
        finally:
            self._segment = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05d}.packets"

    def _frames_in(self, number: int) -> int:
        """Number of frames of a complete segment; 0 if it is missing, incomplete or from another encoder or source."""
        path = self._path(number)
        if number not in self._finished:
            try:
                head, frames = _read_head(path), _read_end(path)
            except (OSError, ValueError):
                return 0
            if any(head.get(key) != value for key, value in self._head.items()):
                return 0
            self._finished[number] = frames
        return self._finished[number]


class _Segment:
    """The file of a segment while it is written: an encoder, the packets so far and their checksum."""

    def __init__(self, path: Path, encoder: PictureEncoder, head: Mapping[str, object]) -> None:
        self.path = path
        self._encoder = encoder
        self._frames, self._crc = 0, 0
        text = json.dumps({**head, "extradata": encoder.extradata.hex()}).encode() + b"\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open_part(path)
        self._put(_MAGIC + text)

    def write(self, picture: VideoFrame, time: int) -> None:
        self._put_packets(self._encoder.encode(picture, time))

    def close(self, path: Path) -> None:
        """Write the packets that the encoder held back and the end, and move the file to `path`."""
        self._put_packets(self._encoder.finish())
        self._file.write(_END.pack(self._frames, self._crc))
        self._file.close()
        if path != self.path:
            part_path(self.path).replace(part_path(path))
        commit(path)

    def discard(self) -> None:
        try:
            self._file.close()
        except OSError:  # the disk is full, and what could not be written is thrown away anyway
            pass
        finally:
            discard(self.path)

    def _put_packets(self, packets: Iterator[Packet]) -> None:
        for packet in packets:
            head = _PACKET.pack(packet.pts, packet.dts, packet.duration, len(packet.data), packet.is_key)
            self._put(head + packet.data)
            self._frames += 1

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)


def _read_head(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        if file.readline() != _MAGIC:
            raise ValueError(f"{path}: not a segment")
        head: dict[str, str] = json.loads(file.readline())
    return head


def _read_end(path: Path) -> int:
    """The number of frames of a segment; reads all of it, and raises ValueError where the checksum is wrong."""
    left, crc = path.stat().st_size - _END.size, 0
    with path.open("rb") as file:
        while left > 0 and (data := file.read(min(left, _CHUNK))):
            left, crc = left - len(data), zlib.crc32(data, crc)
        end = file.read()
    if left or len(end) != _END.size or _END.unpack(end)[1] != crc:
        raise ValueError(f"{path}: not whole")
    return int(_END.unpack(end)[0])


def _check_segment(path: Path) -> None:
    """Remove a segment that is damaged on the disk, with an OutputError; the next run codes it again."""
    try:
        _read_end(path)
    except (OSError, ValueError) as exc:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path}: was spoilt on the disk, so it is removed; run again to make it anew") from exc


def _read_packets(path: Path) -> Iterator[Packet]:
    """The packets of a whole segment, one in memory at a time."""
    end = path.stat().st_size - _END.size
    with path.open("rb") as file:
        file.readline()
        file.readline()
        while file.tell() < end:
            pts, dts, duration, length, is_key = _PACKET.unpack(file.read(_PACKET.size))
            yield Packet(file.read(length), pts=pts, dts=dts, duration=duration, is_key=is_key)


def _without_path(info: SourceInfo) -> tuple[object, ...]:
    """What an encoder depends on: a source may move, and its segments stay good."""
    # Left out where pixels are square, so that segments of earlier versions stay good too
    aspect = () if info.pixel_aspect == 1 else (info.pixel_aspect,)
    return (info.width, info.height, info.time_base, info.frame_rate, *aspect)
