"""Arithmetic of boxes (x0, y0, x1, y1) in pixels that several selectors and refiners share; not a plugin itself."""

from __future__ import annotations

from persamhq_video.protocols import Box

__all__ = ["centre", "grown", "longer_side"]


def grown(box: Box, by: float, size: tuple[int, int]) -> Box:
    """The box grown by `by` pixels on each side, clipped to an image of `size` (height, width)."""
    height, width = size
    x0, y0, x1, y1 = box
    return max(0.0, x0 - by), max(0.0, y0 - by), min(float(width), x1 + by), min(float(height), y1 + by)


def centre(box: Box) -> tuple[float, float]:
    """The whole pixel (x, y) in the middle of a box."""
    x0, y0, x1, y1 = box
    return (x0 + x1) // 2, (y0 + y1) // 2


def longer_side(box: Box) -> float:
    """Width or height in pixels, first and last column and row included."""
    x0, y0, x1, y1 = box
    return 1 + max(x1 - x0, y1 - y0)
