"""The grid of the side-by-side video: tiles with titles above them, and the painting and cropping of tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from persam_hq.mask_boxes import outer_box_of_array
from persamhq_video.io import paint

__all__ = ["COLOURS", "Grid", "painted_tiles", "part_around", "shrunk"]

Picture = NDArray[np.uint8]

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#444444")
"""Colours of the strategies, in turn, on the page and above their tiles; the colour-blind can distinguish them too
(Okabe and Ito)."""

_MAX_SIZE: Final = (1280, 720)
"""(width, height) in pixels that the whole grid fits into, unless tiles would be too narrow."""
_MIN_TILE_WIDTH: Final = 240
"""Pixels; a narrower tile would have no room for its title."""
_TITLE_HEIGHT: Final = 30
_TEXT_SIZE: Final = 17
_COLOUR_BAR_WIDTH: Final = 8
"""Pixels of the strategy's colour before its title; also the unit of the space around the text."""
_CROP_MARGIN: Final = 1.4
"""Size of a crop in sizes of the masks in it: some of what is around an object helps to see where it is."""
_MIN_CROP: Final = 0.2
"""Smallest crop as a share of the picture: a smaller one is a blur when enlarged."""
_BACKGROUND: Final = (250, 250, 248)
_TEXT_COLOUR: Final = (28, 28, 28)


@dataclass(frozen=True, slots=True)
class Grid:
    """`columns` x `rows` tiles of `tile` (height, width) pixels, both even, as H.264's chroma has half the size."""

    columns: int
    rows: int
    tile: tuple[int, int]

    @classmethod
    def around(cls, count: int, *, size: tuple[int, int]) -> Grid:
        """The grid of `count` tiles of frames of `size` (height, width) that shows them largest in 1280x720."""
        height, width = size

        def scale(columns: int) -> float:
            """How large frames are shown with so many columns; they are never enlarged."""
            wide, high = _MAX_SIZE[0] / columns, _MAX_SIZE[1] / math.ceil(count / columns) - _TITLE_HEIGHT
            return min(wide / width, high / height, 1.0)

        # Among equally large tiles, the grid with the fewest empty places, then that closest to two columns
        columns = max(range(1, count + 1), key=lambda c: (round(scale(c), 3), -(c * math.ceil(count / c)), -abs(c - 2)))
        factor = max(scale(columns), _MIN_TILE_WIDTH / width)
        return cls(columns, math.ceil(count / columns), (_even(height * factor), _even(width * factor)))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the whole picture."""
        height, width = self.tile
        return self.rows * (height + _TITLE_HEIGHT), self.columns * width

    def titled(self, titles: Sequence[str], colours: Sequence[str | None]) -> Picture:
        """The picture (H, W, 3) uint8 RGB with the titles alone, each after a bar of its colour."""
        height, width = self.size
        picture = Image.new("RGB", (width, height), _BACKGROUND)
        draw = ImageDraw.Draw(picture)
        font = ImageFont.load_default(_TEXT_SIZE)
        for place, (title, colour) in enumerate(zip(titles, colours, strict=True)):
            top, left = self._corner(place)
            if colour is not None:
                draw.rectangle((left, top, left + _COLOUR_BAR_WIDTH - 1, top + _TITLE_HEIGHT - 1), fill=colour)
            text = _shortened(title, font, self.tile[1] - 3 * _COLOUR_BAR_WIDTH)
            place_of_text = (left + 2 * _COLOUR_BAR_WIDTH, top + _TITLE_HEIGHT // 2)
            draw.text(place_of_text, text, fill=_TEXT_COLOUR, font=font, anchor="lm")
        return np.array(picture)

    def filled(self, titled: Picture, tiles: Sequence[Picture]) -> Picture:
        """A copy of the titles with the tiles, each (h, w, 3) uint8 RGB of the grid's tile size, below them."""
        picture = titled.copy()
        height, width = self.tile
        for place, tile in enumerate(tiles):
            top, left = self._corner(place)
            top += _TITLE_HEIGHT
            picture[top : top + height, left : left + width] = tile
        return picture

    def _corner(self, place: int) -> tuple[int, int]:
        """(top, left) of the title of a tile; places are numbered row by row."""
        row, column = divmod(place, self.columns)
        return row * (self.tile[0] + _TITLE_HEIGHT), column * self.tile[1]


def painted_tiles(image: Picture, labels: Sequence[Picture], *, size: tuple[int, int]) -> list[Picture]:
    """The image (H, W, 3) uint8 RGB in `size` (height, width), and once more with each of the label maps (H, W)."""
    small = shrunk(image, size)
    height, width = size
    maps = [cv2.resize(one, (width, height), interpolation=cv2.INTER_NEAREST) for one in labels]
    return [small, *(paint(small, np.asarray(one, dtype=np.uint8)) for one in maps)]


def part_around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The crop of a picture, in its own proportions, around the True pixels of a mask (H, W), with a margin."""
    height, width = mask.shape
    box = outer_box_of_array(mask)
    if box is None:
        return slice(0, height), slice(0, width)
    x0, y0, x1, y1 = box

    # The longer relative side decides, so that both sides are the same share of the picture
    share = _CROP_MARGIN * max((y1 - y0) / height, (x1 - x0) / width)
    share = min(1.0, max(share, _MIN_CROP))
    return _around(y0, y1, height, share), _around(x0, x1, width, share)


def shrunk(image: Picture, size: tuple[int, int]) -> Picture:
    """An image (H, W, 3) uint8 resized to `size` (height, width); by area where it shrinks, against aliasing."""
    height, width = size
    if image.shape[:2] == size:
        return image
    grows = height > image.shape[0]
    method = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _around(first: int, end: int, length: int, share: float) -> slice:
    """`share` of a length, centred between `first` and `end`, moved to lie inside the length."""
    size = max(1, round(length * share))
    start = round((first + end - size) / 2)
    start = min(max(0, start), length - size)
    return slice(start, start + size)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, its end replaced by three dots where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
