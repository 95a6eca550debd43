"""Frames whose samples have more than 8 bits: one range for the whole folder, said in one line, and never black."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from persamhq_video.io import open_source

SIZE = (24, 32)
SHADES = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
EIGHT = np.floor(SHADES * 255.999).astype(np.uint8)


def save(path, samples, tags=None):
    if samples.ndim == 3:
        cv2.imwrite(str(path), samples[:, :, ::-1])
    else:
        Image.fromarray(samples).save(path, tiffinfo=tags or {})


def whole(bits, dtype=np.uint16):
    return np.floor(SHADES * (2**bits - 1e-3)).astype(dtype)


# Samples, tags of the TIFF, and whether the range is said; all of them show the same shades
RANGES = {
    "10 bits in 16": (whole(10), {}, True),
    "12 bits in 16": (whole(12), {}, True),
    "14 bits in 16": (whole(14), {}, True),
    "8 bits in 16": (whole(8), {}, True),
    "16 bits": (whole(16), {}, False),
    "12 bits at the upper end of 16": (whole(12) << 4, {}, False),
    "12 bits in 32": (whole(12, np.int32), {}, True),
    "16 bits in 32": (whole(16, np.int32), {}, False),
    "24 bits in 32": (whole(24, np.int32), {}, True),
    "floats to 1": (SHADES.astype(np.float32), {}, True),
    "floats to 255": ((SHADES * 255).astype(np.float32), {}, True),
    "floats to 4095": ((SHADES * 4095).astype(np.float32), {}, True),
    "floats far below 1": ((SHADES * 1e-4).astype(np.float32), {}, True),
    "floats above 1": ((SHADES * 3).astype(np.float32), {}, True),
    "floats of both signs": ((SHADES * 2 - 1).astype(np.float32), {}, True),
    "signed": ((whole(12, np.int32) - 1024), {}, True),
    "min is white, 16 bits": (2**16 - 1 - whole(16), {262: 0}, True),
    "min is white, 12 bits": ((2**12 - 1 - whole(12)), {262: 0}, True),
    "the largest sample is stated": (whole(11), {281: 2**11 - 1}, True),
    "16 bits are stated, 12 are there": (whole(12), {281: 2**16 - 1}, True),
    "colours of 12 bits in 16": (np.dstack([whole(12)] * 3), {}, True),
    "colours of 16 bits": (np.dstack([whole(16)] * 3), {}, False),
}


@pytest.mark.parametrize("kind", RANGES)
def test_samples_are_scaled_by_what_is_in_the_folder(kind, tmp_path):
    samples, tags, is_said = RANGES[kind]
    save(tmp_path / "0.tif", samples, tags)
    source = open_source(tmp_path)
    (frame,) = source.frames()
    assert np.abs(frame.image.astype(int) - EIGHT[..., None]).max() <= 1
    assert len(source.info.notes) == is_said
    if is_said:
        assert "as black and" in source.info.notes[0]
        assert "\n" not in source.info.notes[0]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_colours_in_png_are_scaled_as_well(bits, tmp_path):
    save(tmp_path / "0.png", np.dstack([whole(bits), whole(bits) // 2, whole(bits) // 4]))
    (frame,) = open_source(tmp_path).frames()
    assert np.abs(frame.image[..., 0].astype(int) - EIGHT).max() <= 1
    assert np.abs(frame.image[..., 2].astype(int) - EIGHT // 4).max() <= 1


def test_the_range_is_that_of_the_whole_folder(tmp_path):
    for index, share in enumerate((0.05, 1.0, 0.5)):
        save(tmp_path / f"{index}.png", (whole(12) * share).astype(np.uint16))
    source = open_source(tmp_path, start=0, end=1)
    (dark,) = source.frames()
    assert dark.image.max() == 204 >> 4
    assert source.info.notes == (
        f"{tmp_path}: frames with samples of 0 to 4095, shown with 0 as black and 4095 as white",
    )


def test_dark_frames_stay_dark(tmp_path):
    # In 8 bits, and in 16 beside a frame that has all of them
    Image.fromarray(EIGHT // 16).save(tmp_path / "0.png")
    (frame,) = open_source(tmp_path).frames()
    np.testing.assert_array_equal(frame.image[..., 0], EIGHT // 16)
    for index, samples in enumerate((whole(16) // 32, whole(16))):
        save(tmp_path / f"{index}.png", samples)
    first, _ = open_source(tmp_path).frames()
    np.testing.assert_array_equal(first.image[..., 0], whole(16) // 32 >> 8)


def test_black_frames_and_samples_that_are_no_number(tmp_path):
    save(tmp_path / "0.tif", np.zeros(SIZE, np.uint16))
    (frame,) = open_source(tmp_path).frames()
    assert not frame.image.any()
    broken = SHADES.astype(np.float32)
    broken[0, 0], broken[0, 1] = np.nan, np.inf
    save(tmp_path / "0.tif", broken)
    (frame,) = open_source(tmp_path).frames()
    assert frame.image[0, 0, 0] == 0
    assert frame.image[0, 1, 0] == 255
    assert frame.image[-1, -1, 0] == 255


def written_tiff(samples, *, bits, sample_format):
    """A TIFF of a kind that Pillow does not write."""
    height, width = samples.shape
    data = samples.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags += [(279, len(data)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("samples", "bits", "sample_format"),
    [
        ((whole(8, np.int32) - 128).astype("<i1"), 8, 2),
        ((whole(16, np.int32) - 2**15).astype("<i2"), 16, 2),
        ((SHADES * (2**32 - 1)).astype("<u4"), 32, 1),
        ((SHADES * 2**31 - 2**30).astype("<i4"), 32, 2),
    ],
)
def test_signed_samples_and_all_of_32_bits(samples, bits, sample_format, tmp_path):
    (tmp_path / "0.tif").write_bytes(written_tiff(samples, bits=bits, sample_format=sample_format))
    (frame,) = open_source(tmp_path).frames()
    assert np.abs(frame.image[..., 0].astype(int) - EIGHT).max() <= 1
