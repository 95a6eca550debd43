"""Selection of the frames on which strategies disagree most, at most one per stretch of the video, for the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Disagreement", "Disagreements", "data_uri"]

STRETCH_FRAMES: Final = 12
"""Length of a stretch of frames, of which at most one is shown, as its neighbours look alike."""
MAX_SHOWN: Final = 6
"""Frames on the page at most: each is a row of pictures inside the file."""
_JPEG_QUALITY: Final = 82
"""Of the pictures inside the page, which are small: a page stays below a few megabytes."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """A frame, how much the strategies agree on it (0-1), and its pictures (h, w, 3) uint8 RGB as data URIs."""

    index: int
    name: str
    agreement: float
    pictures: tuple[str, ...]


class Disagreements:
    """A fold over frames; pictures are made only of frames that may be shown, and only a few are kept."""

    def __init__(self) -> None:
        # By number of the stretch, at most MAX_SHOWN
        self._kept: dict[int, Disagreement] = {}

    def add(self, index: int, name: str, agreement: float, pictures: Callable[[], Sequence[Picture]]) -> None:
        """Take in the next frame; `pictures` is called if it is one of the worst so far."""
        # The frame competes with the one kept of its own stretch; a new stretch with the mildest of all that are kept.
        stretch = index // STRETCH_FRAMES
        rival_stretch, rival = stretch, self._kept.get(stretch)
        if rival is None and len(self._kept) >= MAX_SHOWN:
            rival_stretch, rival = max(self._kept.items(), key=lambda kept: kept[1].agreement)

        # Frames on which all masks are the same are never shown.
        if agreement >= (1.0 if rival is None else rival.agreement):
            return
        self._kept.pop(rival_stretch, None)
        self._kept[stretch] = Disagreement(index, name, agreement, tuple(map(data_uri, pictures())))

    def worst(self) -> list[Disagreement]:
        """The kept frames, least agreement first."""
        return sorted(self._kept.values(), key=lambda kept: (kept.agreement, kept.index))


def data_uri(picture: Picture) -> str:
    """A picture (h, w, 3) uint8 RGB as a JPEG inside an address."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="JPEG", quality=_JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
