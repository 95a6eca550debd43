"""A folder of images as a source."""

from __future__ import annotations

import os
import pickle
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import FrameWindow, open_folder, open_source


def write_image(path, *, level=10, size=(64, 48), mode="RGB", **options):
    Image.new("RGB", size, (level, 0, 0)).convert(mode).save(path, **options)


def write_stack(path):
    pictures = [Image.new("RGB", (64, 48), (level, 0, 0)) for level in (0, 90, 180)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])


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
        (lambda d: write_image(d / "mask.png"), {}, r"mask\.png: is named as no frame is, among 2 images"),
        (lambda d: write_image(d / "a_gt.png"), {}, r"a_gt\.png: is named as no frame is"),
        (lambda d: write_image(d / "Thumbnail-2.jpg"), {}, r"Thumbnail-2\.jpg: is named as no frame is"),
        (lambda d: write_stack(d / "b.tif"), {}, r"b\.tif: holds 3 pictures \(pages or an animation\)"),
        (lambda d: write_stack(d / "b.webp"), {}, r"b\.webp: holds 3 pictures"),
        (lambda d: write_stack(d / "b.png"), {}, r"b\.png: holds 3 pictures"),
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


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_every_format_is_turned_upright_once(suffix, orientation, tmp_path):
    picture = np.zeros((48, 64), np.uint8)
    picture[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / f"0.{suffix}", exif=exif)
    source = open_source(tmp_path)
    (frame,) = source.frames()
    upright = np.rot90(picture, {3: 2, 6: -1, 8: 1}[orientation])
    assert (source.info.height, source.info.width) == upright.shape
    np.testing.assert_array_equal(frame.image[:, :, 0] > 128, upright > 128)


def test_a_page_that_is_a_preview_is_no_frame(tmp_path):
    page, preview = Image.new("RGB", (64, 48)), Image.new("RGB", (16, 12))
    page.save(tmp_path / "0.tif", save_all=True, append_images=[preview])
    assert len(list(open_source(tmp_path).frames())) == 1


def test_a_frame_over_the_limit_is_refused_by_its_header(tmp_path):
    write_image(tmp_path / "0.png", size=(1000, 1000), mode="1")
    with pytest.raises(InputError, match=r"1000x1000 is more than the limit of 999999 pixels; raise --max-pixels"):
        open_folder(tmp_path, FrameWindow(), max_pixels=999_999)
    assert open_folder(tmp_path, FrameWindow(), max_pixels=1_000_000).info.width == 1000


@pytest.mark.parametrize(
    ("names", "is_odd"),
    [
        (["1", "2", "3", "background"], True),
        (["f1", "f2", "f3", "g"], True),
        (["IMG", "IMG (2)", "IMG (3)", "IMG (10)"], False),
        (["a", "b", "c"], False),
        (["mask1", "mask2", "mask3"], False),
        (["1", "2", "3", "a4"], False),
    ],
)
def test_a_name_without_number_among_counted_frames_is_told_of(names, is_odd, tmp_path):
    for name in names:
        write_image(tmp_path / f"{name}.png")
    notes = open_source(tmp_path).info.notes
    assert bool(notes) == is_odd
    if is_odd:
        assert f"{names[-1]}.png: has no number as the other frames have" in notes[0]


def test_a_frame_that_was_replaced_since_it_was_hashed_is_refused(tmp_path):
    for i in range(3):
        write_image(tmp_path / f"{i}.png", level=i)
    source = open_source(tmp_path)
    before = source.content_sha256()
    stream = source.frames()
    next(stream)
    # The same size, and the time of before
    status = (tmp_path / "1.png").stat()
    write_image(tmp_path / "1.png", level=99)
    os.utime(tmp_path / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DecodeError, match=r"1\.png: frame 1 is another picture than at the start") as caught:
        next(stream)
    assert caught.value.frame == 1
    assert open_source(tmp_path).content_sha256() != before


def test_a_frame_that_was_only_touched_stays_the_same(tmp_path):
    write_image(tmp_path / "0.png")
    source = open_source(tmp_path)
    source.content_sha256()
    os.utime(tmp_path / "0.png", (1, 1))
    assert len(list(source.frames())) == 1


@pytest.mark.parametrize("suffix", ["tif", "webp"])
def test_a_stack_of_pictures_is_no_video_file(suffix, tmp_path):
    write_stack(tmp_path / f"stack.{suffix}")
    with pytest.raises(InputError, match=r"holds 3 pictures, which cannot be read as a video"):
        open_source(tmp_path / f"stack.{suffix}")


@pytest.mark.parametrize("name", ["first.png", "00003.png"])
def test_a_palette_among_photos_is_no_frame(name, tmp_path):
    for i in range(3):
        write_image(tmp_path / f"{i:05d}.jpg")
    write_image(tmp_path / name, mode="P")
    with pytest.raises(InputError, match=r"\.png: is of another format and kind than the 3 other frames \(jpg, RGB\)"):
        open_source(tmp_path)
    # A frame that was saved as another format, or without colour, is one
    (tmp_path / name).unlink()
    write_image(tmp_path / "00003.png")
    write_image(tmp_path / "00004.jpg", mode="L")
    assert open_source(tmp_path).num_selected == 5


def test_a_source_that_knows_its_frames_travels(tmp_path):
    Image.fromarray(np.full((48, 64), 3000, np.uint16)).save(tmp_path / "0.png")
    source = open_source(tmp_path)
    source.content_sha256()
    (frame,) = pickle.loads(pickle.dumps(source)).frames()
    assert (frame.image == 3000 >> 4).all()
    Image.fromarray(np.full((48, 64), 30, np.uint16)).save(tmp_path / "0.png")
    with pytest.raises(DecodeError, match="another picture than at the start"):
        next(pickle.loads(pickle.dumps(source)).frames())
