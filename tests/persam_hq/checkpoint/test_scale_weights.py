import hashlib
import json

import pytest

from persam_hq.checkpoint.scale_weights import (
    ObjectWeights,
    ReferenceHashes,
    read_mask_weights,
    reference_hashes,
    weights_of,
    write_mask_weights,
)
from persam_hq.errors import InputError, OutputError

HASHES = ReferenceHashes(image="a" * 64, mask="b" * 64)


def fitted(*weights):
    return ObjectWeights(weights=weights, loss=0.25, solver="optimal", reference=HASHES)


def test_what_is_written_comes_back(tmp_path):
    objects = {"1": fitted(0.5, 0.25, 0.25), "cat": fitted(-0.5, 1.0, 0.5)}
    path = tmp_path / "deep" / "w.json"
    write_mask_weights(path, objects)
    assert read_mask_weights(path) == objects
    content = json.loads(path.read_text())
    assert content["format"] == "persam-hq mask weights"
    assert content["objects"]["cat"]["weights"] == [-0.5, 1.0, 0.5]
    assert content["objects"]["cat"]["reference"]["image"] == "a" * 64


def test_the_weights_of_an_object():
    several = {"1": fitted(1, 0, 0), "2": fitted(0, 1, 0)}
    assert weights_of(several, "2") == (0, 1, 0)
    with pytest.raises(InputError, match="no mask weights for object 3, only for 1, 2"):
        weights_of(several, "3")


def test_one_objects_weights_serve_all():
    assert weights_of({"cat": fitted(0, 0, 1)}, "3") == (0, 0, 1)


def test_hashes_of_the_files(tmp_path):
    image, mask = tmp_path / "i.png", tmp_path / "m.png"
    image.write_bytes(b"image")
    mask.write_bytes(b"mask")
    hashes = reference_hashes(image, mask)
    assert hashes.image == hashlib.sha256(b"image").hexdigest()
    assert hashes.mask == hashlib.sha256(b"mask").hexdigest()


def changed(**fields):
    record = fitted(0.5, 0.25, 0.25).model_dump() | fields
    return json.dumps({"format": "persam-hq mask weights", "version": 1, "objects": {"1": record}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "the whole"),
        ('{"objects": {}}', "objects: Dictionary should have at least 1 item"),
        (changed(weights=[0.5, 0.5]), r"objects\.1\.weights\.2: Field required"),
        (changed(weights=[0.5, 0.5, float("nan")]), r"objects\.1\.weights\.2: Input should be a finite number"),
        (changed(solver="best"), r"objects\.1\.solver"),
        (changed().replace('"version": 1', '"version": 2'), "version: Input should be 1"),
        (changed().replace("mask weights", "masks"), "format"),
    ],
)
def test_files_that_say_something_else(tmp_path, content, said):
    path = tmp_path / "w.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        read_mask_weights(path)
    assert "\n" not in str(caught.value)
    assert "personalize --save-weights" in str(caught.value)


def test_files_that_cannot_be_had(tmp_path):
    with pytest.raises(InputError, match="cannot read the mask weights"):
        read_mask_weights(tmp_path / "none.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the mask weights"):
        write_mask_weights(tmp_path / "file" / "w.json", {"1": fitted(1, 0, 0)})
