"""The built-in kinds of source: what each takes, and what it opens."""

import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import ConfigError, InputError
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.protocols import FrameRequest, FrameWindow

FILMED = "camera:lavfi:testsrc=size=64x36:rate=25:duration=0.4"


def kind(name):
    return load_endpoints().registry.frame_sources.make(name)


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((36, 64, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "taken_by"),
    [
        ("", {"folder"}),
        ("0.png", {"video"}),
        ("nothing", set()),
        ("rtsp://camera.local/one", {"stream"}),
        ("HTTP://host/clip.mp4", {"stream"}),
        ("camera:0", {"stream"}),
        ("ftp://host/clip.mp4", set()),
    ],
)
def test_what_each_takes(folder, text, taken_by):
    given = text if ":" in text else str(folder / text)
    assert {name for name in ("folder", "video", "stream") if kind(name).accepts(given)} == taken_by


def test_only_streams_are_live():
    assert [kind(name).is_live for name in ("folder", "video", "stream")] == [False, False, True]


def test_a_folder(folder):
    source = kind("folder").open(FrameRequest(str(folder), FrameWindow(start=1)))
    assert [int(frame.image[0, 0, 0]) for frame in source.frames()] == [1, 2]


def test_a_camera():
    source = kind("stream").open(FrameRequest(FILMED, FrameWindow(end=4, stride=2)))
    assert [frame.index for frame in source.frames()] == [0, 1]


@pytest.mark.parametrize(("name", "message"), [("folder", "no such folder"), ("video", "no such file")])
def test_what_is_not_there(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        kind(name).open(FrameRequest(str(tmp_path / "none"), FrameWindow()))


def test_a_reader_that_is_not_known(folder):
    with pytest.raises(ConfigError, match="got reader 'vhs'"):
        kind("video").open(FrameRequest(str(folder / "0.png"), FrameWindow(), reader="vhs"))
