"""The same run once more: what is there is left alone, what is missing or spoilt is made, with the same bytes."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from stand_ins.tracker import HashTracker

from persamhq_video.cli import main
from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.pipeline.run import run_video

pytestmark = pytest.mark.usefixtures("stand_in")

DEFAULT = "masks,mask-video,mattes,overlay,scores"


@pytest.fixture
def clip(make_clip):
    return make_clip(frames=5)


def hashes(out):
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def record_of(out):
    return json.loads((out / "run.json").read_text())


@pytest.fixture
def run(clip, mask, tmp_path):
    """Run the clip into `out`, or another folder; the events, but for those of frames."""

    def act(outputs=DEFAULT, out="out", **options):
        events = []
        config = make_config({"executor": "inline", "outputs": outputs.split(","), **options})
        run_video(config, clip, mask, tmp_path / out, listener=events.append)
        return [event for event in events if event.event != "frame"]

    return act


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def tracked(monkeypatch):
    """The frames that were tracked since."""
    frames, track = [], HashTracker.track

    def counted(self, target, state, features):
        frames.append(features.frame_index)
        return track(self, target, state, features)

    monkeypatch.setattr(HashTracker, "track", counted)
    return frames


@pytest.mark.parametrize(
    "case",
    [
        (DEFAULT, f"{DEFAULT},rle", False),
        (DEFAULT, f"{DEFAULT},alpha,rle", False),
        (DEFAULT, "rle", False),
        ("masks", "masks,mask-video", False),
        ("masks,scores", "masks,scores,overlay", False),
        ("masks", "masks,overlay", True),  # it shows states, which are in scores.csv
        ("masks,scores", "masks,scores,mattes,mask-video", False),
        ("masks", "masks,scores", True),
        ("scores", "masks,scores", True),
        ("mask-video", "masks,overlay", True),
    ],
)
def test_one_more_output(run, out, tmp_path, tracked, case):
    first, second, tracks = case
    run(first)
    tracked.clear()
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file() and file.name != "run.json"}
    started, complete = run(second)
    assert (bool(tracked), started.event, complete.event) == (tracks, "started", "complete")
    assert f"{out} holds this run already" in started.message

    # The same bytes as of a run that made all of them at once, and nothing was written again
    together = list(dict.fromkeys([*first.split(","), *second.split(",")]))
    run(",".join(together) if not tracks else second, "whole")
    assert hashes(out) == hashes(tmp_path / "whole")
    assert tracks or all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert (record_of(out)["status"], set(record_of(out)["files"])) == ("complete", set(hashes(out)))
    assert [event.event for event in run(second)] == ["already-complete"]


def test_another_codec_of_the_mattes(run, out):
    run()
    run(matte_codec="ffv1")
    assert {"mattes/1.mp4", "mattes/1.mkv"} <= set(record_of(out)["files"])


def test_fewer_outputs_are_there_already(run, out):
    run()
    before = hashes(out)
    assert [event.event for event in run("scores")] == ["already-complete"]
    assert hashes(out) == before


def test_other_options_are_still_refused(run):
    run()
    with pytest.raises(ConfigError, match=r"different: config.mode"):
        run(f"{DEFAULT},rle", mode="independent")
    with pytest.raises(ConfigError, match=r"no_resume is set"):
        run(f"{DEFAULT},rle", no_resume=True)


def test_files_of_somebody_else_are_not_replaced(run, out):
    run()
    (out / "masks.rle.json").write_text("mine")
    with pytest.raises(ConfigError, match=r"masks.rle.json is there and no run wrote it"):
        run(f"{DEFAULT},rle")
    assert (out / "masks.rle.json").read_text() == "mine"


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_link(path):
    elsewhere = path.rename(path.parents[2] / "elsewhere")
    path.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("masks/f002.png", cut),
        ("masks/f000.png", flip),
        ("masks/f004.png", os.unlink),
        ("masks/f003.png", replace_by_link),
        ("overlay.mp4", cut),
        ("mattes/1.mp4", os.unlink),
        ("masks.mkv", lambda path: path.write_bytes(b"")),
        ("scores.csv", flip),
    ],
)
def test_a_file_that_is_not_as_the_run_left_it(run, out, tracked, name, damage):
    run()
    whole = hashes(out)
    damage(out / name)
    spoilt = (out / name).read_bytes() if os.path.lexists(out / name) else None
    tracked.clear()
    started, _ = run()
    assert f"{name} is missing or not as the run left it" in started.message
    assert {file: digest for file, digest in hashes(out).items() if "changed" not in file} == whole
    assert bool(tracked) == name.startswith("masks/") or name == "scores.csv"
    # What somebody may have done to it on purpose is kept
    assert spoilt is None or (out / "changed" / name).is_symlink() or (out / "changed" / name).read_bytes() == spoilt
    assert [event.event for event in run()] == ["already-complete"]


def test_a_run_of_a_version_that_recorded_no_sums(run, out):
    run()
    record = record_of(out)
    del record["sums"]
    (out / "run.json").write_text(json.dumps(record))
    assert [event.event for event in run()] == ["already-complete"]
    whole = hashes(out)
    (out / "masks.mkv").unlink()
    assert [event.event for event in run()] == ["started", "complete"]
    assert hashes(out) == whole


def test_what_cannot_be_made_leaves_the_run_complete(run, out, monkeypatch):
    run()
    before = hashes(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persamhq_video.io.write_rle", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(OutputError, match=r"the result sink 'rle' failed"):
            run(f"{DEFAULT},rle,alpha")
    assert hashes(out) == before
    assert [event.event for event in run()] == ["already-complete"]
    run(f"{DEFAULT},rle,alpha")
    assert {"alpha.mov", "masks.rle.json"} <= set(record_of(out)["files"])


def test_the_command_says_that_nothing_was_to_do(clip, mask, out, capsys):
    command = ["run", str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "nothing to do" in printed.err
    assert printed.out == f"results in {out}\n"


def test_names_that_are_no_text(clip, mask, tmp_path):
    """A video, its frames and the folder of results named in Latin-1."""
    odd = clip.rename(clip.with_name(os.fsdecode(b"vid\xe9o")))
    for file in odd.iterdir():
        file.rename(odd / os.fsdecode(b"\xe9-" + file.name.encode()))
    config = make_config({"executor": "inline", "outputs": [*DEFAULT.split(","), "rle"]})
    out = tmp_path / os.fsdecode(b"r\xe9sultat")
    run_video(config, odd, mask, out)
    assert sorted(os.fsencode(Path(file).name) for file in (out / "masks").iterdir())[3] == b"\xe9-f003.png"
    events = []
    run_video(config, odd, mask, out, listener=events.append)
    assert [event.event for event in events] == ["already-complete"]
    run_video(make_config({"executor": "inline", "overwrite": True, "outputs": ["scores"]}), odd, mask, out)
    assert not (out / "masks").exists()
