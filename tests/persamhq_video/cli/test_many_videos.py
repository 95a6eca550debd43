"""Jobs of many videos as a user sees them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from stand_ins.tracker import GREEN

from persamhq_video.cli import main

pytestmark = pytest.mark.usefixtures("stand_in")

SMALL = (32, 48)
SOUND = [f"shot{number:02d}" for number in range(17)]


def write_clip(path, *, frames=6):
    generator = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = SMALL
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            image = generator.integers(0, 255, (*SMALL, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_mask(path, size=SMALL, value=1):
    labels = np.zeros(size, dtype=np.uint8)
    labels[4:12, 6:20] = value
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(labels).save(path)


def run(*arguments):
    return main(["run", *map(str, arguments), "--executor", "inline", "--outputs", "masks,scores"])


def status_of(folder):
    return json.loads((folder / "run.json").read_text())["status"]


@pytest.fixture
def clips(tmp_path):
    """17 sound videos with their masks, and nothing else yet."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in SOUND:
        write_clip(folder / f"{name}.mkv")
        write_mask(tmp_path / "masks" / f"{name}.png")
    return folder


@pytest.fixture
def broken_clips(clips, tmp_path):
    """The same with 3 broken ones: an empty file, a file cut off in the middle, a mask of another size."""
    sound = (clips / "shot00.mkv").read_bytes()
    (clips / "broken-empty.mkv").touch()
    (clips / "broken-cut.mkv").write_bytes(sound[: len(sound) // 2])
    (clips / "broken-mask.mkv").write_bytes(sound)
    for name in ("broken-empty", "broken-cut", "broken-mask"):
        write_mask(tmp_path / "masks" / f"{name}.png", size=(9, 20) if name == "broken-mask" else SMALL)
    return clips


@pytest.mark.usefixtures("broken_clips")
def test_three_broken_videos_of_twenty_do_not_stop_the_others(tmp_path, out, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("clips", "--mask", "masks", "--out", out) == 3
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[-1] == "20 videos: 17 complete, 1 failed, 2 refused"
    reasons = {line.split()[0]: reason.strip() for line, reason in pairwise(lines) if line.startswith("clips/broken-")}
    assert set(reasons) == {f"clips/broken-{name}.mkv" for name in ("cut", "empty", "mask")}
    assert reasons["clips/broken-mask.mkv"].startswith("masks/broken-mask.png: ")
    assert "20x9" in reasons["clips/broken-mask.mkv"]
    assert all(name in reason for name, reason in reasons.items() if "mask" not in name)
    assert printed.err.count("persamhq-video: error: clips/broken-") == 3
    assert "20/20 videos" in printed.err

    assert [status_of(out / name) for name in SOUND] == ["complete"] * 17
    assert status_of(out / "broken-cut") == "failed"
    assert not (out / "broken-empty").exists()
    assert not (out / "broken-mask").exists()


def test_the_same_command_again_runs_only_what_is_missing(clips, tmp_path, out, capsys):
    for name in SOUND[3:]:
        (clips / f"{name}.mkv").unlink()
    command = (clips / "*.mkv", "--mask", tmp_path / "masks" / "{stem}.png", "--out", out)
    assert run(*command) == 0
    assert "3 videos: 3 complete" in capsys.readouterr().out
    write_clip(clips / "shot99.mkv")
    write_mask(tmp_path / "masks" / "shot99.png")
    assert run(*command, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "summary"
    assert events[-1]["counts"] == {"complete": 1, "already complete": 3}
    assert {event["video"] for event in events if event["event"] == "frame"} == {str(clips / "shot99.mkv")}


class TestManifest:
    @pytest.fixture
    def manifest(self, make_clip, mask, tmp_path) -> Path:
        make_clip("one"), make_clip("two")
        path = tmp_path / "jobs.csv"
        path.write_text("video,mask,out,stride,outputs\none,mask.png,res/one,5,\ntwo,mask.png,res/two,,scores\n")
        return path

    def test_neither_mask_nor_out_is_needed(self, manifest, tmp_path, capsys):
        assert run(manifest) == 0
        assert "2 videos: 2 complete" in capsys.readouterr().out
        one, two = (json.loads((tmp_path / "res" / name / "run.json").read_text()) for name in ("one", "two"))
        assert (one["config"]["stride"], one["frames"]["committed"]) == (5, 3)
        assert (two["config"]["stride"], two["config"]["outputs"], two["files"]) == (1, ["scores"], ["scores.csv"])

    def test_a_mask_that_is_missing_is_that_video_s_affair(self, manifest, tmp_path, capsys):
        manifest.write_text("video,mask,out\none,none.png,a\ntwo,mask.png,b\nthree,mask.png,c\n")
        assert run(manifest, "--quiet") == 3
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "none.png: no such mask" in printed.err
        assert "three: no such file or folder" in printed.err
        assert printed.err.count("\n") == 2
        assert [(tmp_path / name).exists() for name in "abc"] == [False, True, False]

    @pytest.mark.parametrize(
        ("content", "more", "message"),
        [
            ("video,mask,out,model\none,mask.png,a,lite\n", [], "line 1: unknown column 'model'"),
            ("video,mask\none,mask.png\n", [], "line 2: nowhere to put results; give --out"),
            ("video,out\none,a\n", [], "line 2: no mask; say where it is with --mask"),
            ("video,mask,out\none,mask.png,a\ntwo,mask.png,a\n", [], "line 3: its results would share the folder"),
            ("video,mask,out\none,mask.png,a\ntwo,mask.png,mask.png\n", [], "mask.png is a file; give a folder"),
            ("video,mask,out,start\none,mask.png,a,9\ntwo,mask.png,b,\n", ["--end", "5"], "got start 9 and end 5"),
            ("video,mask,out\none,mask.png,a\ntwo,mask.png,b\n", ["--prompts", "nobody"], "unknown prompt selector"),
            ("video,mask,out\none,mask.png,a\ntwo,mask.png,b\n", ["--workers", "0"], "option workers: got '0'"),
        ],
    )
    def test_what_is_wrong_with_the_job_stops_it(self, manifest, capsys, content, more, message):
        manifest.write_text(content)
        assert run(manifest, *more) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert printed.err.count("\n") == 1
        assert printed.out == ""
        assert not (manifest.parent / "a").exists()


def test_an_interrupt_says_how_to_go_on(make_clip, mask, out, capsys):
    videos = [make_clip("one"), make_clip("two", trap=GREEN), make_clip("three")]
    assert run(*videos, "--mask", mask, "--out", out) == 130
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "3 videos: 1 complete, 2 interrupted"
    assert printed.err.endswith("persamhq-video: interrupted; the same command again goes on from here\n")


def test_quiet_tells_only_errors(make_clip, mask, out, capsys):
    assert run(make_clip("one"), make_clip("two"), "--mask", mask, "--out", out, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
