"""Pictures with more than 8 bits: which samples are black and white, and their conversion to 8 bits.

Cameras store 10, 12 or 14 bits in 16, and microscopes floats or signed numbers. Read as 16 bits these are black.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.io.pictures import PictureError, PictureHeader, open_upright, orientation_of

__all__ = ["SampleRange", "deep_samples", "range_of"]

_DEPTHS: Final = (8, 10, 12, 14, 16)
"""Bits that samples have in practice, whatever the file has room for."""
_OVERSHOOT: Final = 0.05
"""Floats of 0 to 1 may pass both ends by this share, from resampling."""
_DARKEST_WHITE: Final = 1 / 64
"""Floats of 0 to 1 that all lie below this would be black in 8 bits, 4 of 255."""
_SMALLEST_BYTES: Final = 16
"""Floats above 1 with a maximum below this would be black as 0 to 255; their own maximum is white then."""
_LEAST_OF_STATED: Final = 1 / 16
"""Where all samples lie below this share of what a file calls white, 12 of 16 bits, it is not believed."""
_BYTE: Final = 255

# Tags of TIFF
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339


@dataclass(frozen=True, slots=True)
class SampleRange:
    """The samples that become 0 and 255; the other way round where the file says that its lowest one is white.

    lowest, highest: of what is in the files.
    """

    black: float
    white: float
    is_inverted: bool
    lowest: float
    highest: float

    def __str__(self) -> str:
        ends = (self.white, self.black) if self.is_inverted else (self.black, self.white)
        black, white = (f"{end:g}" if abs(end) < 1 else f"{end:.6g}" for end in ends)
        return f"samples of {self.lowest:.6g} to {self.highest:.6g}, shown with {black} as black and {white} as white"

    @property
    def is_whole_16_bit(self) -> bool:
        """Whether this is the plain range of 16 bits."""
        return (self.black, self.white, self.is_inverted) == (0, 2**16 - 1, False)

    def to_bytes(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Samples of any shape as uint8."""
        # Whole depths lose their lower bits, as 16 bits always have
        depth = next((bits for bits in _DEPTHS if self.white == 2**bits - 1), None)
        if self.black == 0 and depth is not None and samples.dtype.kind in "iu":
            scaled = (samples.astype(np.int64) >> (depth - 8)).clip(0, _BYTE).astype(np.uint8)
        else:
            # Samples that are no number are black
            share = (np.nan_to_num(samples.astype(np.float64), nan=self.black) - self.black) / (self.white - self.black)
            scaled = np.rint(share.clip(0, 1) * _BYTE).astype(np.uint8)
        return _BYTE - scaled if self.is_inverted else scaled


def range_of(pictures: Iterable[tuple[PictureHeader, NDArray[Any]]]) -> SampleRange:
    """The range of deep pictures that belong together, such as the frames of a folder."""
    lowest, highest, is_float, is_16_bit = np.inf, -np.inf, False, True
    whites, inverted = set(), False
    for header, samples in pictures:
        is_float |= samples.dtype.kind == "f"
        is_16_bit &= samples.dtype == np.uint16
        finite = samples[np.isfinite(samples)] if is_float else samples
        if finite.size:
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
        whites.add(header.white)
        inverted |= header.min_is_white
        # Nothing that follows would change this
        if is_16_bit and highest >= 2 ** _DEPTHS[-2] and whites == {None}:
            break
    if lowest > highest:
        lowest = highest = 0.0

    stated = whites.pop() if len(whites) == 1 else None
    # Some programs state 16 bits whatever they store
    if stated is not None and lowest >= 0 and stated * _LEAST_OF_STATED < highest <= stated:
        return SampleRange(0, stated, inverted, lowest, highest)
    black, white = _ends_of_floats(lowest, highest) if is_float else _ends_of_numbers(lowest, highest)
    return SampleRange(black, white, inverted, lowest, highest)


def _ends_of_numbers(lowest: float, highest: float) -> tuple[float, float]:
    """Black and white of whole numbers: the least depth that holds them, or their own ends where some are negative."""
    if lowest < 0:
        return lowest, max(highest, lowest + 1)
    if highest <= 0:
        return 0, 2**16 - 1
    return 0, next((2**bits - 1 for bits in _DEPTHS if highest < 2**bits), highest)


def _ends_of_floats(lowest: float, highest: float) -> tuple[float, float]:
    """Black and white of floats: 0 to 1, 0 to 255, a depth, or their own ends."""
    if highest <= lowest and highest <= 0:
        return lowest, lowest + 1
    if lowest < -_OVERSHOOT * max(highest, 0) or highest <= 0:
        return lowest, highest
    if highest <= 1 + _OVERSHOOT:
        return 0, 1 if highest >= _DARKEST_WHITE else highest
    if highest < _SMALLEST_BYTES:
        return 0, highest
    return _ends_of_numbers(0, highest)


def deep_samples(file: Path | io.BytesIO) -> NDArray[Any]:
    """The samples of a deep picture, upright: (H, W), or (H, W, 3) RGB; PictureError where that cannot be."""
    data = file if isinstance(file, io.BytesIO) else io.BytesIO(_bytes_of(file))
    picture = open_upright(data)
    with Image.open(data) as header:
        orientation, tags = orientation_of(header, data), dict(getattr(header, "tag_v2", {}))
    if picture.mode[0] in "IF":
        samples = np.asarray(picture)
        # Pillow has unsigned 32 bits as signed ones
        is_unsigned = tags.get(_BITS_PER_SAMPLE) == (32,) and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1
        return samples.view(np.uint32) if samples.dtype == np.int32 and is_unsigned else samples

    # Pillow has signed 8 bits as unsigned ones, and keeps the upper 8 of 16 bits of colours
    if picture.mode == "L" and tags.get(_SAMPLE_FORMAT) == (2,):
        return np.asarray(picture).view(np.int8)
    decoded = cv2.imdecode(np.frombuffer(data.getbuffer(), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype not in (np.uint16, np.float32):
        return np.asarray(picture.convert("RGB"))
    return np.ascontiguousarray(_turned(decoded[:, :, 2::-1], orientation))


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise PictureError("no such file" if isinstance(exc, FileNotFoundError) else str(exc.strerror)) from exc


def _turned(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples (H, W, 3) turned upright from an EXIF orientation: 1 to 8, half of them mirrored."""
    # From 5 on rows are columns; after that what is left is a flip of either axis
    upright = samples.swapaxes(0, 1) if orientation >= 5 else samples
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
    return np.flip(upright, flips.get(orientation, ()))
