"""The objects cut out: alpha is the mask, colours stay."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from persamhq_video.io import CutOut, SegmentedVideo
from persamhq_video.types import SourceInfo


def image_and_labels(height, width):
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 3, columns * 2, np.full((height, width), 90)], axis=-1).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[height // 4 : height // 2, width // 4 : width // 2] = 1
    labels[height // 2 :, width // 2 :] = 7
    return image, labels


@pytest.fixture(params=[(48, 64), (37, 53)], ids=["even", "odd"])
def video(request, tmp_path):
    """A written video of three frames, and what went into it."""
    image, labels = image_and_labels(*request.param)
    info = SourceInfo(
        Path("x"), "video", image.shape[1], image.shape[0], Fraction(1, 25), Fraction(25), num_frames=3, rotation=0
    )
    paths = []
    for name in ("one", "two"):
        kind = CutOut()
        segments = SegmentedVideo(kind.codec, info=info, folder=tmp_path / name)
        for index in range(3):
            segments.write(index, index, lambda: kind.picture(image, labels))  # noqa: B023 - called at once
        segments.finish()
        segments.join(tmp_path / f"{name}.mov", 3)
        paths.append(tmp_path / f"{name}.mov")
    return paths, image, labels


def test_alpha_is_the_mask_and_colours_stay(video):
    (path, _), image, labels = video
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "prores"
        assert stream.codec_context.format.name.startswith("yuva444p")
    assert len(frames) == 3
    rgba = frames[1].to_ndarray(format="rgba")
    np.testing.assert_array_equal(rgba[:, :, 3] > 127, labels > 0)
    assert set(np.unique(rgba[:, :, 3])) <= {0, 1, 254, 255}
    assert np.abs(rgba[:, :, :3].astype(int) - image).mean() < 3


def test_the_same_bytes_every_time(video):
    (one, two), _, _ = video
    assert one.read_bytes() == two.read_bytes()
