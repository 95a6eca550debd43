"""The outline of GIF files: FFmpeg joins images that have no control block, and reads what was cut short as whole."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GifOutline", "gif_outline", "mended_gif"]

_SIGNATURE: Final = b"GIF8"
_HEADER_BYTES: Final = 13
_IMAGE_BYTES: Final = 9
"""Bytes of an image's description, behind its mark."""
_EXTENSION, _IMAGE, _TRAILER, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_EMPTY_CONTROL: Final = bytes([_EXTENSION, _CONTROL, 4, 0, 0, 0, 0, 0])
"""A control block that says nothing: no delay, which players and FFmpeg take as a tenth of a second."""


@dataclass(frozen=True, slots=True)
class GifOutline:
    """Where the images of a GIF begin that have no control block, and what is whole of a file that ends in a block.

    whole: bytes before the image (with its control block) or the extension in which the file ends; None for all others.
    """

    bare_images: tuple[int, ...] = ()
    whole: int | None = None


def gif_outline(path: Path) -> GifOutline | None:
    """The outline of a GIF; None for what is none."""
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        file.seek(0)
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            return None
        file.seek(_table_bytes(header[10]), io.SEEK_CUR)
        return _walked(file)


def mended_gif(path: Path) -> io.BytesIO | None:
    """A GIF whose images all have control blocks and are whole; None where it is so already, or no GIF."""
    outline = gif_outline(path)
    if outline is None or outline == GifOutline():
        return None
    data, pieces, start = path.read_bytes(), [], 0
    for place in outline.bare_images:
        pieces += [data[start:place], _EMPTY_CONTROL]
        start = place
    pieces.append(data[start : outline.whole])
    return io.BytesIO(b"".join([*pieces, bytes([_TRAILER])]))


def _walked(file: BinaryIO) -> GifOutline:
    """The outline of the blocks from here on, to the trailer or to what is no block."""
    bare, group = list[int](), None
    while True:
        place = file.tell()
        mark = file.read(1)
        if not mark or mark[0] not in {_EXTENSION, _IMAGE}:
            return GifOutline(tuple(bare))
        # What belongs to one image: its control block and itself
        group = place if group is None else group

        kind = file.read(1) if mark[0] == _EXTENSION else b""
        if mark[0] == _IMAGE:
            head = file.read(_IMAGE_BYTES)
            # Its colours, and the first byte of its data
            file.seek(1 + (_table_bytes(head[-1]) if len(head) == _IMAGE_BYTES else 0), io.SEEK_CUR)
        if not _skip_blocks(file):
            return GifOutline(tuple(one for one in bare if one < group), whole=group)

        if mark[0] == _IMAGE:
            if group == place:
                bare.append(place)
            group = None
        elif kind[0] != _CONTROL and group == place:
            group = None


def _table_bytes(flags: int) -> int:
    """Bytes of a table of colours, from the byte that tells whether there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> bool:
    """Pass over data in blocks of at most 255 bytes, each with its size in front; False where the file ends before."""
    while size := file.read(1):
        if size[0] == 0:
            return True
        file.seek(size[0], io.SEEK_CUR)
    return False
