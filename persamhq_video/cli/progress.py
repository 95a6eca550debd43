"""Progress reports while videos are run: bars on standard error, or events as JSON on standard output."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

from tqdm import tqdm

from persam_hq.io.console import bar_stream, drop_output, takes_all_letters
from persam_hq.io.text.shown_text import json_line, printable, redact_secrets
from persamhq_video.cli.progress_bars import JobBars, note_line
from persamhq_video.events import Event, Listener

__all__ = ["print_json", "report_progress"]

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
            yield _JsonLines(events)
    elif quiet:
        yield _print_notes
    else:
        bars = _SequentialBars() if videos == 1 else JobBars(videos)
        try:
            yield bars
        finally:
            bars.close()


class _JsonLines:
    """Prints events, a line each, for as long as somebody reads them: a run goes on without its reader."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_read = True

    def __call__(self, event: Event) -> None:
        # Fields that an event does not have are left out; each line is flushed, as programs read them as they come.
        content = {key: value for key, value in dataclasses.asdict(event).items() if value is not None}
        if self._is_read:
            try:
                print_json(content, file=self._file)
            except OSError:  # no reader, or no space where the output goes
                self._is_read = False
                drop_output(self._file)


def print_json(content: Mapping[str, Any], *, file: TextIO) -> None:
    """Print one JSON object on a line of its own, at once; in escapes where the console lacks letters."""
    print(json_line(content, ascii_only=not takes_all_letters(file)), flush=True, file=file)


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
            print(f"{event.video}: nothing to do, {event.message} holds this run already, complete", file=sys.stderr)
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
            desc=printable(redact_secrets(event.video).rsplit("/", maxsplit=1)[-1]),
            total=event.frames,
            unit=" frames",
            mininterval=pause,
            file=bar_stream(sys.stderr),
            dynamic_ncols=True,
        )
