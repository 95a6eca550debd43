"""Image files: photos, masks and label maps, read and written with Pillow, and the pictures that show them.

Files are read upright, as EXIF says. Palette PNGs keep their indices here, which OpenCV would turn into colours.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from persam_hq.errors import InputError, one_line
from persam_hq.io.atomic import atomic_write

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "contact_sheet",
    "davis_palette",
    "overlaid",
    "read_grey",
    "read_ids",
    "read_image",
    "read_mask",
    "thumbnail",
    "write_image",
    "write_labels",
]

_OPACITY = 0.5
"""Opacity of the colour over an object's pixels, 0 to 1: both stay visible."""

_LONGEST_REASON = 120  # characters of Pillow's message that are passed on


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, upright; 16-bit grey keeps its upper 8 bits, transparency is dropped."""
    image = _open(path)
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts off at 255, which leaves a white picture.
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool, upright: what is not zero, as palette index, grey or colour; what is fully transparent is zero."""
    image = _open(path)
    # Colours under full transparency are arbitrary: editors leave them in
    if image.mode in {"LA", "RGBA", "PA"}:
        opaque = np.asarray(image.getchannel("A")) > 0
        return (np.asarray(image.convert("RGB")) > 0).any(axis=2) & opaque

    # Indices of a palette as they are: index 0 is background whatever its colour
    values: NDArray[Any] = np.asarray(image)
    return np.asarray((values > 0).any(axis=2) if values.ndim == 3 else values > 0)


def read_ids(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, upright: palette indices or grey values; InputError for colours and for values above 255."""
    image = _open(path)
    if image.mode not in {"P", "L", "1"}:
        raise InputError(
            f"{path} is an image of mode {image.mode}; expected a palette or grey PNG, pixel value = object"
        )
    return np.asarray(image.convert("L") if image.mode == "1" else image)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, upright: an annotation of shades, 0 to 255; one of 0 and 1 alone becomes 0 and 255."""
    # Some data sets store masks as 0 and 1
    grey = np.asarray(_open(path).convert("L"))
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


def _open(path: Path) -> Image.Image:
    """An image, loaded and upright; InputError where that cannot be."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and of broken tags; what it can read is no error, and it refuses twice that
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                upright.load()
                return upright
    except FileNotFoundError as exc:
        raise InputError(f"{path}: no such file; give the path of an image") from exc
    except Exception as exc:  # Pillow raises a dozen kinds, by what is wrong with the file
        raise InputError(
            f"{path} cannot be read as an image ({_reason(exc)}); expected a whole JPEG or PNG file"
        ) from exc


def _reason(exc: Exception) -> str:
    """A few words on why Pillow refused a file."""
    if isinstance(exc, UnidentifiedImageError):
        return "of no known format"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return one_line(exc)[:_LONGEST_REASON].rstrip(".") or type(exc).__name__
