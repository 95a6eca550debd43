"""The time stamps of frames as the written videos have them: rising, and never below zero."""

from __future__ import annotations

from fractions import Fraction
from typing import Self

__all__ = ["MonotonicTimestamps"]


class MonotonicTimestamps:
    """A fold that turns the time stamps of a source, in frame order, into ticks of one time base that rise from zero.

    A frame whose time is not later than the one before comes one tick after it, so that no frame is lost to a faulty
    source. `start`, in ticks, is taken off every time, and a source that starts before zero is moved to start at zero,
    because players do not show frames before it.
    """

    def __init__(self, time_base: Fraction, *, start: int = 0) -> None:
        self.time_base = time_base
        self._start = start
        self._shift = 0
        self._last: int | None = None

    @classmethod
    def after(cls, time_base: Fraction, *, first_pts: int, first_base: Fraction, last: int, start: int = 0) -> Self:
        """The fold as it is after frames whose first had this time stamp and whose last was given the ticks `last`."""
        times = cls(time_base, start=start)
        times(first_pts, first_base)
        times._last = last
        return times

    def __call__(self, pts: int, time_base: Fraction) -> int:
        """The ticks of the next frame."""
        time = round(pts * time_base / self.time_base) - self._start
        # The first frame decides by how much all are moved.
        if self._last is None:
            self._shift = max(0, -time)
        time += self._shift

        if self._last is not None and time <= self._last:
            time = self._last + 1
        self._last = time
        return time
