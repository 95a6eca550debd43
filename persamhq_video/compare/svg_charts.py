"""Line charts over the frames of a video, as SVG elements for the HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Curve", "line_chart"]

_WIDTH: Final = 1080
"""Pixels of the whole chart at the page's full width."""
_HEIGHT: Final = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 26
"""Margins around the curves in pixels: room for numbers on the left and below."""
_MAX_POINTS: Final = 540
"""Points of a curve at most: more than one point in two pixels is not seen."""
_TICKS: Final = 4
"""Steps on the vertical axis at most."""
_SLACK: Final = 1e-6
"""Tolerance as a share of a step, so that 99.1 is a whole number of steps of 0.1 in spite of rounding."""
_NARROWEST, _NARROWER = 1.6, 1.2
"""Pixels: width of the topmost curve, and how much wider each one below it is."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one strategy: frames, rising, and a value in percent for each."""

    colour: str
    frames: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Axes:
    """The mapping from frames (0 to `last`) and percent (`low` to `high`) to pixels."""

    last: int
    low: float
    high: float

    def x(self, frame: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * frame / max(1, self.last)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def line_chart(curves: Sequence[Curve], *, last: int, label: str, from_zero: bool = False) -> str:
    """An SVG of the curves over frames 0 to `last`; `label` describes it to screen readers."""
    values = [value for curve in curves for value in curve.values]
    step, low, high = _scale(0.0 if from_zero else min(values, default=0.0), max(values, default=1.0))
    axes = _Axes(last, low, high)

    # Each curve is narrower than those below it, so that curves in one place are all seen.
    widths = [_NARROWEST + _NARROWER * number for number in reversed(range(len(curves)))]
    lines = [_line(axes, curve, width) for curve, width in zip(curves, widths, strict=True)]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{_rules(axes, step)}{_frames(axes)}{''.join(lines)}</svg>"
    )


def _scale(lowest: float, highest: float) -> tuple[float, float, float]:
    """A round step (1, 2 or 5 times a power of ten), and the range in whole steps that holds all values."""
    # A flat curve has no span; a thousandth of a percent stands for it.
    span = max(highest - lowest, 1e-3)
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * _TICKS >= span)
    low, high = step * math.floor(lowest / step + _SLACK), step * math.ceil(highest / step - _SLACK)
    return step, low, high if high > low else low + step


def _rules(axes: _Axes, step: float) -> str:
    """Horizontal rules: a line and a number for each step of the vertical axis."""
    decimals = max(0, -math.floor(math.log10(step)))
    parts = []
    for number in range(round((axes.high - axes.low) / step) + 1):
        value = axes.low + number * step
        y = axes.y(value)
        parts.append(
            f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{decimals}f}</text>'
        )
    return "".join(parts)


def _frames(axes: _Axes) -> str:
    """Frame numbers below the chart, twice as many as steps on the vertical axis: there is more room."""
    step, _, _ = _scale(0, axes.last)
    numbers = range(0, axes.last + 1, max(1, round(step / 2)))
    return "".join(
        f'<text class="tick" x="{axes.x(frame):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{frame}</text>'
        for frame in numbers
    )


def _line(axes: _Axes, curve: Curve, width: float) -> str:
    """The curve as a polyline; of too many points the lowest one per group is kept, as dips are of interest."""
    points = list(zip(curve.frames, curve.values, strict=True))
    size = math.ceil(len(points) / _MAX_POINTS) or 1
    kept = [min(points[start : start + size], key=lambda point: point[1]) for start in range(0, len(points), size)]
    text = " ".join(f"{axes.x(frame):.1f},{axes.y(value):.1f}" for frame, value in kept)
    style = f'fill="none" stroke="{curve.colour}" stroke-width="{width:.1f}" stroke-linejoin="round"'
    return f'<polyline {style} points="{text}"/>'
