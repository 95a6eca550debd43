"""Picture files as a viewer shows them: upright, one picture per file, their size known before memory is taken."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from persam_hq.errors import one_line
from persam_hq.io.limits import MAX_PIXELS

__all__ = ["PictureError", "PictureHeader", "open_upright", "orientation_of", "read_header", "upright_in_memory"]

_MAX_REASON: Final = 120
"""Characters of a library's message that a line of an error has room for."""
_ORIENTATION: Final = 0x0112  # the EXIF tag
_FIRST_ON_ITS_SIDE: Final = 5  # orientations from this value on exchange width and height
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of an EXIF orientation upright; those that are not here are upright, or nonsense."""

_JPEGS: Final = ("JPEG", "MPO")

# Tags of TIFF, and the bits of NewSubfileType that mark a preview or a mask of another page
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE, _MAX_SAMPLE_OF_FORMAT = 258, 262, 281, 341
_NEW_SUBFILE_TYPE, _PREVIEW_OR_MASK = 254, 0b101
_MIN_IS_WHITE: Final = 0
_SAMPLE_FORMAT, _SIGNED = 339, (2,)

# PNG: the bit depth and the colour type stand at fixed places of the header; these types have several channels
_PNG_DEPTH, _PNG_TYPE, _PNG_WITH_CHANNELS = 24, 25, (2, 4, 6)
_PNG_START: Final = 8  # bytes of the signature, before the first chunk
_PNG_EXIF_TEXTS: Final = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""Names of texts that have an orientation, from exiftool and ImageMagick."""
_PNG_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
_PNG_LONGEST_NAME: Final = 80  # bytes, with the zero after it
_BYTE_BITS: Final = 8

_QUIET: Final = threading.Lock()
"""Held while warnings are off: they are the whole process's, and two threads would leave them off."""


class PictureError(Exception):
    """A file that is no picture, or none that may be read; the message is the reason in a few words."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a file says of its picture before a pixel is decoded; sizes are upright.

    `pictures` counts those of an animation or of the pages of a TIFF. `mode` is Pillow's. `is_deep`: samples have more
    than 8 bits, a sign, or a point. `white` is the sample that the file calls white, None where it does not
    say; `min_is_white` where 0 is.
    """

    width: int
    height: int
    mode: str
    pictures: int = 1
    is_jpeg: bool = False
    is_deep: bool = False
    white: float | None = None
    min_is_white: bool = False

    @property
    def size(self) -> str:
        """The size as people write it."""
        return f"{self.width}x{self.height}"

    def refuse_too_large(self, limit: int, *, advice: str) -> None:
        """PictureError for more than `limit` pixels; `advice` says what to do."""
        if self.width * self.height > limit:
            raise PictureError(f"{self.size} is more than the limit of {limit} pixels; {advice}")

    def inverted(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Whole samples of which the lowest is white as samples of which the highest is."""
        top = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else samples.max(initial=0)
        return np.asarray(top - samples, samples.dtype) if self.min_is_white else samples


def read_header(file: Path | io.BytesIO) -> PictureHeader:
    """The header of a picture file; PictureError where it is none."""
    try:
        with _quiet(), Image.open(file) as picture:
            return _header_of(picture, file)
    except Exception as exc:  # an image library's errors are of many kinds
        raise PictureError(_reason_of(exc)) from exc


def open_upright(file: Path | io.BytesIO) -> Image.Image:
    """The picture, decoded, and turned as its EXIF says; PictureError where that cannot be."""
    try:
        # Not by its path: Pillow maps such files into memory, and a TIFF on its side with the wrong side length
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as data:
            with _quiet():
                picture = Image.open(data)
            with picture:
                # As the header is read, since decoding may bring more of the file to light
                orientation = orientation_of(picture, data)
                picture.load()
                return _turned(picture, orientation)
    except Exception as exc:  # as above
        raise PictureError(_reason_of(exc)) from exc


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of large pictures and odd tags: what it can read is no error, and limits are ours."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def upright_in_memory(picture: Image.Image) -> tuple[Image.Image, bool]:
    """A picture that a caller opened, decoded and upright as from its file, and whether it was a JPEG."""
    try:
        # Its tags are known before it is decoded, its size may change then
        tags = dict(getattr(picture, "tag_v2", {}))
        picture.load()
        upright = _turned(picture, orientation_of(picture))
    except Exception as exc:  # as above
        raise PictureError(_reason_of(exc)) from exc
    header = PictureHeader(*upright.size, upright.mode, min_is_white=_is_min_white(picture, tags))
    if header.min_is_white:
        upright = Image.fromarray(header.inverted(np.asarray(upright)))
    return upright, picture.format in _JPEGS


def orientation_of(picture: Image.Image, file: Path | BinaryIO | None = None) -> int:
    """The EXIF orientation that is still to be applied, 1 (upright) where there is none.

    file: that of the picture, for a PNG that is not decoded yet.
    """
    # Pillow turns a TIFF as it decodes it, and says the upright size before
    if picture.format == "TIFF":
        return 1
    # Asked for its EXIF, Pillow decodes a whole PNG in case there is some at its end: only where that is so, and the
    # picture is not too large
    is_small = picture.width * picture.height <= MAX_PIXELS
    if picture.format == "PNG" and not (is_small and file is not None and _has_late_exif(file)):
        return int(Image.Image.getexif(picture).get(_ORIENTATION, 1))
    return int(picture.getexif().get(_ORIENTATION, 1))


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return picture.copy() if turn is None else picture.transpose(turn)


def _has_late_exif(file: Path | BinaryIO) -> bool:
    """Whether a PNG may have its orientation after the pixels; these are passed over."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return _has_late_exif(opened)
    place, is_late = file.tell(), False
    try:
        file.seek(_PNG_START)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            is_late |= name == b"IDAT"
            start = file.read(min(length, _PNG_LONGEST_NAME))
            if is_late and (name == b"eXIf" or (name in _PNG_TEXTS and start.startswith(_PNG_EXIF_TEXTS))):
                return True
            file.seek(length - len(start) + 4, 1)  # with the checksum
        return False
    finally:
        file.seek(place)


def _header_of(picture: Image.Image, file: Path | io.BytesIO) -> PictureHeader:
    width, height = picture.size
    if orientation_of(picture, file) in range(_FIRST_ON_ITS_SIDE, max(_TURNS) + 1):
        width, height = height, width

    # Tags are those of the first page, so they are asked before pages are counted
    tags = dict(getattr(picture, "tag_v2", {})) if picture.format == "TIFF" else {}
    return PictureHeader(
        width=width,
        height=height,
        mode=picture.mode,
        is_jpeg=picture.format in _JPEGS,
        is_deep=picture.mode[0] in "IF"
        or tags.get(_SAMPLE_FORMAT) == _SIGNED
        or _has_deep_channels(picture, file, tags),
        white=_stated_white(tags),
        min_is_white=_is_min_white(picture, tags),
        pictures=_count_pictures(picture),
    )


def _is_min_white(picture: Image.Image, tags: dict[int, Any]) -> bool:
    """Whether the lowest sample is white, which Pillow sees to itself where samples have up to 8 bits."""
    return picture.mode[0] in "IF" and tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE


def _has_deep_channels(picture: Image.Image, file: Path | io.BytesIO, tags: dict[int, object]) -> bool:
    """Whether a picture of several channels has 16 bits in each, of which Pillow keeps the upper 8."""
    if picture.format == "PNG":
        head = _head(file)
        return head[_PNG_DEPTH] > _BYTE_BITS and head[_PNG_TYPE] in _PNG_WITH_CHANNELS
    bits = tags.get(_BITS_PER_SAMPLE)
    return picture.mode in {"RGB", "RGBA", "RGBX"} and isinstance(bits, tuple) and max(bits) > _BYTE_BITS


def _head(file: Path | io.BytesIO) -> bytes:
    if isinstance(file, io.BytesIO):
        return bytes(file.getbuffer()[: _PNG_TYPE + 1])
    with file.open("rb") as opened:
        return opened.read(_PNG_TYPE + 1)


def _stated_white(tags: dict[int, object]) -> float | None:
    """The sample that a TIFF calls white, by its depth (12 bits in 12) or by its largest sample."""
    bits = tags.get(_BITS_PER_SAMPLE)
    if isinstance(bits, tuple) and _BYTE_BITS < bits[0] < 2 * _BYTE_BITS:
        return float(2 ** bits[0] - 1)
    for tag in (_MAX_SAMPLE, _MAX_SAMPLE_OF_FORMAT):
        value = tags.get(tag)
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, int | float) and first > 0:
            return float(first)
    return None


def _count_pictures(picture: Image.Image) -> int:
    """The frames of an animation, or the pages of a TIFF that are pictures of their own."""
    # The second picture of a phone's JPEG (MPO) is a preview or a depth map
    if picture.format in _JPEGS:
        return 1
    frames = int(getattr(picture, "n_frames", 1))
    if picture.format != "TIFF" or frames == 1:
        return frames

    # Pages of another size, previews and masks belong to the first page
    count, size = 0, picture.size
    for page in range(frames):
        picture.seek(page)
        kind = getattr(picture, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0)
        count += picture.size == size and not int(kind) & _PREVIEW_OR_MASK
    return count


def _reason_of(exc: BaseException) -> str:
    """The image library's message, without the path that two of its errors begin or end with."""
    if isinstance(exc, FileNotFoundError | UnidentifiedImageError):
        return "no such file" if isinstance(exc, FileNotFoundError) else "unknown format"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return one_line(exc)[:_MAX_REASON] or type(exc).__name__
