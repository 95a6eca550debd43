"""Events: how a caller learns of the progress of videos, be it a progress bar, `--json` or a script of a user."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "EventKind", "Listener", "ProgressMeter"]

EventKind = Literal["started", "frame", "complete", "already-complete", "failed", "refused", "note"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one video of a job.

    `frame` counts finished frames; `frames` is how many will come, None if the source does not say; `fps` are frames
    a second since the first result; `eta_s` is the time left in seconds; `message` says what a user should read, such
    as why a video failed or why an unfinished run starts again; a `note` is how an input is read, where that may not be
    what its owner thinks.
    """

    event: EventKind
    video: str
    frame: int = 0
    frames: int | None = None
    fps: float | None = None
    eta_s: float | None = None
    message: str | None = None


Listener = Callable[[Event], None]


class ProgressMeter:
    """Makes the events of one video: counts finished frames, and works out the speed and the time left."""

    def __init__(self, video: str, frames: int | None) -> None:
        self._video, self._frames = video, frames
        self._began: float | None = None

    def event(self, kind: EventKind, frame: int, message: str | None = None) -> Event:
        """The event that `frame` frames are finished now."""
        now = time.perf_counter()
        if self._began is None:
            self._began = now
        elapsed = now - self._began

        # The clock starts with the first finished frame, which is therefore not counted
        fps = (frame - 1) / elapsed if frame > 1 and elapsed > 0 else None
        left = None if fps is None or self._frames is None else max(0.0, (self._frames - frame) / fps)
        return Event(
            event=kind,
            video=self._video,
            frame=frame,
            frames=self._frames,
            fps=None if fps is None else round(fps, 2),
            eta_s=None if left is None else round(left, 1),
            message=message,
        )
