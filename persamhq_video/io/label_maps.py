"""Label maps as image files: the user's first-frame mask is read, palette PNGs are written."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from persam_hq.io.atomic import atomic_write
from persam_hq.io.images import davis_palette
from persam_hq.io.soft_masks import looks_soft
from persamhq_video.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_OBJECTS = 255
"""Ids fit into the uint8 of a label map, of which 0 is the background."""
_GREY_WHITES = (1, 255, 65535)
"""White in masks of 1, 8 and 16 bits."""
_COLOUR_WHITE = 0xFFFFFF
_PALETTE = davis_palette().tobytes()
_SOFT = "looks like a lossy or anti-aliased mask"
_SOFT_ADVICE = "save it as PNG with 0/255, or with one value an object, and without smoothing"


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Object ids per pixel, (H, W) uint8 with 0 = background; ``mapping`` has the id for each value of the file."""

    labels: NDArray[np.uint8]
    ids: tuple[int, ...]
    mapping: dict[str, int]

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8:
            raise ValueError(f"a label map is (H, W) uint8, got {self.labels.shape} {self.labels.dtype}")

    def __repr__(self) -> str:
        return f"LabelMap(labels={self.labels.shape}, ids={self.ids})"


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """(H, W) int64 values as the file has them, 0 = background; colours are 0xRRGGBB."""

    values: NDArray[np.int64]
    is_colour: bool

    def name(self, value: int) -> str:
        """A value as a user knows it from an editor."""
        return f"#{value:06x}" if self.is_colour else str(value)


def read_first_masks(path: Path, *, size: tuple[int, int]) -> LabelMap:
    """Read the objects of the first frame; ``size`` is the frame's (height, width).

    Palette indices and grey levels are ids as they are; where one is above 255, and for colours, the values are
    numbered 1, 2, ... in rising order. A mask whose only value is white (255, 1, 65535 or #ffffff) is one object, 1.
    Fully transparent pixels are background.
    """
    found, is_jpeg = _read_values(path)
    if found.values.shape != size:
        got, expected = f"{found.values.shape[1]}x{found.values.shape[0]}", f"{size[1]}x{size[0]}"
        raise InputError(f"{path}: the mask is {got} but the frame is {expected}; masks are not resized, draw it anew")

    # The distinct values, and for each pixel the rank of its value among them
    present, ranks = np.unique(found.values, return_inverse=True)
    distinct = [int(value) for value in present if value]
    _refuse_unusable(path, found, distinct, ranks=ranks.reshape(size), is_jpeg=is_jpeg)

    # Ids by rank, and with them the label map
    mapping = _numbering(distinct, is_colour=found.is_colour)
    table = np.array([mapping.get(int(value), 0) for value in present], dtype=np.uint8)
    return LabelMap(
        labels=table[ranks].reshape(size),
        ids=tuple(sorted(mapping.values())),
        mapping={found.name(value): object_id for value, object_id in mapping.items()},
    )


def write_label_png(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 ids as a palette PNG: whole or not at all."""
    atomic_write(path, label_png(labels))


def label_png(labels: NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 ids as a palette PNG with DAVIS colours; the same bytes every time."""
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"a label map is (H, W) uint8, got {labels.shape} {labels.dtype}")
    picture = Image.fromarray(labels)
    picture.putpalette(_PALETTE)
    data = io.BytesIO()
    # Pillow's own default, stated so that the bytes do not change with it.
    picture.save(data, format="PNG", compress_level=6)
    return data.getvalue()


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 ids of a file that ``write_label_png`` wrote."""
    with Image.open(path) as picture:
        if picture.mode not in {"P", "L"}:
            raise InputError(f"{path}: got an image of mode {picture.mode}, expected a palette PNG; remove it")
        return np.array(picture, dtype=np.uint8)


def _read_values(path: Path) -> tuple[_Values, bool]:
    """The values of a mask file, and whether it is a JPEG."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of palettes with partial transparency and of large pictures; both are read as they should be.
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                picture.load()
                return _values_of(picture, path), picture.format == "JPEG"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        why = "no such file" if isinstance(exc, FileNotFoundError) else "not an image that can be read"
        raise InputError(f"{path}: {why}; give the first frame's mask as an image, best as PNG") from exc


def _values_of(picture: Image.Image, path: Path) -> _Values:
    """The values of a picture by its mode: indices, grey levels or colours."""
    mode = picture.mode
    if mode == "F":
        raise InputError(f"{path}: got a mask of fractions (mode F), expected whole numbers; save it as 8-bit PNG")

    # With transparency: the values without it, and background where a pixel is fully transparent
    if mode in {"LA", "PA", "RGBA", "La", "RGBa"}:
        opaque = np.asarray(picture.getchannel("A")) > 0
        base = {"LA": "L", "La": "L", "PA": "P"}.get(mode, "RGB")
        solid = picture.getchannel(0) if base == "P" else picture.convert(base)
        inner = _values_of(solid, path)
        return _Values(np.where(opaque, inner.values, 0), is_colour=inner.is_colour)

    # Palette indices and grey levels, up to 32 bits, as they are; anything else as colours
    if mode in {"1", "L", "P"} or mode.startswith("I"):
        return _Values(np.asarray(picture).astype(np.int64), is_colour=False)
    return _colour_values(np.asarray(picture.convert("RGB")).astype(np.int64))


def _colour_values(rgb: NDArray[np.int64]) -> _Values:
    """One value per colour; a colour image that holds greys only counts as grey."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if (red == green).all() and (green == blue).all():
        return _Values(red, is_colour=False)
    return _Values(red << 16 | green << 8 | blue, is_colour=True)


def _refuse_unusable(
    path: Path, found: _Values, distinct: list[int], *, ranks: NDArray[np.intp], is_jpeg: bool
) -> None:
    if not distinct:
        raise InputError(f"{path}: the mask is empty (every pixel is background); draw at least one object")
    if distinct[0] < 0:
        raise InputError(f"{path}: got the negative value {distinct[0]}, expected 0 or more; save it as 8-bit PNG")
    # Compression moves values by a little, so what a JPEG holds cannot be told from ids unless it is plain 0/255.
    is_lossy = is_jpeg and (found.is_colour or distinct != [255])
    if is_lossy or looks_soft(ranks, distinct, has_background=bool(ranks.size and (found.values == 0).any())):
        raise InputError(f"{path}: {len(distinct)} values, {_SOFT}; {_SOFT_ADVICE}")
    if len(distinct) > MAX_OBJECTS:
        raise InputError(f"{path}: got {len(distinct)} objects, expected at most {MAX_OBJECTS}; use several runs")


def _numbering(distinct: list[int], *, is_colour: bool) -> dict[int, int]:
    whites: tuple[int, ...] = (_COLOUR_WHITE,) if is_colour else _GREY_WHITES
    is_plain = len(distinct) == 1 and distinct[0] in whites
    if is_colour or is_plain or distinct[-1] > MAX_OBJECTS:
        return {value: rank for rank, value in enumerate(distinct, start=1)}
    return {value: value for value in distinct}
