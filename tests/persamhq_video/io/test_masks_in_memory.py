"""Masks that Python has in memory: arrays, tensors, lists and pictures are read as files of them would be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from persamhq_video.errors import InputError
from persamhq_video.io import davis_palette, label_map_of

SIZE = (48, 64)
SHAPE = np.zeros(SIZE, np.uint8)
SHAPE[10:30, 15:45] = 1
TWO = SHAPE.copy()
TWO[35:45, 5:25] = 2


def davis(indices):
    picture = Image.fromarray(indices)
    picture.putpalette(davis_palette().tobytes())
    return picture


@pytest.mark.parametrize(
    ("give", "labels"),
    [
        (lambda: SHAPE > 0, SHAPE),
        (lambda: SHAPE.astype(np.int64), SHAPE),
        (lambda: TWO.astype(np.uint16), TWO),
        (lambda: SHAPE * 255, SHAPE),
        (lambda: (SHAPE * 255).astype(np.int32), SHAPE),
        (lambda: SHAPE.astype(np.float32), SHAPE),
        (TWO.tolist, TWO),
        (lambda: SHAPE[None] > 0, SHAPE),
        (lambda: TWO[..., None], TWO),
        (lambda: np.array([[0, 0, 0], [255, 0, 0], [255, 255, 0]], np.uint8)[TWO], TWO),
        (lambda: davis(TWO), TWO),
        (lambda: np.asfortranarray(TWO), TWO),
        (lambda: SHAPE[None, None] > 0, SHAPE),
        (lambda: np.repeat(SHAPE[..., None], 3, axis=2) > 0, SHAPE),
        (lambda: (SHAPE * 255)[..., None].repeat(3, axis=2).astype(np.int64), SHAPE),
        (lambda: torch.from_numpy(TWO), TWO),
        (lambda: torch.from_numpy(SHAPE).float().requires_grad_(), SHAPE),
        (lambda: torch.from_numpy(SHAPE).bfloat16(), SHAPE),
    ],
)
def test_masks_in_memory_are_read_as_files_are(give, labels):
    np.testing.assert_array_equal(label_map_of(give(), size=SIZE).labels, labels)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((48, 63), np.uint8), "the mask is 63x48 but the frame is 64x48"),
        (np.zeros(SIZE, bool), "the mask is empty"),
        (SHAPE * 0.5, "a mask of fractions"),
        (SHAPE * np.nan, "a mask of fractions"),
        (-SHAPE.astype(int), "the negative value -1"),
        (SHAPE.astype(np.int64) << 40, "expected ids of 32 bits at most"),
        (np.full(SIZE, "a"), "got a mask .*; expected a file"),
        (None, "got a mask .*; expected a file"),
        ([[1, 2], [1]], "type list that is no array .*; expected a file"),
        (np.stack([SHAPE > 0, SHAPE > 0]), r"got a mask \(2, 48, 64\) bool; expected"),
        (SHAPE[..., None].repeat(3, axis=2) * 1000.0, r"got a mask \(48, 64, 3\) .*; expected"),
        (Image.new("L", (4, 4)), "the mask is 4x4"),
    ],
)
def test_masks_in_memory_are_refused_as_files_are(mask, message):
    with pytest.raises(InputError, match=message):
        label_map_of(mask, size=SIZE)


@pytest.mark.parametrize("name", ["mask.tif", "mask.png", "mask.webp", "mask.jpg"])
@pytest.mark.parametrize("is_decoded", [False, True])
def test_a_picture_in_memory_is_turned_as_its_file_is(name, is_decoded, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    shape = np.zeros(SIZE, np.uint8)
    shape[:16, :32] = 255  # of whole JPEG blocks
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(name[5:], {})
    Image.fromarray(np.ascontiguousarray(shape[::-1, ::-1])).save(tmp_path / name, exif=exif, **options)
    with Image.open(tmp_path / name) as picture:
        if is_decoded:
            picture.load()
        np.testing.assert_array_equal(label_map_of(picture, size=SIZE).labels, shape // 255)


def test_a_picture_in_memory_whose_lowest_value_is_white(tmp_path):
    samples = np.where(SHAPE > 0, 0, 2**16 - 1).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "mask.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "mask.tif") as picture:
        np.testing.assert_array_equal(label_map_of(picture, size=SIZE).labels, SHAPE)


def test_a_picture_in_memory_that_is_cut_short(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, SIZE, dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "mask.png")
    (tmp_path / "mask.png").write_bytes((tmp_path / "mask.png").read_bytes()[:1000])
    with Image.open(tmp_path / "mask.png") as picture, pytest.raises(InputError, match="cannot be decoded"):
        label_map_of(picture, size=SIZE)


def test_any_kind_of_path(tmp_path):
    class Named:
        def __fspath__(self):
            return str(tmp_path / "mask.png")

    Image.fromarray(TWO).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(label_map_of(Named(), size=SIZE).labels, TWO)
