"""The commands on a small lite, from arguments to files."""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from stand_ins.lite import tiny_lite

from persam_hq.cli.main import main
from persam_hq.io.images import read_mask

SIZE = (60, 90)


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    model = tiny_lite()
    monkeypatch.setattr("persam_hq.build.pretrained.load_model", lambda name, *, checkpoint, device: model)
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
    assert main([str(argument) for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err.removeprefix("persam-hq: error: ")


def scores(out):
    with (out / "scores.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_segment_writes_masks_and_overlays(photos, tmp_path, capsys):
    out = tmp_path / "out"
    images = [str(photos / "0.png"), str(photos / "1.png")]
    assert main(["segment", *images, "--box", "10,20,40,40", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["0.png", "0_overlay.jpg", "1.png", "1_overlay.jpg", "contact_sheet.jpg", "scores.csv"]
    )
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["0.png", "1.png"]
    assert f"{read_mask(out / '0.png').sum()} pixels" in said[0]
    rows = scores(out)
    assert [(row["image"], row["object"]) for row in rows] == [("0.png", "1"), ("1.png", "1")]
    assert int(rows[1]["pixels"]) == read_mask(out / "1.png").sum()
    y, x = np.nonzero(read_mask(out / "0.png"))
    box = [str(value) for value in (x.min(), y.min(), x.max(), y.max())] if len(x) else [""] * 4
    assert [rows[0][name] for name in ("x0", "y0", "x1", "y1")] == box


def test_segment_takes_points_and_files_of_several_objects(photos, tmp_path, capsys):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"points": [[20, 30, 1], [80, 50, 0]]}, {"box": [60, 5, 80, 50]}]))
    common = [str(photos / "0.png"), "--out", str(tmp_path / "out")]
    assert main(["segment", *common, "--prompts", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["segment", *common, "--point", "20,30", "--point", "80,50,0"]) == 0
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


def test_results_never_replace_what_is_read(photos, capsys):
    photo, mask = photos / "0.png", photos.parent / "annotations" / "0.png"
    before = photo.read_bytes(), mask.read_bytes()
    assert "0.png is read" in fails(capsys, "segment", photo, "--point", "20,30", "--out", photos)
    common = ("segment", photo, "--mask-prompt", mask)
    assert "0.png is read" in fails(capsys, *common, "--out", mask.parent)
    common = ("personalize", "--image", photo, "--mask", mask, photo)
    assert "0.png is read" in fails(capsys, *common, "--out", mask.parent)
    assert (photo.read_bytes(), mask.read_bytes()) == before


def test_segment_takes_folders_and_rough_masks(photos, tmp_path):
    out, rough = tmp_path / "out", photos.parent / "annotations" / "0.png"
    assert main(["segment", str(photos), "--mask-prompt", str(rough), "--out", str(out)]) == 0
    assert [row["image"] for row in scores(out)] == ["0.png", "1.png"]
    (tmp_path / "p.json").write_text(json.dumps({"clicked_points": [[20, 30]], "mask": "cat/annotations/0.png"}))
    assert main(["segment", str(photos), "--prompts", str(tmp_path / "p.json"), "--out", str(out)]) == 0


def test_segment_with_the_hq_parts_or_without(photos, tmp_path):
    masks = {}
    for name, options in (("auto", []), ("on", ["--hq", "on"]), ("off", ["--hq", "off"]), ("one", ["--hq-token-only"])):
        out = tmp_path / name
        assert main(["segment", str(photos / "0.png"), "--point", "20,30", "--out", str(out), *options]) == 0
        masks[name] = read_mask(out / "0.png")
    assert np.array_equal(masks["auto"], masks["on"])
    assert not np.array_equal(masks["auto"], masks["off"])
    assert not np.array_equal(masks["auto"], masks["one"])


def test_hq_that_is_not_there(photos, tmp_path, capsys, monkeypatch):
    plain = tiny_lite(hq=False)
    monkeypatch.setattr("persam_hq.build.pretrained.load_model", lambda name, *, checkpoint, device: plain)
    common = (photos / "0.png", "--point", "20,30", "--out", tmp_path / "out")
    assert "--hq on: lite has no HQ parts; give an HQ-SAM" in fails(capsys, "segment", *common, "--hq", "on")
    assert "--hq-token-only asks for" in fails(capsys, "segment", *common, "--hq-token-only")
    assert "--hq-token-only asks for" in fails(capsys, "segment", *common, "--hq", "off", "--hq-token-only")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rough", "said"), [(np.full((9, 9), 255, np.uint8), "is 9x9, "), (np.zeros(SIZE, np.uint8), "is empty")]
)
def test_rough_masks_that_say_nothing(photos, tmp_path, capsys, rough, said):
    Image.fromarray(rough).save(tmp_path / "m.png")
    options = ("--mask-prompt", tmp_path / "m.png", "--out", tmp_path / "out")
    assert said in fails(capsys, "segment", photos / "0.png", *options)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_one_image_is_broken(photos, tmp_path, capsys):
    (photos / "2.png").write_bytes(b"text")
    common = (photos, "--out", tmp_path / "out")
    assert "2.png cannot be read as an image" in fails(capsys, "segment", *common, "--point", "9,9")
    assert "2.png cannot be read as an image" in fails(capsys, "personalize", *common, *reference(photos))
    assert not (tmp_path / "out").exists()
    (tmp_path / "bare").mkdir()
    wanted = ("--point", "9,9", "--out", tmp_path / "out")
    assert "holds no image" in fails(capsys, "segment", tmp_path / "bare", *wanted)


def reference(photos):
    return ["--image", str(photos / "0.png"), "--mask", str(photos.parent / "annotations" / "0.png")]


def test_personalize_writes_a_mask_for_each_image(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["personalize", str(photos / "1.png"), *reference(photos), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1.png: ")
    assert "presence" in said
    assert read_mask(out / "1.png").shape == SIZE
    assert (out / "1_overlay.jpg").is_file()


def test_personalize_says_that_an_object_is_not_there(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("persam_hq.finder.PRESENT_FROM", 2.0)
    out = tmp_path / "out"
    assert main(["personalize", str(photos / "1.png"), *reference(photos), "--out", str(out)]) == 0
    assert "1.png: not found, the mask is empty (presence" in capsys.readouterr().out
    assert not read_mask(out / "1.png").any()


def test_personalize_needs_a_mask_that_shows_something(photos, tmp_path, capsys):
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "empty.png")
    options = ("--image", photos / "0.png", "--mask", tmp_path / "empty.png", "--out", tmp_path / "out")
    assert "shows no object" in fails(capsys, "personalize", photos / "1.png", *options)


def test_personalize_searches_a_folder_of_objects(photos, tmp_path, capsys):
    root, out = photos.parent.parent, tmp_path / "out"
    assert main(["personalize", str(root), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("cat/1.png: ")
    assert said[-1].split()[:2] == ["mean", "1"]
    assert read_mask(out / "cat" / "1.png").shape == SIZE
    (row,) = scores(out)
    assert (row["image"], row["object"]) == ("cat/1.png", "cat")
    assert 0 <= float(row["iou"]) <= 1
    assert (out / "contact_sheet.jpg").is_file()


def test_only_the_reference_needs_an_annotation(photos, tmp_path, capsys):
    (photos.parent / "annotations" / "1.png").unlink()
    assert main(["personalize", str(photos.parent.parent), "--out", str(tmp_path / "out")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    (row,) = scores(tmp_path / "out")
    assert not row["iou"]
    (photos.parent / "annotations" / "0.png").rename(photos.parent / "annotations" / "7.png")
    said = fails(capsys, "personalize", photos.parent.parent, "--out", tmp_path / "other")
    assert "expected an annotated photo and others" in said
    assert not (tmp_path / "other").exists()


def test_several_objects_of_one_reference(photos, tmp_path, capsys):
    labels = np.zeros(SIZE, np.uint8)
    labels[20:40, 10:40], labels[5:15, 60:80] = 2, 7
    Image.fromarray(labels).save(tmp_path / "several.png")
    weights, out = tmp_path / "w.json", tmp_path / "out"
    given = ["--image", str(photos / "0.png"), "--mask", str(tmp_path / "several.png"), "--objects"]
    options = ["--finetune", "--save-weights", str(weights), "--out", str(out)]
    assert main(["personalize", str(photos), *given, *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[:2] for line in said[2:]] == [
        [image, f" object {name}"] for image in ("0.png", "1.png") for name in (2, 7)
    ]
    assert list(json.loads(weights.read_text())["objects"]) == ["2", "7"]
    found = [(row["image"], row["object"], int(row["pixels"])) for row in scores(out)]
    with Image.open(out / "1.png") as image:
        written = np.asarray(image)
    assert set(np.unique(written)) <= {0, 2, 7}
    assert found[2:] == [("1.png", str(value), int((written == value).sum())) for value in (2, 7)]


def test_objects_need_a_mask_of_ids(photos, tmp_path, capsys):
    out = ("--out", tmp_path / "out", "--objects")
    assert "--objects says what REFMASK holds" in fails(capsys, "personalize", photos.parent.parent, *out)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "none.png")
    given = ("--image", photos / "0.png", "--mask", tmp_path / "none.png")
    assert "shows no object" in fails(capsys, "personalize", photos, *given, *out)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "none.png")
    assert "mode RGB" in fails(capsys, "personalize", photos, *given, *out)
    # The soft edge of one object, not objects of a pixel each.
    edge = np.tile(np.clip(np.arange(SIZE[1]) * 9 - 200, 0, 255).astype(np.uint8), (SIZE[0], 1))
    Image.fromarray(edge).save(tmp_path / "none.png")
    assert "none.png: 29 values, looks like a lossy" in fails(capsys, "personalize", photos, *given, *out)
    assert not (tmp_path / "out").exists()


def test_annotations_of_another_size_are_seen_before_anything_is_written(photos, tmp_path, capsys):
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(photos.parent / "annotations" / "1.png")
    said = fails(capsys, "personalize", photos.parent.parent, "--out", tmp_path / "out")
    assert "1.png is not of its photo's size, 90x60" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["optimal", "published"])
def test_weights_are_fitted_saved_and_used(photos, tmp_path, capsys, solver):
    path = tmp_path / "w.json"
    options = ["--finetune", "--solver", solver, "--save-weights", str(path), "--out", str(tmp_path / "out")]
    assert main(["personalize", str(photos / "1.png"), *reference(photos), *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("object 1: mask weights ")
    assert said[0].endswith(f"({solver})")
    (record,) = json.loads(path.read_text())["objects"].values()
    assert record["reference"]["image"] == hashlib.sha256((photos / "0.png").read_bytes()).hexdigest()

    found = []
    for number, weights in enumerate(([3.0, -1.0, -1.0], [-3.0, 2.0, 2.0])):
        content = json.loads(path.read_text())
        content["objects"]["1"]["weights"] = weights
        path.write_text(json.dumps(content))
        out = tmp_path / str(number)
        common = ["--point", "20,30", "--mask-weights", str(path), "--out", str(out)]
        assert main(["segment", str(photos / "0.png"), *common]) == 0
        found += scores(out)
    assert found[0] != found[1]  # no more is to be seen of this small model


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--save-weights", "w.json"], "give both"),
        (["--image", "a.png"], "--image and --mask go together"),
        ([], "nothing shows the object"),
    ],
)
def test_personalize_says_what_is_missing(photos, tmp_path, capsys, options, said):
    assert said in fails(capsys, "personalize", photos / "1.png", "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_evaluate_perseg_prints_a_table(photos, tmp_path, capsys):
    assert main(["evaluate", "perseg", str(tmp_path), "--every-reference"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["object", "images", "mIoU", "bIoU"]
    assert lines[2].split()[:2] == ["cat", "2"]
    assert lines[-1].split()[:2] == ["mean", "2"]
    assert "is no folder" in fails(capsys, "evaluate", "perseg", tmp_path / "none")


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--published"], ["--hq", "off"]])
def test_evaluate_hq_prints_a_table(photos, tmp_path, capsys, options):
    root = tmp_path / "hq" / "thin_object_detection" / "COIFT"
    root.mkdir(parents=True)
    photos.rename(root / "images")
    (photos.parent / "annotations").rename(root / "masks")
    assert main(["evaluate", "hq", str(tmp_path / "hq"), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["set", "images", "mIoU", "mBIoU"]
    assert lines[2].split()[:2] == ["COIFT", "2"]
    assert lines[-1].split()[:2] == ["mean", "2"]


def test_evaluate_hq_says_what_is_wrong(tmp_path, capsys):
    assert "is no folder" in fails(capsys, "evaluate", "hq", tmp_path / "none")
    assert "--every is 0" in fails(capsys, "evaluate", "hq", tmp_path, "--every", "0")


@pytest.mark.slow
def test_evaluate_prompts_prints_a_table(photos, tmp_path, capsys):
    for folder, source in (("JPEGImages", "images"), ("Annotations", "annotations")):
        (tmp_path / "davis" / folder).mkdir(parents=True)
        (photos.parent / source).rename(tmp_path / "davis" / folder / "clip")
    root = tmp_path / "davis"
    assert main(["evaluate", "prompts", str(root), "--sequences", "clip", "--every", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[2].split()[:2] == ["clip", "2"]
    assert said.err == "clip\n"
    assert "no annotated sequence 'goat'" in fails(capsys, "evaluate", "prompts", root, "--sequences", "goat")


def test_evaluate_alone_shows_what_there_is(capsys):
    assert main(["evaluate"]) == 0
    assert "perseg" in capsys.readouterr().out
