"""The files that sinks may announce."""

from fractions import Fraction
from pathlib import Path

import pytest

from persamhq_video.errors import PluginError
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.output.sinks import plan_sinks
from persamhq_video.protocols.result_sink import SinkVideo
from persamhq_video.types import SourceInfo

INFO = SourceInfo(Path("x"), "video", 6, 4, Fraction(1, 25), Fraction(25), num_frames=3, rotation=0)
VIDEO = SinkVideo(INFO, (1, 2))


class Writes:
    def __init__(self, *files, pictures=False):
        self._files, self.needs_pictures = files, pictures

    def files(self, video):
        return self._files

    def write(self, folder, video, frames):
        raise AssertionError("not while planning")


class Films:
    def __init__(self, *files):
        self._files = files

    def videos(self, video):
        return dict.fromkeys(self._files, "kind")


class Both(Writes):
    def videos(self, video):
        return {"film.mp4": "kind"}


class Fails(Films):
    def videos(self, video):
        raise KeyError("objects")


def test_the_default_ones():
    sinks = load_endpoints().make_sinks(["masks", "mask-video", "mattes", "overlay", "scores"])
    plan = plan_sinks(sinks, VIDEO)
    assert plan.keeps_labels
    assert list(plan.kinds) == ["masks.mkv", "mattes/1.mp4", "mattes/2.mp4", "overlay.mp4"]
    assert list(plan.writers) == ["scores"]
    assert set(plan.owners) == {*plan.kinds, "scores.csv"}
    assert plan.files_of("mattes") == ("mattes/1.mp4", "mattes/2.mp4")
    assert plan.needs_pictures is None


def test_none_that_keeps_label_maps():
    assert not plan_sinks({"x": Writes("a.json")}, VIDEO).keeps_labels


def test_one_that_films_and_writes():
    plan = plan_sinks({"both": Both("a.json")}, VIDEO)
    assert plan.files_of("both") == ("film.mp4", "a.json")
    assert (list(plan.kinds), list(plan.writers)) == (["film.mp4"], ["both"])


def test_who_needs_pictures():
    sinks = {"one": Writes("a"), "two": Writes("b", pictures=True), "three": Writes("c", pictures=True)}
    assert plan_sinks(sinks, VIDEO).needs_pictures == "two"


@pytest.mark.parametrize("file", ["a.json", "boxes/1.json", "a b.txt", "ä.txt", "deep/er/x"])
def test_names_that_are_fine(file):
    assert plan_sinks({"x": Writes(file)}, VIDEO).owners == {file: "x"}


@pytest.mark.parametrize(
    "file",
    [
        "",
        ".",
        "..",
        "../a",
        "a/../b",
        "/a",
        "a//b",
        "a/",
        "./a",
        ".a",
        "b/.a",
        "run.json",
        "masks/x.png",
        "masks",
        "a\nb",
        "a\\b",
        3,
        None,
    ],
)
@pytest.mark.parametrize("sink", [Writes, Films])
def test_names_that_lead_elsewhere(sink, file):
    with pytest.raises(PluginError, match=r"the result sink 'x' wants to write .* expected a name such as") as caught:
        plan_sinks({"x": sink(file)}, VIDEO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sinks",
    [{"one": Writes("a"), "two": Films("a")}, {"one": Writes("b"), "two": Writes("b")}],
    ids=["kinds", "writers"],
)
def test_a_file_of_two_sinks(sinks):
    with pytest.raises(PluginError, match=r"file [ab] is made twice: by the result sinks 'one' and 'two'"):
        plan_sinks(sinks, VIDEO)


def test_a_file_twice():
    with pytest.raises(PluginError, match=r"file a is made twice: by the result sinks 'one' and 'one'"):
        plan_sinks({"one": Writes("a", "a")}, VIDEO)


def test_one_that_fails():
    with pytest.raises(PluginError, match=r"'x' cannot name its files: KeyError: 'objects'"):
        plan_sinks({"x": Fails()}, VIDEO)
