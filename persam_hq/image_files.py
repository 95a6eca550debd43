"""Photos and masks as files: read for a command, written by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from persam_hq.errors import InputError

_OPACITY = 0.5


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, upright."""
    return np.asarray(_open(path).convert("RGB"))


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool, upright: what is not zero, as palette index, grey or colour; an alpha channel does not count."""
    image = _open(path)
    if image.mode in {"LA", "RGBA", "PA"}:
        image = image.convert("RGB")
    values: NDArray[Any] = np.asarray(image)
    return np.asarray((values > 0).any(axis=2) if values.ndim == 3 else values > 0)


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Object ids (H, W) uint8 as a palette PNG, in the colours of DAVIS."""
    image = Image.fromarray(labels)
    image.putpalette(id_colours().flatten().tolist())
    image.save(path)


def write_overlay(path: Path, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """An image (H, W, 3) RGB with the objects of a label map (H, W) tinted in their colours."""
    tinted = image * (1 - _OPACITY) + id_colours()[labels] * _OPACITY
    Image.fromarray(np.where(labels[..., None] > 0, tinted, image).astype(np.uint8)).save(path)


def id_colours() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: the palette of PASCAL VOC and DAVIS; three bits of an id at a time set a bit a channel."""
    ids = np.arange(256)
    bits = (ids[:, None] >> np.arange(8)) & 1
    channels = [sum(bits[:, bit] << (7 - bit // 3) for bit in range(channel, 8, 3)) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            upright.load()
            return upright
    except FileNotFoundError as exc:
        raise InputError(f"{path}: no such file; give the path of an image") from exc
    except (OSError, SyntaxError, UnidentifiedImageError) as exc:
        # Pillow reports a broken PNG chunk as a SyntaxError
        raise InputError(f"{path} cannot be read as an image; expected a whole JPEG or PNG file") from exc
