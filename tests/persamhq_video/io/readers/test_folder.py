"""A folder of images as a source."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import open_source


def write_image(path, *, level=10, size=(64, 48), mode="RGB", **options):
    Image.new("RGB", size, (level, 0, 0)).convert(mode).save(path, **options)


def test_files_come_in_natural_order_whatever_their_suffix(tmp_path):
    names = ["f1.png", "f2.BMP", "f10.jpg", "f11.JPEG", "f100.tif", "f101.webp"]
    for level, name in enumerate(names):
        write_image(tmp_path / name, level=level * 20)
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_text("no frame")
    source = open_source(tmp_path)
    frames = list(source.frames())
    assert [frame.name for frame in frames] == ["f1", "f2", "f10", "f11", "f100", "f101"]
    assert [frame.image[0, 0, 0] for frame in frames] == pytest.approx([0, 20, 40, 60, 80, 100], abs=3)
    assert [frame.pts for frame in frames] == list(range(6))
    assert (source.info.kind, source.info.num_frames, source.info.time_base) == ("folder", 6, Fraction(1, 25))


def test_a_window_keeps_the_places_of_the_files(tmp_path):
    for i in range(8):
        write_image(tmp_path / f"{i:05d}.png", level=i)
    source = open_source(tmp_path, start=2, end=7, stride=2)
    frames = list(source.frames())
    assert source.num_selected == 3
    assert [(f.index, f.pts, f.name, int(f.image[0, 0, 0])) for f in frames] == [
        (0, 2, "00002", 2),
        (1, 4, "00004", 4),
        (2, 6, "00006", 6),
    ]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    write_image(tmp_path / "0.tif", mode=mode)
    (frame,) = open_source(tmp_path).frames()
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    Image.fromarray(np.full((48, 64), 0x8040, np.uint16)).save(tmp_path / "0.png")
    (frame,) = open_source(tmp_path).frames()
    assert (frame.image == 0x80).all()


def test_the_orientation_of_a_photograph_is_applied(tmp_path):
    picture = Image.new("RGB", (64, 48))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    picture.save(tmp_path / "0.png", exif=exif)
    source = open_source(tmp_path)
    (frame,) = source.frames()
    assert (source.info.width, source.info.height) == (48, 64)
    assert frame.image[0, 47].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (lambda d: None, {}, r"no frames in it; expected images named \.bmp"),
        (lambda d: write_image(d / "b.png", size=(64, 47)), {}, r"b\.png: is 64x47 but a\.png is 64x48"),
        (lambda d: (d / "b.png").write_text("words"), {}, r"b\.png: not an image that can be read \(unknown format\)"),
        (lambda d: write_image(d / "a.jpg"), {}, r"same name as"),
        (lambda d: write_image(d / "b.png"), {"start": 2}, r"got start 2, expected 0 to 1"),
    ],
)
def test_a_folder_that_cannot_be_worked_on_is_refused_when_opened(write, options, message, tmp_path):
    if "no frames" not in message:
        write_image(tmp_path / "a.png")
    write(tmp_path)
    with pytest.raises(InputError, match=message):
        open_source(tmp_path, **options)


def test_an_image_cut_short_ends_the_reading_after_the_sound_ones(tmp_path):
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    broken = tmp_path / "1.png"
    broken.write_bytes(broken.read_bytes()[:2000])
    stream = open_source(tmp_path).frames()
    assert next(stream).name == "0"
    with pytest.raises(DecodeError, match=r"1\.png: frame 1 is missing or broken") as caught:
        next(stream)
    assert caught.value.frame == 1
