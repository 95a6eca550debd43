"""The last steps of a run fail: what is complete stays complete, what is not can be gone on with."""

import errno
import json

import pytest

from persamhq_video.cli import main
from persamhq_video.config import make_config
from persamhq_video.errors import OutputError
from persamhq_video.output import run_directory
from persamhq_video.output.result_writer import ResultWriter
from persamhq_video.pipeline.run import run_video

pytestmark = pytest.mark.usefixtures("stand_in")

INLINE = make_config({"executor": "inline"})
WATCHER = """
from persamhq_video.plugin import hookimpl
@hookimpl
def persamhq_run_finished(directory, record):
    {body}
"""


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def given(clip, mask):
    """The video and its mask."""
    return clip, mask


def record_of(out):
    return json.loads((out / "run.json").read_text())


def command(given, out, *more):
    clip, mask = given
    return main(["run", str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet", *more])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no\\nnetwork')", "RuntimeError: no network"),
        ("1 / 0", "ZeroDivisionError"),
        ("(directory / 'none' / 'x').write_text('')", "FileNotFoundError"),
    ],
)
def test_an_observer_that_fails(given, out, capsys, body, said):
    (out.parent / "watcher.py").write_text(WATCHER.format(body=body))
    assert command(given, out, "--plugin", str(out.parent / "watcher.py")) == 3
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"the plugin watcher.py failed in persamhq_run_finished: {said}" in printed
    assert "all files are written, and the run is complete" in printed
    assert record_of(out)["status"] == "complete"
    assert not (out / ".persamhq").exists()
    assert command(given, out) == 0


def test_an_observer_that_fails_for_one_of_three(make_clip, mask, out, tmp_path, capsys):
    body = "if 'two' in str(directory): raise ValueError('no')"
    (tmp_path / "watcher.py").write_text(WATCHER.format(body=body))
    videos = [str(make_clip(name, frames=3)) for name in ("one", "two", "three")]
    arguments = ["run", *videos, "--mask", str(mask), "--out", str(out), "--plugin", str(tmp_path / "watcher.py")]
    assert main([*arguments, "--executor", "inline"]) == 3
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "3 videos: 3 complete"
    assert printed[3].strip().startswith("the plugin watcher.py failed")


def test_an_observer_that_fails_after_a_video_that_failed(given, out, tmp_path, capsys):
    clip, _ = given
    (tmp_path / "watcher.py").write_text(WATCHER.format(body="1 / 0"))
    (clip / "f007.png").write_bytes((clip / "f007.png").read_bytes()[:300])
    assert command(given, out, "--plugin", str(tmp_path / "watcher.py")) == 3
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "frame 7 is missing or broken" in printed
    assert "then the plugin watcher.py failed" in printed
    assert record_of(out)["failure"]["frame"] == 7


FULL = OSError(errno.ENOSPC, "No space left on device")


def failing(monkeypatch, owner, name, *, until, error=FULL):
    """After `until` calls a function fails."""
    original, left = getattr(owner, name), iter(range(until))

    def act(*args, **kwargs):
        if next(left, None) is None:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, act)


@pytest.mark.parametrize(
    "step",
    [
        (run_directory, "write_record", 0),
        (run_directory, "write_record", 1),
        (ResultWriter, "finish", 0),
        (run_directory.RunDirectory, "_remove_hidden", 1),
        (run_directory.RunDirectory, "claim", 14),
    ],
)
def test_a_disk_that_is_full_at_some_step(given, out, tmp_path, capsys, step):
    owner, name, until = step
    run_video(INLINE, *given, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, owner, name, until=until)
        code = command(given, out)
    printed = capsys.readouterr().err
    assert (code, printed.count("\n")) == (3, 1)
    assert "No space left on device" in printed

    # The same command goes on where that is possible, with the same bytes
    assert command(given, out) == 0
    for file in (tmp_path / "whole").rglob("*"):
        if file.is_file() and file.name != "run.json":
            assert (out / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()
    assert record_of(out)["status"] == "complete"


def test_a_listener_that_is_gone_at_the_end(clip, mask, out):
    def listen(event):
        if event.event == "complete":
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(OutputError, match=r"Broken pipe"):
        run_video(INLINE, clip, mask, out, listener=listen)
    assert record_of(out)["status"] == "complete"
    run_video(INLINE, clip, mask, out)
