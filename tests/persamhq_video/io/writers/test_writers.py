"""The pictures of the videos: same bytes every time, nothing lost, times kept."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from persamhq_video.io import (
    MATTE_SUFFIXES,
    LabelVideo,
    Matte,
    MonotonicTimestamps,
    Overlay,
    SegmentedVideo,
    open_source,
    paint,
)

TICKS = Fraction(1, 12800)
NTSC = Fraction(1, 30000)
UNEVEN = [0, 512, 700, 2000, 2512, 3000, 5000, 5100, 5600, 7000]
MILLISECOND = Fraction(1, 1000)


def labels_at(i, *, height=48, width=64):
    labels = np.zeros((height, width), np.uint8)
    labels[5 + i : 25 + i, 5:30], labels[30:40, 20 + i : 45 + i] = 1, 200
    return labels


def image_at(i, *, height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows * 3, columns * 3, np.full_like(rows, 20 * i)]).astype(np.uint8)


def write(path, kind, info, times):
    rising = MonotonicTimestamps(info.time_base)
    with tempfile.TemporaryDirectory() as folder:
        video = SegmentedVideo(kind.codec, info=info, folder=Path(folder))
        for i, time in enumerate(times):
            size = {"height": info.height, "width": info.width}
            picture = partial(kind.picture, image_at(i, **size), labels_at(i, **size))
            video.write(i, rising(time, info.time_base), picture)
        video.finish()
        video.join(path, len(times))


def write_labels(path, info, times=UNEVEN):
    write(path, LabelVideo(), info, times)


def write_matte(path, info, times=UNEVEN, codec="h264"):
    write(path, Matte(1, codec=codec), info, times)


def write_overlay(path, info, times=UNEVEN):
    write(path, Overlay(), info, times)


WRITERS = {
    "masks.mkv": write_labels,
    "overlay.mp4": write_overlay,
    "matte.mp4": write_matte,
    "matte.mkv": lambda *args, **kwargs: write_matte(*args, codec="ffv1", **kwargs),
    "matte.mov": lambda *args, **kwargs: write_matte(*args, codec="prores", **kwargs),
}


@pytest.mark.parametrize("name", WRITERS)
def test_two_runs_write_the_same_bytes(name, info_of, tmp_path):
    for folder in ("first", "second"):
        WRITERS[name](tmp_path / folder / name, info_of())
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert [path.name for path in (tmp_path / "first").iterdir()] == [name]


@pytest.mark.parametrize(
    ("time_base", "times"),
    [
        (TICKS, UNEVEN),
        (NTSC, [1001 * i for i in range(10)]),
        (Fraction(1, 90000), [126000 + 3003 * i for i in range(10)]),
        (Fraction(1001, 30000), list(range(10))),
        (Fraction(1, 25), list(range(10))),
        (Fraction(1, 1_000_000), [41_667 * i + i % 3 for i in range(10)]),
    ],
)
@pytest.mark.parametrize("name", WRITERS)
def test_times_are_those_of_the_source(  # noqa: PLR0917 - parameters and fixtures
    name, time_base, times, info_of, reread, tmp_path
):
    WRITERS[name](tmp_path / name, info_of(time_base=time_base), times=times)
    frames, _ = reread(tmp_path / name, "gray")
    allowed = MILLISECOND / 2 if name.endswith(".mkv") else time_base / 2
    assert len(frames) == len(times)
    assert all(abs(got - time * time_base) <= allowed for (got, _), time in zip(frames, times, strict=True))


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_the_label_video_is_lossless_at_any_size(size, info_of, reread, tmp_path):
    write_labels(tmp_path / "masks.mkv", info_of(*size))
    frames, stream = reread(tmp_path / "masks.mkv", "gray")
    assert stream[:2] == ("ffv1", "gray")
    for i, (_, labels) in enumerate(frames):
        np.testing.assert_array_equal(labels, labels_at(i, height=size[0], width=size[1]))


def test_more_than_a_thousand_frames_a_second_keep_their_count(info_of, reread, tmp_path):
    times = list(range(20))
    write_labels(tmp_path / "masks.mkv", info_of(time_base=Fraction(1, 4000)), times=times)
    frames, _ = reread(tmp_path / "masks.mkv", "gray")
    assert len(frames) == 20
    assert all(abs(got - Fraction(time, 4000)) <= MILLISECOND / 2 for (got, _), time in zip(frames, times, strict=True))


@pytest.mark.parametrize("codec", MATTE_SUFFIXES)
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_matte_is_white_on_black(codec, size, info_of, tmp_path):
    path = tmp_path / f"1{MATTE_SUFFIXES[codec]}"
    write_matte(path, info_of(*size), codec=codec)
    shape = size if codec == "ffv1" else (48, 64)
    for i, frame in enumerate(open_source(path).frames()):
        assert frame.image.shape == (*shape, 3)
        mask = labels_at(i, height=size[0], width=size[1]) == 1
        seen = frame.image[: size[0], : size[1]]
        np.testing.assert_array_equal(seen.min(axis=2) > 127, mask)
        assert seen[mask].min() >= 245
        assert seen[~mask].max() <= 10


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "color_range"),
    [
        ("overlay.mp4", "h264", "yuv420p", 1),
        ("matte.mp4", "h264", "yuv420p", 1),
        ("matte.mov", "prores", "yuv422p10le", 1),
        ("matte.mkv", "ffv1", "gray", 2),
    ],
)
def test_streams_say_what_they_hold(  # noqa: PLR0917 - parameters and fixtures
    name, codec, pixels, color_range, info_of, reread, tmp_path
):
    WRITERS[name](tmp_path / name, info_of())
    assert reread(tmp_path / name, "gray")[1] == (codec, pixels, color_range)


def test_the_overlay_grows_to_even_sizes_and_keeps_its_colours(info_of, tmp_path):
    info = info_of(47, 63)
    write_overlay(tmp_path / "overlay.mp4", info)
    source = open_source(tmp_path / "overlay.mp4")
    assert (source.info.width, source.info.height) == (64, 48)
    for i, frame in enumerate(source.frames()):
        expected = paint(image_at(i, height=47, width=63), labels_at(i, height=47, width=63))
        difference = np.abs(frame.image[:47, :63].astype(int) - expected)
        assert difference.mean() < 6


def test_paint_tints_the_inside_and_outlines_white_on_dark():
    image = np.full((48, 64, 3), 100, np.uint8)
    painted = paint(image, labels_at(0))
    assert painted[15, 15].tolist() == [140, 50, 50]  # 0.5 * 100 + 0.5 * (181, 0, 0)
    assert painted[5, 5].tolist() == [255, 255, 255]
    assert painted[4, 5].tolist() == [0, 0, 0]
    assert painted[0, 60].tolist() == [100, 100, 100]
    assert (image == 100).all()
    with pytest.raises(ValueError, match=r"got an image of \(48, 64\) and labels of \(48, 63\)"):
        paint(image, labels_at(0, width=63))


@pytest.mark.parametrize(("times", "written"), [([5, 5, 5, 9], [5, 6, 7, 9]), ([10, 3, 20], [10, 11, 20])])
def test_times_that_do_not_rise_are_moved_on_by_one_tick(times, written, info_of, reread, tmp_path):
    tenth = Fraction(1, 10)
    for name in ("masks.mkv", "overlay.mp4"):
        WRITERS[name](tmp_path / name, info_of(time_base=tenth), times=times)
        frames, _ = reread(tmp_path / name, "gray")
        assert [round(time / tenth) for time, _ in frames] == written


@pytest.mark.parametrize("name", WRITERS)
def test_a_start_before_zero_loses_no_frame(name, info_of, reread, tmp_path):
    WRITERS[name](tmp_path / name, info_of(), times=[-1024 + 512 * i for i in range(10)])
    frames, _ = reread(tmp_path / name, "gray")
    assert [round(time / TICKS) for time, _ in frames] == [512 * i for i in range(10)]


def test_the_files_name_neither_program_nor_date(info_of, tmp_path):
    for name in ("masks.mkv", "overlay.mp4"):
        WRITERS[name](tmp_path / name, info_of())
        assert b"Lavf6" not in (tmp_path / name).read_bytes()
        with av.open(str(tmp_path / name)) as container:
            assert "creation_time" not in container.metadata
