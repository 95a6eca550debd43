"""`persamhq-video compare` as a user sees it."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_ins.tracker import GREEN, RED

from persamhq_video.cli import main
from persamhq_video.cli.compare import parse_try
from persamhq_video.errors import ConfigError

pytestmark = pytest.mark.usefixtures("stand_in")

TRIES = ("default=", "points=--prompts top_k_points --refine none")


@pytest.fixture
def compare(clip, mask, out):
    """Run the command; returns its exit code."""

    def run(*more, tries=TRIES, video=clip, **changed):
        options = {"mask": mask, "out": out, "executor": "inline", **changed}
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        named = [part for one in tries for part in ("--try", one)]
        try:
            return main(["compare", str(video), *flags, *named, *map(str, more)])
        except SystemExit as exc:
            return exc.code

    return run


def test_a_comparison(compare, out, capsys):
    assert compare() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "strategy"
    assert [line.split()[0] for line in lines[1:3]] == ["default", "points"]
    assert lines[-1] == f"results in {out}"
    assert "--prompts top_k_points --refine none" in (out / "compare.html").read_text()


def test_the_command_is_on_the_page(compare, out):
    assert compare("--quiet", "--stride", "2") == 0
    record = json.loads((out / "compare.json").read_text())
    assert record["command"].startswith("persamhq-video compare ")
    assert record["command"].endswith("--try 'points=--prompts top_k_points --refine none' --quiet --stride 2")
    assert record["frames"] == 6


def test_quiet(compare, capsys):
    assert compare("--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_json_events(compare, capsys):
    assert compare("--json") == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["started", *["frame"] * 12, "complete"]


def test_a_file_as_a_strategy(compare, out, tmp_path):
    (tmp_path / "near.yaml").write_text("prompts: top_k_points\nmode: independent\n")
    assert compare("--quiet", tries=("default=", f"near={tmp_path / 'near.yaml'}")) == 0
    record = json.loads((out / "compare.json").read_text())
    assert record["strategies"]["near"]["mode"] == "independent"
    assert record["strategies"]["default"]["mode"] == "auto"


def test_a_second_comparison_has_to_be_asked_for(compare, capsys):
    assert compare("--quiet") == 0
    assert compare("--quiet") == 2
    assert "holds a comparison already; use --overwrite" in capsys.readouterr().err
    assert compare("--quiet", "--overwrite") == 0


def test_a_video_that_fails(compare, make_clip, out, capsys):
    assert compare("--quiet", video=make_clip("bad", trap=RED)) == 3
    assert capsys.readouterr().err.startswith("persamhq-video: error: frame 5: track failed: RuntimeError")
    assert not out.exists()


def test_an_interrupt(compare, make_clip, out, capsys):
    assert compare("--quiet", video=make_clip("long", trap=GREEN)) == 130
    assert capsys.readouterr().err == "persamhq-video: interrupted\n"
    assert not out.exists()


def test_a_broken_frame_leaves_nothing(compare, make_clip, out, capsys):
    clip = make_clip("cut")
    file = clip / "f007.png"
    file.write_bytes(file.read_bytes()[:200])
    assert compare("--quiet", video=clip) == 3
    assert "frame 7 is missing or broken" in capsys.readouterr().err
    assert not out.exists()


REFUSED = {
    "one strategy": ({"tries": ("a=",)}, "got 1 strategy to compare; give --try NAME=OPTIONS twice or more"),
    "none": ({"tries": ()}, "the following arguments are required: --try"),
    "no equals sign": ({"tries": ("a", "b=")}, "got --try 'a'; expected NAME=OPTIONS, such as near="),
    "no name": ({"tries": ("=--mode auto", "b=")}, "got --try '=--mode auto'"),
    "one name twice": ({"tries": ("a=", "a=")}, "--try a: there are two of that name"),
    "an unknown flag": ({"tries": ("a=", "b=--modes auto")}, "--try b: unrecognized arguments: --modes auto"),
    "a wrong choice": ({"tries": ("a=", "b=--mode now")}, "--try b: argument --mode: invalid choice: 'now'"),
    "a wrong value": ({"tries": ("a=", "b=--stride none")}, "--try b: option stride: got 'none'"),
    "a quote that is open": ({"tries": ("a=", "b=--prompts 'x")}, '--try b: got "--prompts \'x"; expected flags'),
    "a missing file": ({"tries": ("a=", "b=none.yaml")}, "--try b: cannot read the configuration none.yaml"),
    "another model": ({"tries": ("a=", "b=--model vit_b")}, "--try b: differs from a in model (vit_b, lite)"),
    "other outputs": ({"tries": ("a=", "b=--outputs masks")}, "--try b: compare has no use for the option outputs"),
    "an unknown selector": ({"tries": ("a=", "b=--prompts persam_vidio")}, "--try b: unknown prompt selector"),
    "a selector that chains": (
        {"tries": ("a=", "b=--mode independent --prompts persam_video")},
        "--try b: the prompt selector 'persam_video' needs earlier results",
    ),
    "a missing video": ({"video": "none.mp4"}, "none.mp4: no such file or folder"),
    "a missing mask": ({"mask": "none.png"}, "none.png: no such mask"),
    "missing annotations": ({"annotations": "none"}, "none: no such folder; --annotations takes a folder of PNGs"),
    "start beyond the end": ({"start": 99}, "got start 99, expected 0 to 11"),
}


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line(compare, out, capsys, changed, message):
    assert compare("--quiet", **changed) == 2
    error = capsys.readouterr().err
    assert error.startswith("persamhq-video: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_annotations_of_another_size(compare, out, tmp_path, capsys):
    (tmp_path / "truth").mkdir()
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "truth" / "f001.png")
    assert compare("--quiet", annotations=tmp_path / "truth") == 2
    assert "the annotation is 9x9 but the frames are 64x36" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("a=", "a", {}),
        ("a=--decoder hq --no-guidance", "a", {"decoder": "hq", "no_guidance": True}),
        ("a=--refine none", "a", {"refine": ()}),
        ("a=--without ridge --without motion", "a", {"without": ("ridge", "motion")}),
        ("a= --prompts=x ", "a", {"prompts": "x"}),
    ],
)
def test_parse_try(text, name, options):
    found, spec, config = parse_try(text)
    assert (found, spec) == (name, text.partition("=")[2].strip())
    assert config.model_dump(exclude_unset=True) == options


def test_a_file_with_a_wrong_key(tmp_path):
    (tmp_path / "a.yaml").write_text("promts: x\n")
    with pytest.raises(ConfigError, match=r"^--try a: unknown option 'promts' \(did you mean 'prompts'\?\)"):
        parse_try(f"a={tmp_path / 'a.yaml'}")
