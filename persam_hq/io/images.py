"""Image files: photos, masks and label maps, read and written with Pillow, and the pictures that show them.

Files are read upright, as EXIF says. Palette PNGs keep their indices here, which OpenCV would turn into colours. What
cannot be read is an InputError, whatever the library says of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.io.atomic import atomic_write
from persam_hq.io.limits import MAX_PIXELS
from persam_hq.io.mask_pictures import MaskPicture, read_mask_picture
from persam_hq.io.pictures import PictureError, PictureHeader, open_upright, read_header
from persam_hq.io.sample_range import SampleRange, deep_samples, range_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "contact_sheet",
    "davis_palette",
    "image_size",
    "overlaid",
    "read_grey",
    "read_ids",
    "read_image",
    "read_mask",
    "rgb_of",
    "thumbnail",
    "write_image",
    "write_labels",
]

_OPACITY = 0.5
"""Opacity of the colour over an object's pixels, 0 to 1: both stay visible."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, upright; transparency is dropped, and samples of more than 8 bits are scaled by their range.

    Pictures of several pages or frames, and of more than MAX_PIXELS, are refused.
    """
    with _told_of(path):
        return rgb_of(path, _header(path))


def image_size(path: Path) -> tuple[int, int]:
    """(height, width), upright, from the header alone."""
    with _told_of(path):
        header = read_header(path)
        return header.height, header.width


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool, upright: what a picture viewer shows on the background (see `mask_pictures`)."""
    return np.asarray(_read_mask_picture(path).classes > 0)


def read_ids(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, upright: palette indices or grey values; InputError for colours and for values above 255.

    Where index 0 of a palette is no background, objects are numbered 1, 2, ... in rising order.
    """
    found = _read_mask_picture(path, modes=("P", "L", "1"))
    values = found.values if found.keeps_numbers else range(1, len(found.values) + 1)
    return np.array([0, *values]).astype(np.uint8)[found.classes]


def read_grey(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, upright: an annotation of shades, 0 to 255; one of 0 and 1 alone becomes 0 and 255."""
    # Some data sets store masks as 0 and 1
    with _told_of(path):
        header = _header(path)
        grey = rgb_of(path, header)[:, :, 0] if header.is_deep else np.asarray(open_upright(path).convert("L"))
    return grey * np.uint8(255) if grey.max(initial=0) == 1 else grey


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Object ids (H, W) uint8 as a palette PNG, in the colours of DAVIS."""
    image = Image.fromarray(labels)
    image.putpalette(davis_palette().flatten().tolist())
    _write(image, path)


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """(H, W, 3) uint8 RGB, in the format that the path's suffix names."""
    _write(Image.fromarray(image), path)


def overlaid(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) RGB with the objects of a label map (H, W) tinted in their colours."""
    tinted = image * (1 - _OPACITY) + davis_palette()[labels] * _OPACITY
    return np.where(labels[..., None] > 0, tinted, image).astype(np.uint8)


def thumbnail(image: NDArray[np.uint8], *, side: int = 320) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 shrunk so that neither side is longer than `side`; never enlarged."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    return np.asarray(small)


def contact_sheet(tiles: Sequence[NDArray[np.uint8]], *, columns: int = 4) -> NDArray[np.uint8]:
    """Images (h, w, 3) in rows of `columns`, each in the middle of a cell of the largest one's size, on white."""
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    columns = min(columns, len(tiles))

    # White cells in as many rows as it takes, then each tile in the middle of its cell
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        (row, column), (h, w, _) = divmod(index, columns), tile.shape
        top, left = row * height + (height - h) // 2, column * width + (width - w) // 2
        sheet[top : top + h, left : left + w] = tile
    return sheet


def davis_palette() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: the colour map of PASCAL VOC and DAVIS.

    The bits of an id are dealt out to red, green and blue in turn, the lowest to the top bit of each channel, so ids
    next to each other get colours far apart; id 0 is black.
    """
    # Bit 3k of an id is bit 7 - k of red, bit 3k + 1 of green, bit 3k + 2 of blue
    ids = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        colours[:, channel] |= (((ids >> bit) & 1) << place).astype(np.uint8)
    return colours


def _write(image: Image.Image, path: Path) -> None:
    """Write an image whole or not at all, in the format that the suffix names."""
    content = io.BytesIO()
    image.save(content, format=Image.registered_extensions()[path.suffix.lower()])
    atomic_write(path, content.getvalue())


def rgb_of(file: Path | io.BytesIO, header: PictureHeader, samples: SampleRange | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a picture; `samples` is the range of those it belongs to, by default its own.

    PictureError where it cannot be read.
    """
    if header.is_deep:
        deep = deep_samples(file)
        scaled = (samples or range_of([(header, deep)])).to_bytes(deep)
        return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)
    return np.asarray(open_upright(file).convert("RGB"))


def _header(path: Path) -> PictureHeader:
    """The header of a picture that may be read."""
    header = read_header(path)
    header.refuse_too_large(MAX_PIXELS, advice="make it smaller")
    if header.pictures > 1:
        raise PictureError(f"{header.pictures} pictures in one file; save the one that is meant by itself")
    return header


def _read_mask_picture(path: Path, *, modes: tuple[str, ...] = ()) -> MaskPicture:
    with _told_of(path):
        header = _header(path)
        image = open_upright(path)
        if modes and image.mode not in modes:
            raise InputError(
                f"{path} is an image of mode {image.mode}; expected a palette or grey PNG, pixel value = object"
            )
        # A pixel of one bit is shown as white, 255
        image = image.convert("L") if image.mode == "1" else image
        return read_mask_picture(Image.fromarray(header.inverted(np.asarray(image))) if header.min_is_white else image)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """A picture that cannot be read is an InputError with its path."""
    try:
        yield
    except PictureError as exc:
        if str(exc) == "no such file":
            raise InputError(f"{path}: no such file; give the path of an image") from exc
        raise InputError(f"{path} cannot be read as an image ({exc}); expected a whole JPEG or PNG file") from exc
