"""Progress reports while videos are run: bars on standard error, or events as JSON on standard output."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TextIO

from tqdm import tqdm

from persamhq_video.cli.progress_bars import JobBars, note_line
from persamhq_video.events import Event, Listener

__all__ = ["report_progress"]

_REDRAW_SECONDS: Final = 0.2
_REDRAW_SECONDS_IN_A_LOG: Final = 30.0
"""Where standard error is a file each drawing is a line that stays."""


@contextmanager
def report_progress(*, quiet: bool, as_json: bool, videos: int = 1) -> Iterator[Listener]:
    """A listener for the pipeline; its bars are closed on leaving.

    Several `videos` are run at once, in any order; with 1 they come one after the other.
    """
    if as_json:
        events = sys.stdout
        # Ray prints to standard output when a worker is lost, where programs expect events and nothing else.
        with contextlib.redirect_stdout(sys.stderr):
            yield partial(_print_json, file=events)
    elif quiet:
        yield _print_notes
    else:
        bars = _SequentialBars() if videos == 1 else JobBars(videos)
        try:
            yield bars
        finally:
            bars.close()


def _print_json(event: Event, *, file: TextIO) -> None:
    # Fields that an event does not have are left out; each line is flushed, as programs read them as they come.
    content = {key: value for key, value in dataclasses.asdict(event).items() if value is not None}
    print(json.dumps(content, ensure_ascii=False), flush=True, file=file)


def _print_notes(event: Event) -> None:
    if event.event == "note":
        print(note_line(event), file=sys.stderr)


class _SequentialBars:
    """One progress bar per video, one after the other, with frames per second and the time left."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, event: Event) -> None:
        if event.event == "started":
            if event.message is not None:
                print(f"{event.video}: {event.message}", file=sys.stderr)
            self._open(event)
        elif event.event == "frame" and self._bar is not None:
            # Events count frames from the start, tqdm adds up
            self._bar.update(event.frame - self._bar.n)
        elif event.event == "note":
            print(note_line(event), file=sys.stderr)
        elif event.event == "already-complete":
            print(f"{event.video}: {event.message} holds this run already, complete", file=sys.stderr)
        elif event.event in {"complete", "failed"}:
            self.close()

    def close(self) -> None:
        """Finish the bar, leaving it on the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self, event: Event) -> None:
        self.close()
        pause = _REDRAW_SECONDS if sys.stderr.isatty() else _REDRAW_SECONDS_IN_A_LOG
        self._bar = tqdm(
            desc=event.video.rsplit("/", maxsplit=1)[-1],
            total=event.frames,
            unit=" frames",
            mininterval=pause,
            file=sys.stderr,
            dynamic_ncols=True,
        )
