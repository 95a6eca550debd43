"""The frames on which strategies disagree most, one a stretch of the video, as small pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Moment", "Moments", "data_uri"]

STRETCH: Final = 12
"""Frames of which at most one is shown, as its neighbours look alike."""
MOST: Final = 6
_QUALITY: Final = 82

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A frame, how much the strategies agree on it (0-1), and its pictures (h, w, 3) uint8 RGB as data URIs."""

    index: int
    name: str
    agreement: float
    pictures: tuple[str, ...]


class Moments:
    """A fold over frames; only pictures that may be shown are made, and only a few are kept."""

    def __init__(self) -> None:
        self._kept: dict[int, Moment] = {}

    def offer(self, index: int, name: str, agreement: float, pictures: Callable[[], Sequence[Picture]]) -> None:
        """The next frame; `pictures` is called if it is one of the worst so far."""
        stretch = index // STRETCH
        rival = self._kept.get(stretch)
        if rival is None and len(self._kept) >= MOST:
            stretch_of_mildest, rival = max(self._kept.items(), key=lambda kept: kept[1].agreement)
        else:
            stretch_of_mildest = stretch
        if agreement >= (1.0 if rival is None else rival.agreement):
            return
        self._kept.pop(stretch_of_mildest, None)
        self._kept[stretch] = Moment(index, name, agreement, tuple(map(data_uri, pictures())))

    def worst(self) -> list[Moment]:
        """Least agreement first."""
        return sorted(self._kept.values(), key=lambda moment: (moment.agreement, moment.index))


def data_uri(picture: Picture) -> str:
    """A picture (h, w, 3) uint8 RGB as a JPEG inside an address."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
