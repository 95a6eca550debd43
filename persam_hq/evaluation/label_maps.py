"""Readers of annotations, predictions and frames: label maps are palette or grey PNGs, pixel value = object id."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from persam_hq.errors import EvaluationError

LabelMap = NDArray[np.uint8]
"""(H, W) uint8, 0 = background, other values = object ids."""

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, 0-255."""


def read_label_map(path: Path) -> LabelMap:
    """The ids (H, W) in a PNG. Palette indices and grey values count as they are; colours must be grey."""
    image = _open(path)
    values = _one_channel(_pixels(image, path), path)
    if values.max(initial=0) > np.iinfo(np.uint8).max:
        msg = f"{path} holds the value {values.max()}: expected ids from 0 to 255; renumber the objects"
        raise EvaluationError(msg)
    return values.astype(np.uint8)


def read_frame(path: Path) -> Frame:
    """The image in a file, (H, W, 3) uint8 RGB."""
    return _pixels(_open(path), path, mode="RGB").astype(np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width), from the header alone."""
    with _open(path) as image:
        width, height = image.size
    return height, width


def describe_size(shape: tuple[int, ...]) -> str:
    """A size as people write it: WIDTHxHEIGHT of a shape (height, width, ...)."""
    height, width = shape[:2]
    return f"{width}x{height}"


def _open(path: Path) -> Image.Image:
    """The image, its pixels not read yet; refused where the file is none."""
    try:
        return Image.open(path)
    except (OSError, UnidentifiedImageError) as exc:
        msg = f"{path} cannot be read as an image: {exc}; expected a PNG or JPEG file, replace it"
        raise EvaluationError(msg) from exc


def _pixels(image: Image.Image, path: Path, *, mode: str | None = None) -> NDArray[Any]:
    """The pixels of an open image, in `mode` if one is given; refused where the file is damaged."""
    try:
        with image:
            return np.asarray(image.convert(mode) if mode else image)
    except (OSError, SyntaxError) as exc:
        # Pillow reports a broken PNG chunk as a SyntaxError.
        msg = f"{path} is damaged: {exc}; expected a whole image, write it again"
        raise EvaluationError(msg) from exc


def _one_channel(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """The one channel of a grey image that may be saved as colour; refused where its colours differ."""
    if pixels.ndim == 2:
        return pixels
    # A few annotations of DAVIS 2016 are grey but saved as colour, some with an alpha channel
    grey = pixels[..., 0]
    colours = pixels[..., : 3 if pixels.shape[-1] >= 3 else 1]
    if np.any(colours != grey[..., None]):
        msg = f"{path} is a colour image: expected a palette or grey PNG with pixel value = object id; convert it"
        raise EvaluationError(msg)
    return grey
