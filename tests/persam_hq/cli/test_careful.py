"""`persam-hq` on input that others refuse too: one line, the right exit code, and nothing that looks complete."""

import json
import os
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from PIL import Image
from stand_ins.lite import tiny_lite

from persam_hq.cli.main import main
from persam_hq.io import images
from persam_hq.io.images import read_mask
from persam_hq.io.text.shown_text import printable

SIZE = (60, 90)


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    """The small model, and where it was asked to run."""
    asked = []
    model = tiny_lite()

    def load(name, *, checkpoint, device):
        asked.append(device)
        return model

    monkeypatch.setattr("persam_hq.build.pretrained.load_model", load)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    return asked


@pytest.fixture
def photo(tmp_path):
    image = np.random.default_rng(0).integers(90, 130, (*SIZE, 3)).astype(np.uint8)
    image[20:40, 10:40] = (210, 60, 40)
    Image.fromarray(image).save(tmp_path / "0.png")
    return tmp_path / "0.png"


def ends(capsys, code, *arguments):
    """The one line of an error."""
    try:
        found = main([str(argument) for argument in arguments])
    except SystemExit as exc:
        found = exc.code
    err = capsys.readouterr().err
    assert (found, err.count("\n")) == (code, 1), err
    return err.removeprefix("persam-hq: error: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--box", "1,2,30,40", "--box", "5,6,50,50"], "--box is given twice; several objects go into one file of"),
        (["--mask-prompt", "a.png", "--mask-prompt", "b.png"], "--mask-prompt is given twice"),
        (["--prompts", "a.json", "--prompts", "b.json"], "--prompts is given twice"),
        (["--box", "1,2,30,40", "--mask-weights", "a", "--mask-weights", "b"], "--mask-weights is given twice"),
    ],
)
def test_what_is_given_twice_is_not_dropped(photo, tmp_path, capsys, options, said):
    assert said in ends(capsys, 2, "segment", photo, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--image", "--mask", "--save-weights"])
def test_a_second_reference_is_not_dropped(photo, tmp_path, capsys, option):
    twice = (option, "a.png", option, "b.png")
    assert f"{option} is given twice" in ends(capsys, 2, "personalize", photo, "--out", tmp_path / "out", *twice)


def test_points_are_many(photo, tmp_path):
    points = ("--point", "20,30", "--point", "30,30", "--point", "80,50,0")
    assert main(["segment", str(photo), *points, "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "is no JSON: brackets are nested too deeply"),
        ('[{"points": [[' + "1" * 5000 + ", 2]]}]", "is no JSON: Exceeds the limit"),
        ('[{"points": [[NaN, 2]]}]', "object 0.points.0.0 Input should be a finite number"),
        ('[{"box": [1, 2, Infinity, 9]}]', "object 0.box.2 Input should be a finite number"),
        ('[{"bbox": [1, 2, 1e400, 9]}]', "object 0.box.2 Input should be a finite number"),
        (f'[{{"bbox": [1, 2, {10**400}, 9]}}]', "bbox is X, Y, WIDTH, HEIGHT"),
        ('[{"points": [[1, 2], 3], "labels": [1, 0]}]', "object 0.points.1 Input should be a valid tuple"),
        ('[{"mask": "a\\u0000b.png"}]', "cannot be read as an image"),
        ("\ufeff[]", "at least 1 item"),
    ],
    ids=["deep", "digits", "nan", "infinity", "too large", "huge", "mixed points", "nul", "mark"],
)
def test_prompts_that_python_or_the_schema_refuses(photo, tmp_path, capsys, content, said):
    (tmp_path / "p.json").write_text(content, encoding="utf-8")
    line = ends(capsys, 2, "segment", photo, "--prompts", tmp_path / "p.json", "--out", tmp_path / "out")
    assert said in line
    assert len(line) < 500
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("box", ["nan,nan,nan,nan", "1,2,inf,9", "1,2,1e999,9"])
def test_boxes_that_are_no_numbers(photo, tmp_path, capsys, box):
    line = ends(capsys, 2, "segment", photo, "--box", box, "--out", tmp_path / "out")
    assert "Input should be a finite number" in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: &a [*a]", "the alias *a stands inside of what it stands for"),
        ("[" * 10_000, "values are nested more than 64 levels deep"),
        ("steps: 2024-99-99", "month must be in 1..12"),
        ("- a", "expected keys with values"),
        ("? [a]\n: b", "unhashable"),
        ("1: 2", "is not a training configuration: "),
        ("extends: ''", "Is a directory"),
        ('extends: "a\\0b"', "extends: expected the name of a YAML file"),
    ],
)
def test_configurations_that_yaml_refuses(tmp_path, capsys, content, said):
    (tmp_path / "c.yaml").write_text(content)
    assert said in ends(capsys, 2, "train", tmp_path / "c.yaml", "--out", tmp_path / "out")


def test_a_full_disk_is_a_failure_and_not_an_input(photo, tmp_path, capsys, monkeypatch):
    common = ("segment", photo, "--box", "1,2,30,40", "--out", tmp_path / "out")
    assert main([str(each) for each in common]) == 0
    before = read_mask(tmp_path / "out" / "0.png")
    capsys.readouterr()

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "atomic_write", full)
    assert "cannot write to" in ends(capsys, 3, *common)
    assert np.array_equal(read_mask(tmp_path / "out" / "0.png"), before)
    assert not (tmp_path / "out" / "scores.csv").exists()


@pytest.mark.parametrize("place", ["0.png/w.json", "folder"])
def test_weights_that_cannot_be_saved_are_told_before(photo, tmp_path, capsys, place):
    (tmp_path / "folder").mkdir()
    options = ("--image", photo, "--mask", photo, "--finetune", "--save-weights", tmp_path / place)
    line = ends(capsys, 2, "personalize", photo, *options, "--out", tmp_path / "out")
    assert "no file can be made there; choose another file" in line
    assert not (tmp_path / "out").exists()


def test_an_error_that_nobody_planned_is_a_line(photo, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no memory\nat all")

    monkeypatch.setattr("persam_hq.build.pretrained.load_model", fail)
    common = ("segment", photo, "--box", "1,2,30,40", "--out", tmp_path / "out")
    assert "RuntimeError: no memory at all (set PERSAMHQ_TRACEBACK=1" in ends(capsys, 3, *common)
    monkeypatch.setenv("PERSAMHQ_TRACEBACK", "1")
    assert main([str(each) for each in common]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_names_move_no_cursor_and_need_not_be_utf8(photo, tmp_path, capsys):
    odd = tmp_path / os.fsdecode(b"a\x1b[2J\xff.png")
    odd.write_bytes(photo.read_bytes())
    assert main(["segment", str(odd), "--box", "1,2,30,40", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("a\\x1b[2J\\udcff.png: object 1: ")
    assert b"\\udcff.png,1," in (tmp_path / "out" / "scores.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("\u00e9\u4e2d", "\u00e9\u4e2d"),
        ("a\x07\n", "a\\x07\\n"),
        ("\u202e", "\\u202e"),
        ("\x9b", "\\x9b"),
    ],
)
def test_control_characters_are_escapes(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("found", "device"),
    [({}, "cpu"), ({"cuda"}, "cuda"), ({"backends.mps"}, "mps"), ({"cuda", "backends.mps"}, "cuda")],
)
def test_the_device_is_the_best_there_is(photo, devices, monkeypatch, found, device):
    for name in found:
        monkeypatch.setattr(f"torch.{name}.is_available", lambda: True)
    common = ["segment", str(photo), "--box", "1,2,30,40", "--out", str(photo.parent / "out")]
    assert main(common) == main([*common, "--device", "cpu"]) == 0
    assert devices == [device, "cpu"]


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == metadata.version("persam-hq-video") + "\n"


def test_an_empty_home_is_told(capsys, monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", nobody)
    for name in ("PERSAM_HQ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert "no home folder for downloads; name a folder in PERSAM_HQ_CACHE" in ends(capsys, 2, "checkpoints", "list")
    assert "Could not determine home directory" in ends(capsys, 2, "checkpoints", "inspect", "~/w.pth")


def test_a_reader_that_goes_away_is_no_error():
    """Under two seconds, as neither torch nor a model is imported."""
    command = f"{sys.executable} -m persam_hq checkpoints list | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in {"0", "141"}


def test_a_folder_that_cannot_be_listed(photo, tmp_path, capsys, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    line = ends(capsys, 2, "segment", tmp_path, "--box", "1,2,30,40", "--out", tmp_path / "out")
    assert "cannot list the folder" in line


def test_a_checkpoint_of_another_shape_is_a_line(photo, tmp_path, capsys, monkeypatch):
    import torch
    from safetensors.torch import save_file

    from persam_hq.build import pretrained
    from persam_hq.build.lite import load_lite

    def load(name, *, checkpoint, device):
        load_lite(tiny_lite(), checkpoint)

    monkeypatch.setattr(pretrained, "load_model", load)
    state = {name: value.contiguous() for name, value in tiny_lite().state_dict().items()}
    save_file(state | {"mask_decoder.iou_token.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    common = ("segment", photo, "--box", "1,2,30,40", "--out", tmp_path / "out", "--checkpoint")
    assert "1 of another shape: mask_decoder.iou_token.weight (3,)" in ends(
        capsys, 2, *common, tmp_path / "w.safetensors"
    )


def test_json_of_mask_weights(photo, tmp_path, capsys):
    for content in ("[" * 100_000, json.dumps({"objects": {}}), "\0"):
        (tmp_path / "w.json").write_text(content)
        common = ("segment", photo, "--box", "1,2,30,40", "--out", tmp_path / "out")
        assert "w.json" in ends(capsys, 2, *common, "--mask-weights", tmp_path / "w.json")
