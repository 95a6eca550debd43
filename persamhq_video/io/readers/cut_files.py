"""Formats that say how long each frame is: a file that ends within one, which FFmpeg leaves out without a word."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ends_in_a_frame"]

_FLV_HEADER_SIZE: Final = 5  # where the size of the header stands, 4 bytes
_FLV_TAG_BYTES: Final = 11
_LINE_BYTES: Final = 4096
"""The longest line of a YUV4MPEG header that is read; FFmpeg takes 80."""


def ends_in_a_frame(path: Path, *, format_name: str, frame_bytes: int) -> bool:
    """Whether a file of FFmpeg's `flv` or `yuv4mpegpipe` ends within a frame; False for all other formats.

    frame_bytes: those of an uncompressed picture.
    """
    with path.open("rb") as file:
        if format_name == "flv":
            return _flv_is_cut(file, path.stat().st_size)
        if format_name == "yuv4mpegpipe":
            return _y4m_is_cut(file, path.stat().st_size, frame_bytes)
    return False


def _flv_is_cut(file: BinaryIO, end: int) -> bool:
    """A file holds tags, each with its size in front and behind."""
    file.seek(_FLV_HEADER_SIZE)
    file.seek(int.from_bytes(file.read(4)) + 4)
    while len(tag := file.read(_FLV_TAG_BYTES)) == _FLV_TAG_BYTES:
        data = int.from_bytes(tag[1:4])
        if file.tell() + data > end:
            return True
        file.seek(data + 4, io.SEEK_CUR)
    return bool(tag)


def _y4m_is_cut(file: BinaryIO, end: int, frame_bytes: int) -> bool:
    """A line for the file, and before each frame one of its own."""
    file.readline(_LINE_BYTES)
    while line := file.readline(_LINE_BYTES):
        if not line.endswith(b"\n") or file.tell() + frame_bytes > end:
            return True
        file.seek(frame_bytes, io.SEEK_CUR)
    return False
