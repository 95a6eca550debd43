"""Videos of pixels that are not square: every video file says so."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from persamhq_video.io import CutOut, LabelVideo, Matte, Overlay, SegmentedVideo

KINDS = {
    "overlay.mp4": Overlay(),
    "1.mp4": Matte(1),
    "1.mov": Matte(1, codec="prores"),
    "alpha.mov": CutOut(),
    "masks.mkv": LabelVideo(),
    "1.mkv": Matte(1, codec="ffv1"),
}


@pytest.fixture
def write(info_of, tmp_path):
    """Return a function that writes a video of three frames with pixels of an aspect."""

    def make(name, aspect):
        kind, folder = KINDS[name], tmp_path / f"{name}-{float(aspect):.3f}"
        video = SegmentedVideo(kind.codec, info=replace(info_of(), pixel_aspect=aspect), folder=folder / "segments")
        image, labels = np.full((48, 64, 3), 90, np.uint8), np.eye(48, 64, dtype=np.uint8)
        for index in range(3):
            video.write(index, index * 512, lambda: kind.picture(image, labels))
        video.finish()
        video.join(folder / name, 3)
        return folder / name

    return make


@pytest.mark.parametrize("name", ["overlay.mp4", "1.mp4", "1.mov", "alpha.mov"])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(64, 45), Fraction(9, 16)])
def test_the_file_says_so(name, aspect, write):
    with av.open(str(write(name, aspect))) as container:
        assert (container.streams.video[0].sample_aspect_ratio or 1) == aspect


@pytest.mark.parametrize("name", ["masks.mkv", "1.mkv"])
def test_ffv1_says_so_in_each_frame_and_keeps_the_masks(name, write, reread):
    square, wide = write(name, Fraction(1)), write(name, Fraction(64, 45))
    assert square.read_bytes() != wide.read_bytes()
    for (time, mask), (same_time, same_mask) in zip(reread(square, "gray")[0], reread(wide, "gray")[0], strict=True):
        assert time == same_time
        np.testing.assert_array_equal(mask, same_mask)
