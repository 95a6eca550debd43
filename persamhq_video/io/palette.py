"""The colours of object ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def davis_palette() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: the colour map of PASCAL VOC and DAVIS.

    The bits of an id are dealt out to red, green and blue in turn, the lowest to the top bit of each channel, so ids
    next to each other get colours far apart; id 0 is black.
    """
    ids = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        colours[:, channel] |= (((ids >> bit) & 1) << place).astype(np.uint8)
    return colours
