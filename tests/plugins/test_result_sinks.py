"""The built-in sinks: what each announces, and what it writes."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from persamhq_video.io import Matte
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.protocols import LabelMapSink, ResultSink, SinkFrame, SinkVideo, VideoSink
from persamhq_video.types import ObjectResult, SourceInfo

INFO = SourceInfo(Path("x"), "video", 6, 4, Fraction(1, 25), Fraction(25), num_frames=3, rotation=0)
VIDEO = SinkVideo(INFO, (1, 3))


def sink(name):
    return load_endpoints().make_sinks([name])[name]


def frames(count=3):
    for index in range(count):
        labels = np.zeros((4, 6), np.uint8)
        labels[0, : index + 1] = 3
        entry = ObjectResult(3, "present", 0.25, 0.5, 0.75, area=index + 1, box=(0, 0, index, 0))
        yield SinkFrame(index, index, Fraction(1, 25), f"{index:05d}", labels, (entry,))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("masks", LabelMapSink),
        ("mask-video", VideoSink),
        ("mattes", VideoSink),
        ("overlay", VideoSink),
        ("alpha", VideoSink),
        ("scores", ResultSink),
        ("rle", ResultSink),
    ],
)
def test_kinds(name, kind):
    assert isinstance(sink(name), kind)
    assert sum(isinstance(sink(name), other) for other in (LabelMapSink, VideoSink, ResultSink)) == 1


@pytest.mark.parametrize(
    ("name", "codec", "files"),
    [
        ("mask-video", "h264", {"masks.mkv"}),
        ("overlay", "h264", {"overlay.mp4"}),
        ("alpha", "h264", {"alpha.mov"}),
        ("mattes", "h264", {"mattes/1.mp4", "mattes/3.mp4"}),
        ("mattes", "prores", {"mattes/1.mov", "mattes/3.mov"}),
    ],
)
def test_videos(name, codec, files):
    kinds = sink(name).videos(SinkVideo(INFO, (1, 3), matte_codec=codec))
    assert set(kinds) == files
    image, labels = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    for kind in kinds.values():
        picture = kind.picture(image, labels)
        assert (picture.height, picture.width, picture.format.name) == (4, 6, kind.codec.pixel_format)


def test_each_matte_is_of_its_object():
    kinds = sink("mattes").videos(VIDEO)
    assert [(type(kind), kind.object_id) for kind in kinds.values()] == [(Matte, 1), (Matte, 3)]


def test_scores(tmp_path):
    assert sink("scores").files(VIDEO) == ("scores.csv",)
    sink("scores").write(tmp_path, VIDEO, frames())
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    text = (tmp_path / "scores.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["area_px"] for row in rows] == ["1", "2", "3"]
    assert [row["source_frame"] for row in rows] == ["0", "1", "2"]


def test_rle(tmp_path):
    assert sink("rle").files(VIDEO) == ("masks.rle.json",)
    sink("rle").write(tmp_path, VIDEO, frames())
    content = json.loads((tmp_path / "masks.rle.json").read_text())
    assert content["size"] == [4, 6]
    assert [frame["objects"][0]["area"] for frame in content["frames"]] == [1, 2, 3]
