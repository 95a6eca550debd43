"""Progress bars of many videos at once: one for the job, and one for each of a few videos under way."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from tqdm import tqdm

from persam_hq.errors import one_line
from persam_hq.io.console import bar_stream
from persam_hq.io.text.shown_text import printable, redact_secrets
from persamhq_video.events import Event

__all__ = ["JobBars", "Speed", "command_error", "note_line"]

_MAX_VIDEO_BARS: Final = 4
"""Bars of single videos at once; more would fill a terminal."""
_REDRAW_SECONDS: Final = 0.5
_REDRAW_SECONDS_IN_A_LOG: Final = 30.0
"""Where standard error is a file each drawing is a line that stays."""
_ENDINGS: Final = frozenset({"complete", "already-complete", "failed", "refused"})


class Speed:
    """Frames per second of all videos together, over the last seconds."""

    def __init__(self, *, seconds: float = 10.0, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seconds, self._clock = seconds, clock
        # (time, frames finished since the step before)
        self._steps: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, frames: int) -> None:
        """Count frames that have just been finished."""
        now = self._clock()
        self._steps.append((now, frames))
        # The oldest step that stays marks where the time begins; its own frames came before that.
        while len(self._steps) > 2 and now - self._steps[1][0] > self._seconds:
            self._steps.popleft()

    @property
    def fps(self) -> float:
        """Frames per second; 0 before the first frame."""
        elapsed = self._clock() - self._steps[0][0]
        frames = sum(frames for _, frames in self._steps) - self._steps[0][1]
        return frames / elapsed if elapsed > 0 else 0.0


class JobBars:
    """A bar for the job and, on a terminal, one for each of the first few videos under way."""

    def __init__(self, videos: int, *, speed: Speed | None = None) -> None:
        # How often something is drawn, and when it was last
        self._is_terminal = sys.stderr.isatty()
        self._pause = _REDRAW_SECONDS if self._is_terminal else _REDRAW_SECONDS_IN_A_LOG
        self._drawn = time.perf_counter()

        # By video: finished frames, and the bar with its line below the job's; lines without a bar are free
        self._frames: dict[str, int] = {}
        self._bars: dict[str, tuple[int, tqdm[Any]]] = {}
        self._free = list(range(_MAX_VIDEO_BARS, 0, -1)) if self._is_terminal else []

        # The job
        self._speed = speed or Speed()
        self._videos = videos
        self._finished = 0
        self._total: tqdm[Any] | None = None

    def __call__(self, event: Event) -> None:
        """Show an event of one of the videos."""
        # Not before the first event: an error of the whole job is printed without any bar.
        if self._total is None:
            self._total = self._open_total()
        if event.event == "started":
            self._frames[event.video] = event.frame
            if event.message is not None:
                _write(f"{event.video}: {event.message}")
            self._open(event)
        elif event.event == "note":
            _write(note_line(event))
        elif event.event == "frame":
            self._count(event)
        elif event.event in _ENDINGS:
            self._end(event)

    def close(self) -> None:
        """Remove the videos' bars and leave the job's as it is."""
        for video in list(self._bars):
            self._remove(video)
        self._draw(at_once=True)
        if self._total is not None:
            self._total.close()

    def _open_total(self) -> tqdm[Any]:
        # Without tqdm's own pause between drawings (`mininterval`): `_draw` decides.
        return tqdm(
            total=self._videos,
            bar_format="{n_fmt}/{total_fmt} videos |{bar}| {elapsed}{postfix}",
            mininterval=0,
            file=bar_stream(sys.stderr),
            dynamic_ncols=True,
            position=0,
        )

    def _open(self, event: Event) -> None:
        if self._free and event.video not in self._bars:
            place = self._free.pop()
            bar: tqdm[Any] = tqdm(
                desc=printable(redact_secrets(event.video).rsplit("/", maxsplit=1)[-1]),
                total=event.frames,
                initial=event.frame,
                unit=" frames",
                mininterval=_REDRAW_SECONDS,
                file=bar_stream(sys.stderr),
                dynamic_ncols=True,
                position=place,
                leave=False,
            )
            self._bars[event.video] = place, bar

    def _count(self, event: Event) -> None:
        before = self._frames.get(event.video, 0)
        self._frames[event.video] = max(before, event.frame)
        self._speed.add(max(0, event.frame - before))
        if event.video in self._bars:
            _, bar = self._bars[event.video]
            bar.update(event.frame - bar.n)
        self._draw()

    def _end(self, event: Event) -> None:
        self._remove(event.video)
        if event.event in {"failed", "refused"}:
            _write(command_error(event.message or "", video=event.video))
        self._finished += 1
        self._draw(at_once=self._is_terminal)

    def _remove(self, video: str) -> None:
        if video in self._bars:
            place, bar = self._bars.pop(video)
            self._free.append(place)
            bar.close()

    def _draw(self, *, at_once: bool = False) -> None:
        now = time.perf_counter()
        if self._total is not None and (at_once or now - self._drawn >= self._pause):
            self._drawn = now
            self._total.n = self._finished
            self._total.set_postfix_str(f"{self._speed.fps:.1f} frames/s")


def _write(line: str) -> None:
    """A line above the bars."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        tqdm.write(printable(redact_secrets(line)), file=bar_stream(sys.stderr))


def command_error(message: str, *, video: str | None = None) -> str:
    """The line that is printed for an error, with the video that it is about where it is one of several."""
    line = one_line(message)
    # Most messages begin with the path of the file, which often is the video's.
    about = "" if video is None or line.startswith(f"{video}:") else f"{video}: "
    return f"persamhq-video: error: {about}{line}"


def note_line(event: Event) -> str:
    """The line that is printed for a note on an input."""
    return f"persamhq-video: note: {one_line(event.message or '')}"
