"""One video's failure stays with that video: whatever goes wrong with it, the others are completed."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from persamhq_video import personalize_video
from persamhq_video.cli import main
from persamhq_video.config import make_config
from persamhq_video.errors import InputError
from persamhq_video.executors.driver.prefetch import Prefetcher
from persamhq_video.executors.workers.inline_pool import InlinePool
from persamhq_video.io.readers.folder import FolderSource
from persamhq_video.job.sources_and_sinks import Endpoints
from persamhq_video.job.tasks import VideoTask
from persamhq_video.output.result_writer import ResultWriter
from persamhq_video.output.run_directory import RunDirectory
from persamhq_video.pipeline import run as pipeline
from persamhq_video.pipeline.run import run_tasks
from persamhq_video.pipeline.run_record import RunRecord

pytestmark = pytest.mark.usefixtures("stand_in")

INLINE = make_config({"executor": "inline", "outputs": ["masks"]})


def run(videos, mask, out):
    return run_tasks(INLINE, [VideoTask(video, mask, out / video.name) for video in videos])


def status_of(folder):
    return json.loads((folder / "run.json").read_text())["status"]


def failing_for(name, error):
    """A method that raises for the video `two` and does its work for the others."""

    def replacement(original):
        def act(*args, **kwargs):
            if "two" in name(*args):
                raise error
            return original(*args, **kwargs)

        return act

    return replacement


UNPLANNED = [
    UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid continuation byte"),
    OSError(errno.ENAMETOOLONG, "File name too long"),
    MemoryError(),
]
PLACES = [
    (Endpoints, "open_source", lambda self, config, video: str(video), "refused", None),
    (pipeline, "plan_video", lambda job, request, directory: str(request.video), "refused", None),
    (pipeline, "VideoRun", lambda task, plan, notify: str(task.video), "failed", None),
    (ResultWriter, "open", lambda self: str(self._directory.path), "failed", None),
    (ResultWriter, "commit", lambda self, frame, result: str(self._directory.path), "failed", "failed"),
    (ResultWriter, "finish", lambda self: str(self._directory.path), "failed", "failed"),
    (RunRecord, "content", lambda self, status: str(self._plan.directory.path), "failed", None),
    (RunDirectory, "write_record", lambda self, record: str(self.path), "failed", None),
]


CASES = [
    *((place, UNPLANNED[number % 3]) for number, place in enumerate(PLACES)),
    *((PLACES[number], SystemExit(0)) for number in (0, 4, 5)),  # code of plugins is run there
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][1]}-{type(case[1]).__name__}")
def test_an_error_that_nobody_foresaw(make_clip, mask, tmp_path, monkeypatch, case):
    (owner, method, name, ending, status), error = case
    monkeypatch.setattr(owner, method, failing_for(name, error)(getattr(owner, method)))
    outcomes = run([make_clip(each, frames=3) for each in ("one", "two", "three")], mask, tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["complete", ending, "complete"]
    assert type(error).__name__ in outcomes[1].reason or str(error.args[-1]) in outcomes[1].reason
    assert "\n" not in outcomes[1].reason
    record = tmp_path / "out" / "two" / "run.json"
    assert (status_of(record.parent) if record.exists() else None) == status


def test_a_thread_that_cannot_be_started(make_clip, mask, tmp_path, monkeypatch):
    started = []

    def fail_once(self, frames, *, wake, original=Prefetcher.__init__):
        started.append(frames)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        original(self, frames, wake=wake)

    monkeypatch.setattr(Prefetcher, "__init__", fail_once)
    outcomes = run([make_clip(each, frames=3) for each in ("one", "two", "three")], mask, tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "complete"]
    assert outcomes[1].reason == "RuntimeError: can't start new thread"


def test_a_source_that_cannot_be_announced(make_clip, mask, tmp_path, monkeypatch):
    def announce(self, number, source):
        if "two" in str(source.info.path):
            raise TypeError("cannot pickle 'generator' object")

    monkeypatch.setattr(InlinePool, "announce", announce)
    outcomes = run([make_clip(each, frames=3) for each in ("one", "two", "three")], mask, tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "complete"]


def test_a_source_that_raises_something_of_its_own(make_clip, mask, tmp_path, monkeypatch):
    video = make_clip("two", frames=4)

    def read(self, file, index):
        if file.name == "f002.png" and file.parent.name == "two":
            raise KeyError("odd")
        return np.zeros((36, 64, 3), np.uint8)

    monkeypatch.setattr(FolderSource, "_read", read)
    outcomes = run([video, make_clip("three", frames=4)], mask, tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["failed", "complete"]
    assert outcomes[0].reason == f"{video}: frame 2 cannot be read (KeyError: 'odd')"
    record = json.loads((tmp_path / "out" / "two" / "run.json").read_text())
    assert (record["status"], record["failure"]["frame"]) == ("failed", 2)


class TestNames:
    """Texts that no file can be named by, and names at the limit of the file system."""

    @pytest.mark.parametrize("name", ["n" * 300, "a\0b", "é" * 200])
    def test_a_video_that_cannot_be_there(self, make_clip, mask, tmp_path, capsys, name):
        assert main(["run", name, "--mask", str(mask), "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert "no such file or folder" in printed
        with pytest.raises(InputError, match=r"no such file or folder|no frame source"):
            next(iter(personalize_video(name, mask=mask, executor="inline")))

    @pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
    def test_a_mask_or_folder_that_cannot_be_there(self, clip, mask, tmp_path, capsys, name):
        for given in (["--mask", name, "--out", str(tmp_path / "out")], ["--mask", str(mask), "--out", name]):
            assert main(["run", str(clip), *given]) == 2
            assert capsys.readouterr().err.count("\n") == 1

    def test_a_url_with_a_long_query(self, mask, tmp_path, capsys):
        url = f"http://127.0.0.1:9/live.m3u8?token={'x' * 400}"
        assert main(["run", url, "--mask", str(mask), "--out", str(tmp_path / "out"), "--executor", "inline"]) == 2
        assert "cannot be opened (Connection refused)" in capsys.readouterr().err

    @pytest.mark.parametrize("length", [240, 246, 251])
    def test_long_names(self, make_clip, mask, tmp_path, length):
        clip = make_clip("one", frames=2)
        for file in sorted(clip.iterdir()):
            file.rename(clip / f"{file.stem.ljust(length, 'n')}.png")
        long_name = clip.rename(clip.with_name("v" * 255))
        (outcome,) = run([long_name], mask, tmp_path / "out")
        assert (outcome.status, outcome.reason) == ("complete", None)
        names = sorted(file.name for file in (tmp_path / "out" / long_name.name / "masks").iterdir())
        assert names == [f"f00{index}".ljust(length, "n") + ".png" for index in range(2)]

    def test_a_stem_too_long_for_a_mask_in_a_folder_is_that_video_s_affair(self, make_clip, mask, tmp_path, capsys):
        make_clip("one", frames=2)
        make_clip("v" * 253, frames=2)
        (tmp_path / "masks").mkdir()
        mask.rename(tmp_path / "masks" / "one.png")
        arguments = ["run", str(tmp_path / "one"), str(tmp_path / ("v" * 253)), "--mask", str(tmp_path / "masks")]
        assert main([*arguments, "--out", str(tmp_path / "out"), "--executor", "inline"]) == 3
        assert "2 videos: 1 complete, 1 refused" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["clip", "mask.png", "out"])
def test_no_permission_is_refused(clip, mask, tmp_path, capsys, name):
    """As for a user who may not look into a folder; root may."""
    closed = tmp_path / name
    look = os.stat

    def stat(path, *args, **kwargs):
        if Path(os.fsdecode(path) if not isinstance(path, int) else "/") == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(closed))
        return look(path, *args, **kwargs)

    arguments = ["run", str(clip), "--mask", str(mask), "--out", str(tmp_path / "out"), "--executor", "inline"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", stat)
        code = main(arguments)
    printed = capsys.readouterr().err
    assert (code, printed.count("\n")) == (2, 1)
    assert f"{closed}: cannot be opened (Permission denied)" in printed
