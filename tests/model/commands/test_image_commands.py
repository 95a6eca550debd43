"""The commands on a small lite, from arguments to files."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_in_lite import tiny_lite

from persam_hq import cli
from persam_hq.image_files import read_mask

SIZE = (60, 90)


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    model = tiny_lite()
    monkeypatch.setattr("persam_hq.pretrained.load_model", lambda name, *, checkpoint, device: model)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


@pytest.fixture
def photos(tmp_path):
    """Two photos of an object and its mask in each."""
    for index in range(2):
        image = np.random.default_rng(index).integers(90, 130, (*SIZE, 3)).astype(np.uint8)
        image[20:40, 10 + 9 * index : 40] = (210, 60, 40)
        mask = np.zeros(SIZE, np.uint8)
        mask[20:40, 10 + 9 * index : 40] = 255
        for folder, pixels in (("images", image), ("annotations", mask)):
            (tmp_path / "cat" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "cat" / folder / f"{index}.png")
    return tmp_path / "cat" / "images"


def fails(capsys, *arguments):
    assert cli.main([str(argument) for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err.removeprefix("persam-hq: error: ")


def test_segment_writes_masks_and_overlays(photos, tmp_path, capsys):
    out = tmp_path / "out"
    images = [str(photos / "0.png"), str(photos / "1.png")]
    assert cli.main(["segment", *images, "--box", "10,20,40,40", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "0_overlay.jpg", "1.png", "1_overlay.jpg"]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["0.png", "1.png"]
    assert f"{read_mask(out / '0.png').sum()} pixels" in said[0]


def test_segment_takes_points_and_files_of_several_objects(photos, tmp_path, capsys):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"points": [[20, 30, 1], [80, 50, 0]]}, {"box": [60, 5, 80, 50]}]))
    common = [str(photos / "0.png"), "--out", str(tmp_path / "out")]
    assert cli.main(["segment", *common, "--prompts", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli.main(["segment", *common, "--point", "20,30", "--point", "80,50,0"]) == 0
    assert read_mask(tmp_path / "out" / "0.png").shape == SIZE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--point", "90,10"], "is 90x60, the point 90,10 is outside"),
        (["--box", "9,9,3,3"], "x0 < x1"),
        ([], "nothing says what to segment"),
        (["--point", "9,9", "--device", "mps"], "--device mps is not there; use --device cpu"),
    ],
)
def test_segment_says_what_is_wrong(photos, tmp_path, capsys, options, said):
    assert said in fails(capsys, "segment", photos / "0.png", "--out", tmp_path / "out", *options)


def test_images_that_cannot_be_told_apart_or_are_not_there(photos, tmp_path, capsys):
    common = ("--point", "9,9", "--out", tmp_path / "out")
    assert "two images are called 0" in fails(capsys, "segment", photos / "0.png", tmp_path / "0.jpg", *common)
    assert "no such image" in fails(capsys, "segment", photos / "7.png", *common)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a file")
    assert "cannot make the folder" in fails(capsys, "segment", photos / "0.png", *common)


def reference(photos):
    return ["--image", str(photos / "0.png"), "--mask", str(photos.parent / "annotations" / "0.png")]


def test_personalize_writes_a_mask_for_each_image(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["personalize", str(photos / "1.png"), *reference(photos), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1.png: ")
    assert "presence" in said
    assert read_mask(out / "1.png").shape == SIZE
    assert (out / "1_overlay.jpg").is_file()


def test_personalize_says_that_an_object_is_not_there(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("persam_hq.finder.PRESENT_FROM", 2.0)
    out = tmp_path / "out"
    assert cli.main(["personalize", str(photos / "1.png"), *reference(photos), "--out", str(out)]) == 0
    assert "1.png: not found, the mask is empty (presence" in capsys.readouterr().out
    assert not read_mask(out / "1.png").any()


def test_personalize_needs_a_mask_that_shows_something(photos, tmp_path, capsys):
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "empty.png")
    options = ("--image", photos / "0.png", "--mask", tmp_path / "empty.png", "--out", tmp_path / "out")
    assert "shows no object" in fails(capsys, "personalize", photos / "1.png", *options)


def test_evaluate_perseg_prints_a_table(photos, tmp_path, capsys):
    assert cli.main(["evaluate", "perseg", str(tmp_path), "--every-reference"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["object", "images", "mIoU", "bIoU"]
    assert lines[2].split()[:2] == ["cat", "2"]
    assert lines[-1].split()[:2] == ["mean", "2"]
    assert "is no folder" in fails(capsys, "evaluate", "perseg", tmp_path / "none")


def test_evaluate_prompts_prints_a_table(photos, tmp_path, capsys):
    for folder, source in (("JPEGImages", "images"), ("Annotations", "annotations")):
        (tmp_path / "davis" / folder).mkdir(parents=True)
        (photos.parent / source).rename(tmp_path / "davis" / folder / "clip")
    root = tmp_path / "davis"
    assert cli.main(["evaluate", "prompts", str(root), "--sequences", "clip", "--every", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[2].split()[:2] == ["clip", "2"]
    assert said.err == "clip\n"
    assert "no annotated sequence 'goat'" in fails(capsys, "evaluate", "prompts", root, "--sequences", "goat")


def test_evaluate_alone_shows_what_there_is(capsys):
    assert cli.main(["evaluate"]) == 0
    assert "perseg" in capsys.readouterr().out
