"""Limits of what is read, apart from the readers so that options can name them without image libraries."""

from __future__ import annotations

from typing import Final

__all__ = ["HIGHEST_MAX_PIXELS", "MAX_PIXELS"]

MAX_PIXELS: Final = 2**27
"""Pixels of a picture by default, 134 million: more than a 12K video (80) or a medium-format camera (102) has."""

HIGHEST_MAX_PIXELS: Final = 178_956_970
"""Pillow reads no more than this, twice its `Image.MAX_IMAGE_PIXELS`."""
