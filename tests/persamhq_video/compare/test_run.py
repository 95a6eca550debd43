"""A comparison from the first frame to the files."""

import csv
import json

import av
import numpy as np
import pytest
from PIL import Image
from stand_ins.tracker import GREEN, RED

from persamhq_video.compare import run_comparison
from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError, PluginError
from persamhq_video.pipeline.run import run_video

FILES = {"compare.html", "compare.csv", "compare.json", "side_by_side.mp4", "default", "points", "plain"}


def silent(event):
    del event


def compare(plan, **options):
    return run_comparison(plan(**options), command="persamhq-video compare clip", listener=silent)


def test_what_is_left(plan, out):
    compare(plan)
    assert {path.name for path in out.iterdir()} == FILES
    assert len(list((out / "plain" / "masks").iterdir())) == 12
    assert "persamhq-video compare clip" in (out / "compare.html").read_text()


OPTIONS = {
    "default": {},
    "points": {"prompts": "top_k_points"},
    "plain": {"refine": [], "mode": "independent", "prompts": "top_k_points"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_masks_and_scores_are_those_of_a_run(plan, out, tmp_path, name):
    compare(plan)
    alone = tmp_path / "alone"
    run_video(make_config({"executor": "inline", **OPTIONS[name]}), tmp_path / "clip", tmp_path / "mask.png", alone)
    for file in sorted((alone / "masks").iterdir()):
        assert (out / name / "masks" / file.name).read_bytes() == file.read_bytes()
    assert (out / name / "scores.csv").read_bytes() == (alone / "scores.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_on_ray(plan, out, tmp_path):
    compare(plan)
    inline = {path.name: path.read_bytes() for path in (out / "points" / "masks").iterdir()}
    compare(plan, executor="ray", workers=2, overwrite=True)
    assert {path.name: path.read_bytes() for path in (out / "points" / "masks").iterdir()} == inline


def test_the_table(plan, out):
    table = compare(plan)
    with (out / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["strategy"] for row in rows] == ["default", "points", "plain"]
    assert [row["options"] for row in rows] == ["--default", "--points", "--plain"]
    assert rows[0]["agreement_points"] == rows[1]["agreement_default"]
    assert float(rows[0]["agreement_points"]) < 100
    assert rows[0]["score"] == "100.00"
    assert "j" not in rows[0]
    assert table.rows[0].agreement[0] is None
    assert all(float(row["track_ms"]) > 0 for row in rows)


def test_with_annotations(plan, clip, mask, out, tmp_path):
    truth = tmp_path / "truth"
    truth.mkdir()
    for frame in clip.iterdir():
        (truth / frame.name).write_bytes(mask.read_bytes())
    table = compare(plan, annotations=truth)
    scores = []
    for index in range(1, 11):
        true, found = (np.array(Image.open(f / f"f{index:03d}.png")) for f in (truth, out / "points" / "masks"))
        scores += [np.sum((true == i) & (found == i)) / np.sum((true == i) | (found == i)) for i in (1, 2)]
    assert table.rows[1].j == pytest.approx(np.mean(scores))
    text = (out / "compare.html").read_text()
    assert "J: IoU with the annotation, %" in text
    assert "<figcaption>annotation</figcaption>" in text


def test_the_video(plan, out):
    compare(plan)
    with av.open(str(out / "side_by_side.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(container.decode(stream))
    assert len(frames) == 12
    assert (frames[0].width, frames[0].height) == (480, 2 * (136 + 30))


def test_the_record(plan, out):
    compare(plan, stride=2)
    record = json.loads((out / "compare.json").read_text())
    assert record["status"] == "complete"
    assert record["frames"] == 6
    assert list(record["strategies"]["points"]["prompts"]) == ["top_k_points"]
    assert record["counts"]["tracked"] == 15
    assert set(record["entries"]) == FILES


def test_a_strategy_that_fails_leaves_nothing(plan, make_clip, out):
    with pytest.raises(ExecutorError, match="frame 5: track failed: RuntimeError: the stand-in does not like red"):
        compare(plan, video=make_clip("bad", trap=RED))
    assert not out.exists()


def test_an_interrupt_leaves_nothing(plan, make_clip, out):
    with pytest.raises(KeyboardInterrupt):
        compare(plan, video=make_clip("long", trap=GREEN))
    assert not out.exists()


def test_a_plugin_that_is_missing(plan, out):
    with pytest.raises(PluginError, match=r"cannot read the plugin none.py"):
        compare(plan, plugins=["none.py"])
    assert not out.exists()
