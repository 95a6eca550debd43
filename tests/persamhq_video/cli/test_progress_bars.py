"""Progress bars of many videos, whose events come interleaved."""

from __future__ import annotations

import io
import re
import sys

import pytest

from persamhq_video.cli.progress import report_progress
from persamhq_video.cli.progress_bars import JobBars, Speed, command_error
from persamhq_video.events import Event


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def interleaved(videos, frames=3):
    names = [f"clips/video{number}.mp4" for number in range(videos)]
    yield from (Event("started", name, 0, frames) for name in names)
    yield from (Event("frame", name, frame, frames) for frame in range(1, frames + 1) for name in names)
    yield from (Event("complete", name, frames, frames) for name in names)


def test_speed_is_that_of_the_last_seconds():
    clock = Clock()
    speed = Speed(seconds=10, clock=clock)
    assert speed.fps == 0
    for _ in range(40):
        clock.now += 0.5
        speed.add(1)
    assert speed.fps == pytest.approx(2)
    for _ in range(40):
        clock.now += 0.25
        speed.add(1)
    assert speed.fps == pytest.approx(4, rel=0.1)
    clock.now += 90
    assert speed.fps < 0.5


def test_a_job_on_a_terminal_has_at_most_four_bars_below_its_own(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bars = JobBars(20)
    events = list(interleaved(6))
    for event in events[:-6]:
        bars(event)
    assert len(bars._bars) == 4
    for event in events[-6:]:
        bars(event)
    assert bars._bars == {}
    assert sorted(bars._free) == [1, 2, 3, 4]
    bars.close()
    assert "6/20 videos" in terminal.getvalue()
    assert "frames/s" in terminal.getvalue()


def test_a_job_in_a_log_is_a_few_lines(capsys):
    with report_progress(quiet=False, as_json=False, videos=6) as listener:
        for event in interleaved(6, frames=50):
            listener(event)
    error = capsys.readouterr().err
    assert "6/6 videos" in error
    assert len(re.split(r"[\r\n]+", error.strip())) <= 3


@pytest.mark.parametrize("ending", ["failed", "refused"])
def test_what_goes_wrong_is_told_at_once(capsys, ending):
    bars = JobBars(3)
    bars(Event("started", "a.mp4", 0, 9))
    bars(Event(ending, "a.mp4", message="no\nframe"))
    assert "persamhq-video: error: a.mp4: no frame\n" in capsys.readouterr().err
    bars.close()
    assert "1/3 videos" in capsys.readouterr().err


def test_frames_that_were_there_before_do_not_count_as_speed():
    clock = Clock()
    bars = JobBars(2, speed=Speed(clock=clock))
    bars(Event("started", "a.mp4", 500, 900))
    clock.now += 1
    bars(Event("frame", "a.mp4", 501, 900))
    assert bars._speed.fps == pytest.approx(1)
    bars(Event("already-complete", "b.mp4", message="out/b"))
    assert bars._finished == 1
    bars.close()


@pytest.mark.parametrize(
    ("message", "video", "line"),
    [
        ("no\nframe", None, "no frame"),
        ("no frame", "a.mp4", "a.mp4: no frame"),
        ("a.mp4: no frame", "a.mp4", "a.mp4: no frame"),
    ],
)
def test_an_error_names_its_video_once(message, video, line):
    assert command_error(message, video=video) == f"persamhq-video: error: {line}"
