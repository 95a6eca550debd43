"""Animated GIFs: every frame is read, with or without control blocks, and a file that is cut short is told of."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import open_source
from persamhq_video.io.readers.gif import GifOutline, gif_outline, mended_gif

SIZE = (24, 32)
READERS = ("pyav", "decord")


def pictures(count=6):
    """Noise, so that no frame leans on the one before it."""
    levels = np.random.default_rng(0).integers(0, 2, (count, *SIZE)) * 255
    return [Image.fromarray(level.astype(np.uint8)) for level in levels]


def write(path, **options):
    first, *others = pictures()
    first.save(path, save_all=True, append_images=others, **options)
    return path


# Pillow writes control blocks where there is a delay, transparency or disposal
WRITTEN = {
    "no control blocks": {},
    "delays": {"duration": 40},
    "control blocks for some": {"duration": [0, 0, 100, 0, 200, 0]},
    "disposal": {"disposal": 2},
    "a comment": {"comment": b"hello"},
    "a loop and a comment": {"comment": b"hello", "loop": 0, "duration": 100},
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", WRITTEN)
def test_every_frame_is_read(kind, reader, tmp_path):
    source = open_source(write(tmp_path / "a.gif", **WRITTEN[kind]), reader=reader)
    frames = list(source.frames())
    assert source.num_selected == len(frames) == 6
    np.testing.assert_array_equal([frame.image[:, :, 0] for frame in frames], [np.asarray(one) for one in pictures()])
    assert all(after.pts > before.pts for before, after in pairwise(frames))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("options", [{}, {"duration": 100}])
@pytest.mark.parametrize(("left", "whole"), [(-3, 5), (0.7, 4), (0.4, 2)])
def test_a_file_that_is_cut_short_is_told_of(left, whole, options, reader, tmp_path):
    path = write(tmp_path / "a.gif", **options)
    data = path.read_bytes()
    path.write_bytes(data[: left if left < 0 else round(len(data) * left)])
    frames = open_source(path, reader=reader).frames()
    assert [next(frames).index for _ in range(whole)] == list(range(whole))
    with pytest.raises(DecodeError, match=f"frame {whole} missing or broken: the file ends in the middle of a frame"):
        next(frames)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + bytes(100)])
def test_the_end_alone_is_no_damage(change, tmp_path):
    path = write(tmp_path / "a.gif", duration=100)
    path.write_bytes(change(path.read_bytes()))
    assert gif_outline(path) == GifOutline()
    assert len(list(open_source(path).frames())) == 6


def test_a_file_that_is_whole_is_read_as_it_is(tmp_path):
    assert mended_gif(write(tmp_path / "a.gif", duration=100)) is None
    (tmp_path / "b.mp4").write_bytes(b"no GIF")
    assert gif_outline(tmp_path / "b.mp4") is None


def test_a_first_frame_that_is_cut_is_refused(tmp_path):
    path = write(tmp_path / "a.gif")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"a\.gif"):
        open_source(path)


def test_what_is_mended_is_the_same_animation(tmp_path):
    data = mended_gif(write(tmp_path / "a.gif"))
    assert isinstance(data, io.BytesIO)
    with Image.open(data) as mended:
        assert mended.n_frames == 6
