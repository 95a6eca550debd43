"""COCO's run-length code, read back with a decoder of its own."""

import json
from fractions import Fraction

import numpy as np
import pytest

from persamhq_video.io import rle_of, write_rle
from persamhq_video.types import FrameResult, ObjectResult


def decoded(code):
    """The mask (H, W) of a code, written from the format's description and not from the encoder."""
    height, width = code["size"]
    runs, number, shift = [], 0, 0
    for character in code["counts"]:
        group = ord(character) - 48
        number |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number, shift = 0, 0
    pixels = np.concatenate([np.full(run, i % 2, bool) for i, run in enumerate(runs)])
    return pixels.reshape((height, width), order="F")


def blob(*size):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (rows - size[0] / 2) ** 2 / size[0] ** 2 + (columns - size[1] / 3) ** 2 / size[1] ** 2 < 0.06


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        # Worked out by hand: runs 6; 0 6; 1 1 4; and 2 1 3 (in columns).
        (np.zeros((2, 3), bool), "6"),
        (np.ones((2, 3), bool), "06"),
        (np.array([[0, 0, 0], [1, 0, 0]], bool), "114"),
        (np.array([[0, 1, 0], [0, 0, 0]], bool), "213"),
        # 16 does not fit into five bits with a sign: 10000, more; then 0.
        (np.zeros((4, 4), bool), "`0"),
        # Runs 1 1 1 3: the fourth is the difference 3 - 1 to the second.
        (np.array([[0, 0, 1], [1, 1, 1]], bool), "1112"),
    ],
)
def test_codes_worked_out_by_hand(mask, counts):
    assert rle_of(mask) == {"size": list(mask.shape), "counts": counts}


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((5, 7), bool),
        np.ones((5, 7), bool),
        np.eye(40, dtype=bool),
        blob(120, 90),
        ~blob(300, 500),
        np.random.default_rng(0).random((64, 48)) > 0.5,
        np.random.default_rng(1).random((480, 854)) > 0.999,
    ],
    ids=["empty", "full", "diagonal", "blob", "hole", "noise", "specks"],
)
def test_there_and_back(mask):
    np.testing.assert_array_equal(decoded(rle_of(mask)), mask)


def disc():
    rows, columns = np.mgrid[:30, :40]
    return (rows - 15) ** 2 + (columns - 13) ** 2 < 81


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        (disc(), "Q59d02N2N2N2O0000000000000001N2N2N2Nb`0"),
        (np.random.default_rng(0).random((6, 9)) > 0.5, "021O00000131MN0010O0041MO10O0O032"),
    ],
    ids=["disc", "noise"],
)
def test_what_pycocotools_makes_of_them(mask, counts):
    """Its version 2.0 agrees; the texts are what it returned."""
    assert rle_of(mask)["counts"] == counts


def frame_of(index, labels, score=0.5):
    entries = (
        ObjectResult(1, "present", score, 0.5, 0.5, area=4, box=(1, 0, 2, 1)),
        ObjectResult(2, "absent", 0.0, 0.5, 0.5, area=0, box=None),
    )
    return FrameResult(index, index, Fraction(1, 25), f"{index:05d}", labels, entries)


def test_the_file(tmp_path):
    labels = np.zeros((3, 4), np.uint8)
    labels[:2, 1:3] = 1
    path = tmp_path / "masks.rle.json"
    write_rle(
        path,
        iter([frame_of(0, labels), frame_of(1, labels, score=float("nan"))]),
        size=(3, 4),
        source_frame=lambda i: 40 + 2 * i,
    )
    content = json.loads(path.read_text())
    assert content["size"] == [3, 4]
    assert [frame["frame"] for frame in content["frames"]] == [0, 1]
    assert [frame["source_frame"] for frame in content["frames"]] == [40, 42]
    assert content["frames"][1]["pts_seconds"] == 0.04
    one, two = content["frames"][0]["objects"]
    assert (one["bbox"], one["state"], one["area"], one["score"]) == ([1, 0, 2, 2], "present", 4, 0.5)
    np.testing.assert_array_equal(decoded(one["segmentation"]), labels == 1)
    assert (two["bbox"], decoded(two["segmentation"]).any()) == (None, False)
    assert content["frames"][1]["objects"][0]["score"] is None


def test_no_frame(tmp_path):
    write_rle(tmp_path / "x.json", [], size=(3, 4), source_frame=int)
    assert json.loads((tmp_path / "x.json").read_text()) == {"size": [3, 4], "frames": []}
