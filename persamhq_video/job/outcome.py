"""Outcomes: how each video of a job ended, the exit code that follows, and the summary of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from persam_hq.errors import one_line
from persam_hq.io.text.shown_text import printable, redact_secrets
from persamhq_video.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from persamhq_video.job.tasks import VideoTask

__all__ = ["Outcome", "VideoStatus", "exit_code", "summary_event", "summary_table"]

VideoStatus = Literal["complete", "already complete", "failed", "refused", "interrupted"]

_HEADINGS: Final = ("video", "status", "frames", "seconds", "frames/s")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one video ended: `refused` before its first frame, `failed` after it; `reason` says why.

    One that is `complete` has a reason where something failed after its last file was written, such as a plugin that
    observes runs.

    `frames` are on disk; `seconds` and `fps` (frames a second) are None where the video was not run.
    """

    task: VideoTask
    status: VideoStatus
    frames: int = 0
    seconds: float | None = None
    fps: float | None = None
    reason: str | None = None
    error: BaseException | None = field(default=None, compare=False, repr=False)
    resumable: bool = True
    """Whether an interrupted run can be resumed; a live source cannot, as its frames do not come again."""


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 all done; 130 interrupted; 3 something failed with one of the videos, or 2 where a single one was refused."""
    statuses = {outcome.status for outcome in outcomes}
    if "interrupted" in statuses:
        return EXIT_INTERRUPTED
    if len(outcomes) == 1 and "refused" in statuses:
        return EXIT_REFUSED
    is_flawed = any(outcome.reason is not None for outcome in outcomes)
    return EXIT_FAILED if is_flawed or statuses & {"failed", "refused"} else 0


def summary_table(outcomes: Sequence[Outcome]) -> str:
    """One line per video, the reason of a failure in full below it, and how many videos ended in each way."""
    rows = [_HEADINGS, *map(_cells, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [_aligned(row, widths) for row in rows]
    # From the last one up, so that no insertion moves the place of another
    for number, outcome in reversed(list(enumerate(outcomes, start=1))):
        if outcome.reason is not None:
            lines.insert(number + 1, f"  {one_line(outcome.reason)}")
    return "\n".join([*lines, _counted(outcomes), ""])


def summary_event(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same for programs: what `--json` prints last."""
    videos = [
        {
            "video": str(outcome.task.video),
            "out": str(outcome.task.out),
            "status": outcome.status,
            "frames": outcome.frames,
            "seconds": None if outcome.seconds is None else round(outcome.seconds, 3),
            "fps": None if outcome.fps is None else round(outcome.fps, 2),
            "reason": outcome.reason,
        }
        for outcome in outcomes
    ]
    return {"event": "summary", "counts": _counts(outcomes), "videos": videos}


def _cells(outcome: Outcome) -> tuple[str, ...]:
    seconds = "-" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    fps = "-" if outcome.fps is None else f"{outcome.fps:.1f}"
    return printable(redact_secrets(str(outcome.task.video))), outcome.status, str(outcome.frames), seconds, fps


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """A row of the table: the two columns of words to the left, those of numbers to the right."""
    words, numbers = row[:2], row[2:]
    cells = [f"{word:<{width}}" for word, width in zip(words, widths, strict=False)]
    return "  ".join([*cells, *(f"{number:>{width}}" for number, width in zip(numbers, widths[2:], strict=True))])


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts = Counter(outcome.status for outcome in outcomes)
    return {ending: counts[ending] for ending in get_args(VideoStatus) if counts[ending]}


def _counted(outcomes: Sequence[Outcome]) -> str:
    counts = ", ".join(f"{count} {ending}" for ending, count in _counts(outcomes).items())
    return f"{len(outcomes)} {'video' if len(outcomes) == 1 else 'videos'}: {counts or 'none'}"
