"""The summary of many videos at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from persamhq_video.job.outcome import Outcome, exit_code, summary_event, summary_table
from persamhq_video.job.tasks import VideoTask


def ended(status, name="clip", **told):
    return Outcome(VideoTask(Path(f"{name}.mp4"), "mask.png", Path("out") / name), status, **told)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        (["complete"], 0),
        (["complete", "already complete"], 0),
        (["refused"], 2),
        (["failed"], 3),
        (["refused", "complete"], 3),
        (["refused", "refused"], 3),
        (["failed", "complete"], 3),
        (["interrupted"], 130),
        (["failed", "interrupted", "complete"], 130),
    ],
)
def test_exit_code(statuses, code):
    assert exit_code([ended(status) for status in statuses]) == code


OUTCOMES = [
    ended("complete", "a", frames=120, seconds=10.04, fps=11.95),
    ended("failed", "longer-name", frames=7, seconds=2.0, reason="frame 7 is missing\nor broken"),
    ended("already complete", "c"),
    ended("refused", "d", reason="d.mp4: not a video"),
]


def test_the_table():
    assert summary_table(OUTCOMES).splitlines() == [
        "video            status            frames  seconds  frames/s",
        "a.mp4            complete             120     10.0      11.9",
        "longer-name.mp4  failed                 7      2.0         -",
        "  frame 7 is missing or broken",
        "c.mp4            already complete       0        -         -",
        "d.mp4            refused                0        -         -",
        "  d.mp4: not a video",
        "4 videos: 1 complete, 1 already complete, 1 failed, 1 refused",
    ]


def test_the_event():
    event = summary_event(OUTCOMES)
    assert (event["event"], event["counts"]["failed"], len(event["videos"])) == ("summary", 1, 4)
    assert event["videos"][3] == {
        "video": "d.mp4",
        "out": "out/d",
        "status": "refused",
        "frames": 0,
        "seconds": None,
        "fps": None,
        "reason": "d.mp4: not a video",
    }
