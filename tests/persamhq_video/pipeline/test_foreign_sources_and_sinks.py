"""Other people's sources and sinks in whole runs; those of the documentation's page are tried as printed there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from proofs import engine as engine_proof
from proofs.engine import Clip, hash_files
from stand_ins.tracker import GREEN

from persamhq_video import personalize_video
from persamhq_video.cli import main
from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, DecodeError, InputError, OutputError
from persamhq_video.io import open_source, read_label_png
from persamhq_video.pipeline.run import run_video

pytestmark = pytest.mark.usefixtures("stand_in")

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "sources-and-sinks.md"
CAMERA = "camera:lavfi:testsrc=size=64x36:rate=25"

PICTURES = """
import json
from persamhq_video.plugin import hookimpl

class Pictures:
    needs_pictures = True
    def files(self, video):
        return ["sums.json"]
    def write(self, folder, video, frames):
        (folder / "sums.json").write_text(json.dumps([int(frame.image.sum()) for frame in frames]))

@hookimpl
def persamhq_register_result_sinks(register):
    register.add("pictures", Pictures)
"""

FAILS = """
from persamhq_video.plugin import hookimpl

class Fails:
    needs_pictures = False
    def files(self, video):
        return ["half.txt"]
    def write(self, folder, video, frames):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("not today")

class Dark:
    def videos(self, video):
        from persamhq_video.io import RGBVideo
        return {"dark.mp4": RGBVideo(lambda image, labels: image[:10])}

@hookimpl
def persamhq_register_result_sinks(register):
    register.add("fails", Fails)
    register.add("dark", Dark)
"""

DIES_ONCE = """
import os
from pathlib import Path
from persamhq_video.plugin import hookimpl

class DiesOnce:
    needs_pictures = False
    def files(self, video):
        return ["lines.txt"]
    def write(self, folder, video, frames):
        with (folder / "lines.txt").open("w") as file:
            for frame in frames:
                file.write(f"{frame.index} {frame.labels.sum()} {frame.objects[0].score}\\n")
                note = Path(os.environ["NOTE"])
                if frame.index == 20 and not note.exists():
                    note.touch()
                    file.flush()
                    os._exit(9)

@hookimpl
def persamhq_register_result_sinks(register):
    register.add("lines", DiesOnce)
"""

LIVE = """
from dataclasses import replace
from persamhq_video.io import open_source
from persamhq_video.plugin import hookimpl

class Once:
    def __init__(self, files):
        self.files, self.info, self.num_selected = files, replace(files.info, kind="once", is_live=True), None
    def frames(self):
        return self.files.frames()

class Live:
    is_live = True
    def accepts(self, text):
        return text.startswith("live:")
    def open(self, request):
        return Once(open_source(request.text.removeprefix("live:")))

@hookimpl
def persamhq_register_frame_sources(register):
    register.add("live", Live)
"""


def examples():
    """The plugins on the page, by the name of their files."""
    found = re.findall(r"`(\w+\.py)`(?:(?!```).)*?```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return dict(found)


@pytest.fixture
def plugin(tmp_path):
    """Writes a plugin's text to a file."""

    def write(name, text=None):
        path = tmp_path / name
        path.write_text(examples()[name] if text is None else text)
        return str(path)

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def config(*plugins, **options):
    return make_config({"executor": "inline", "plugins": list(plugins), **options})


def record_of(out):
    return json.loads((out / "run.json").read_text())


def results_in(out):
    return {name: digest for name, digest in hash_files(out).items() if not name.startswith(".persamhq")}


class TestThePage:
    def test_the_examples_are_short(self):
        assert set(examples()) == {"boxes.py", "spotlight.py", "stack.py"}
        assert max(sum(map(bool, text.splitlines())) for text in examples().values()) < 30

    def test_boxes(self, clip, mask, out, plugin):
        run_video(config(plugin("boxes.py"), outputs=["masks", "boxes"]), clip, mask, out)
        boxes = json.loads((out / "boxes.json").read_text())
        assert list(boxes) == [f"f{index:03d}" for index in range(12)]
        labels = read_label_png(out / "masks" / "f007.png")
        rows, columns = np.nonzero(labels == 2)
        assert boxes["f007"]["2"] == [columns.min(), rows.min(), columns.max(), rows.max()]
        assert "boxes.json" in record_of(out)["files"]
        assert set(results_in(out)) == {"boxes.json", *(f"masks/f{index:03d}.png" for index in range(12))}

    def test_spotlight(self, clip, mask, out, plugin):
        run_video(config(plugin("spotlight.py"), outputs=["spotlight"]), clip, mask, out)
        frames = list(open_source(out / "spotlight.mp4").frames())
        assert len(frames) == 12
        labels = np.array(Image.open(mask))
        assert frames[0].image[labels > 0].mean() > 2 * frames[0].image[labels == 0].mean()

    def test_stack(self, clip, mask, out, tmp_path, plugin):
        images = np.stack([frame.image for frame in open_source(clip).frames()])
        np.save(tmp_path / "clip.npy", images)
        run_video(config(plugin("stack.py"), start=2, end=9, stride=3), tmp_path / "clip.npy", mask, out)
        run_video(config(start=2, end=9, stride=3), clip, mask, tmp_path / "folder")
        assert record_of(out)["source"]["kind"] == "stack"
        labels = [read_label_png(file).sum() for file in sorted((out / "masks").iterdir())]
        assert labels == [read_label_png(file).sum() for file in sorted((tmp_path / "folder" / "masks").iterdir())]
        assert results_in(out)["scores.csv"] == results_in(tmp_path / "folder")["scores.csv"]

    @pytest.mark.slow
    @pytest.mark.usefixtures("ray_cluster")
    @pytest.mark.parametrize("decode", ["driver", "workers"])
    def test_the_same_on_ray(self, clip, mask, tmp_path, plugin, decode):
        out = tmp_path / "out"
        np.save(tmp_path / "clip.npy", np.stack([frame.image for frame in open_source(clip).frames()]))
        plugins = plugin("stack.py"), plugin("boxes.py"), plugin("spotlight.py")
        inline = config(*plugins, outputs=["boxes", "spotlight", "rle", "scores"])
        run_video(inline, tmp_path / "clip.npy", mask, tmp_path / "inline")
        on_ray = inline.model_copy(update={"executor": "ray", "workers": 2, "decode": decode})
        run_video(on_ray, tmp_path / "clip.npy", mask, out)
        assert results_in(out) == results_in(tmp_path / "inline")
        assert set(results_in(out)) == {"boxes.json", "spotlight.mp4", "masks.rle.json", "scores.csv"}
        assert ("worker_decode" in record_of(out)["seconds"]) == (decode == "workers")


class TestSinks:
    def test_pictures(self, clip, mask, out, plugin):
        run_video(config(plugin("pictures.py", PICTURES), outputs=["pictures"], stride=5), clip, mask, out)
        expected = [int(frame.image.sum()) for frame in open_source(clip, stride=5).frames()]
        assert json.loads((out / "sums.json").read_text()) == expected

    def test_a_run_that_breaks_off(self, clip, mask, out, plugin):
        (clip / "f007.png").write_bytes((clip / "f007.png").read_bytes()[:300])
        plugins = plugin("pictures.py", PICTURES), plugin("boxes.py")
        with pytest.raises(DecodeError, match="frame 7 is missing or broken"):
            run_video(config(*plugins, outputs=["pictures", "boxes"]), clip, mask, out)
        assert len(json.loads((out / "sums.json").read_text())) == 7
        assert len(json.loads((out / "boxes.json").read_text())) == 7
        assert set(record_of(out)["files"]) == {"sums.json", "boxes.json"}

    def test_one_that_fails(self, clip, mask, out, plugin, capsys):
        arguments = [str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet"]
        arguments += ["--plugin", plugin("fails.py", FAILS), "--outputs", "fails,masks,scores"]
        assert main(["run", *arguments]) == 3
        line = (
            "persamhq-video: error: the result sink 'fails' failed: RuntimeError: not today; the committed frames are"
        )
        assert capsys.readouterr().err == f"{line} kept\n"
        record = record_of(out)
        assert (record["status"], record["failure"]["error"]) == ("failed", "OutputError")
        assert record["frames"]["committed"] == 12
        # The other sinks had their turn.
        assert set(results_in(out)) == {"scores.csv", *(f"masks/f{index:03d}.png" for index in range(12))}
        # The same again goes on from the last state, which is at most 8 frames back.
        assert main(["run", *arguments]) == 3
        assert record_of(out)["counts"]["frames_tracked"] < 12 + 8

    def test_a_picture_of_the_wrong_size(self, clip, mask, out, plugin):
        with pytest.raises(OutputError, match=r"the result sink 'dark' failed: ValueError: got a picture of 64x10"):
            run_video(config(plugin("fails.py", FAILS), outputs=["masks", "dark"]), clip, mask, out)
        assert record_of(out)["status"] == "failed"

    def test_a_file_of_somebody_else(self, clip, mask, out, plugin):
        out.mkdir()
        (out / "boxes.json").write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match=r"boxes.json is there and no run wrote it"):
                run_video(config(plugin("boxes.py"), outputs=["boxes"], overwrite=overwrite), clip, mask, out)
        assert (out / "boxes.json").read_text() == "mine"

    def test_overwrite_removes_its_files(self, clip, mask, out, plugin):
        run_video(config(plugin("boxes.py"), outputs=["boxes", "rle"]), clip, mask, out)
        run_video(config(plugin("boxes.py"), outputs=["boxes", "rle"]), clip, mask, out)  # done already
        (out / "notes.txt").write_text("mine")
        run_video(config(outputs=["scores"], overwrite=True), clip, mask, out)
        assert set(results_in(out)) == {"scores.csv", "notes.txt"}

    @pytest.mark.parametrize(
        ("outputs", "message"),
        [
            (
                "masks,overlai",
                "unknown result sink 'overlai' (did you mean 'overlay'?); known: alpha, mask-video, masks",
            ),
            ("boxes", "unknown result sink 'boxes'"),
        ],
    )
    def test_one_that_is_not_known(self, clip, mask, capsys, outputs, message):
        out = clip / "out"
        assert main(["run", str(clip), "--mask", str(mask), "--out", str(out), "--outputs", outputs]) == 2
        assert capsys.readouterr().err.startswith(f"persamhq-video: error: option outputs: {message}")
        assert not out.exists()

    def test_one_that_is_not_known_among_several_videos(self, clip, mask, tmp_path, capsys):
        table = tmp_path / "jobs.csv"
        table.write_text(f"video,mask,out,outputs\n{clip},{mask},one,scores\n{clip},{mask},two,scoers\n")
        assert main(["run", str(table)]) == 2
        assert f"error: {clip}: option outputs: unknown result sink 'scoers'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in_process")
class TestKills:
    @pytest.fixture
    def long_clip(self, make_clip, mask, plugin):
        options = ("--plugin", plugin("boxes.py"), "--plugin", plugin("pictures.py", PICTURES))
        return Clip(make_clip("long", frames=45), mask, (*options, "--outputs", "masks,rle,boxes,pictures,scores"))

    def test_a_driver_that_is_killed(self, long_clip, tmp_path):
        whole = engine_proof.inline(long_clip, tmp_path / "whole")
        killed = engine_proof.driver_killed(3, 5, "--executor", "inline")(long_clip, tmp_path / "killed")
        assert killed.hashes == whole.hashes
        assert {"masks.rle.json", "boxes.json", "sums.json", "scores.csv"} < set(whole.hashes)

    def test_a_kill_while_a_sink_writes(self, long_clip, tmp_path, plugin, monkeypatch):
        file = plugin("lines.py", DIES_ONCE)
        clip = replace(long_clip, options=("--plugin", file, "--outputs", "lines,rle"))
        (tmp_path / "note").touch()
        monkeypatch.setenv("NOTE", str(tmp_path / "note"))
        whole = engine_proof.inline(clip, tmp_path / "whole")

        monkeypatch.setenv("NOTE", str(tmp_path / "another"))
        process = engine_proof.start(clip, tmp_path / "killed", "--executor", "inline")
        process.communicate()
        assert process.returncode == 9
        assert not (tmp_path / "killed" / "lines.txt").exists()
        resumed = engine_proof.inline(clip, tmp_path / "killed")
        assert resumed.hashes == whole.hashes
        assert (tmp_path / "killed" / "lines.txt").read_text().count("\n") == 45
        assert resumed.num_repeated("track") <= engine_proof.MAX_UNSAVED_FRAMES


class TestLive:
    def test_a_camera(self, mask, tmp_path, capsys):
        arguments = ["run", CAMERA, "--mask", str(mask), "--out", str(tmp_path / "out"), "--executor", "inline"]
        assert main([*arguments, "--end", "9", "--quiet"]) == 0
        record = record_of(tmp_path / "out")
        assert record["source"]["video"] == CAMERA
        assert record["frames"] == {"committed": 9, "expected": 9}
        assert record["inputs"] == {"video": CAMERA, "source": "stream", **_mask_identity(record)}
        assert len(list(open_source(tmp_path / "out" / "overlay.mp4").frames())) == 9
        assert main([*arguments, "--end", "9", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["event"] == "already-complete"

    def test_the_mask_and_the_folder_are_named_after_it(self, mask, tmp_path):
        (tmp_path / "masks").mkdir()
        video = f"{CAMERA}:duration=0.2"
        stem = "camera-lavfi-testsrc-size-64x36-rate-25-duration-0.2"
        mask.rename(tmp_path / "masks" / f"{stem}.png")
        table = tmp_path / "jobs.csv"
        table.write_text(f"video,mask,outputs\n{video},masks,scores\n")
        assert main(["run", str(table), "--out", str(tmp_path / "out"), "--executor", "inline", "--quiet"]) == 0
        assert (tmp_path / "out" / stem / "scores.csv").is_file()

    def test_an_interrupt_keeps_what_there_is(self, make_clip, mask, out, plugin, capsys):
        video = f"live:{make_clip(trap=GREEN)}"
        arguments = ["run", video, "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet"]
        arguments += ["--plugin", plugin("live.py", LIVE)]
        assert main(arguments) == 130
        assert "interrupted; the files hold the frames until now" in capsys.readouterr().err
        assert record_of(out)["status"] == "interrupted"
        assert {"masks.mkv", "overlay.mp4", "scores.csv"} < set(record_of(out)["files"])
        assert len(list(open_source(out / "masks.mkv").frames())) == 5

        assert main(arguments) == 2
        line = f"persamhq-video: error: {out} holds an unfinished run of {video}, which cannot be gone on with: "
        assert capsys.readouterr().err.startswith(line)
        assert len(list(open_source(out / "masks.mkv").frames())) == 5

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"decode": "workers"}, r"testsrc.* is live, so no worker can decode it too; use --decode driver"),
            (
                {"outputs": ["masks", "pictures"]},
                r"the result sink 'pictures' wants the pictures once more, but camera:",
            ),
        ],
    )
    def test_what_needs_it_twice(self, mask, out, plugin, options, message):
        with pytest.raises(ConfigError, match=message):
            run_video(config(plugin("pictures.py", PICTURES), **options), CAMERA, mask, out)
        assert not out.exists()

    def test_a_mask_of_another_size(self, mask, out):
        with pytest.raises(InputError, match=r"the mask is 64x36 but the frame is 32x32"):
            run_video(config(), "camera:lavfi:testsrc=size=32x32:rate=25", mask, out)
        assert not out.exists()

    def test_personalize_video(self, mask):
        results = list(personalize_video(CAMERA, mask=mask, end=4, executor="inline"))
        assert [result.index for result in results] == [0, 1, 2, 3]


def _mask_identity(record):
    return {name: record["inputs"][name] for name in ("mask_sha256", "mask_mapping")}
