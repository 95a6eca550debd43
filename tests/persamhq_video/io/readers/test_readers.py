"""The contract of the readers: same frames, same pixels, same times, whichever is chosen."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from persamhq_video.errors import ConfigError
from persamhq_video.io import open_source

READERS = ("pyav", "decord")
UNEVEN = [0, 512, 700, 2000, 2512, 3000, 5000, 5100, 5600, 7000, 7100, 9000]
B_FRAMES = {"options": {"bf": "3", "x264-params": "b-adapt=0"}}

CLIPS = {
    "turned_left": {"rotation": 90},
    "turned_right": {"rotation": -90},
    "upside_down": {"rotation": 180},
    "variable_rate": {"times": UNEVEN},
    "b_frames": B_FRAMES,
    "turned_b_frames": {"rotation": 90, **B_FRAMES, "times": UNEVEN},
    "ten_bits": {"pixels": "yuv420p10le"},
    "full_chroma": {"pixels": "yuv444p"},
    "bt709_full_range": {"colorspace": 1, "color_range": 2},
    "narrow_lines": {"width": 50, "height": 38},
    "late_start": {"times": [5120 + 512 * i for i in range(12)]},
}
OTHER_CONTAINERS = {
    "clip.mkv": B_FRAMES,
    "clip.ts": B_FRAMES,
    "clip.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "clip.avi": {"codec": "mpeg4", "time_base": Fraction(1, 25), "times": list(range(12)), "options": {"bf": "2"}},
}


def everything(path, **options):
    source = open_source(path, **options)
    return source, list(source.frames())


@pytest.mark.parametrize("clip", CLIPS)
def test_both_readers_deliver_the_same(clip, make_clip):
    path = make_clip(**CLIPS[clip])
    (_, expected), (_, got) = (everything(path, reader=reader) for reader in READERS)
    assert len(expected) == 12
    assert [frame.pts for frame in got] == [frame.pts for frame in expected]
    assert [frame.time_base for frame in got] == [frame.time_base for frame in expected]
    for ours, theirs in zip(expected, got, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)


@pytest.mark.parametrize("name", OTHER_CONTAINERS)
def test_both_readers_agree_on_other_containers(name, make_clip):
    path = make_clip(name, **OTHER_CONTAINERS[name])
    (_, expected), (_, got) = (everything(path, reader=reader) for reader in READERS)
    assert len(expected) == 12
    assert [frame.pts for frame in got] == [frame.pts for frame in expected]
    assert all((a.image == b.image).all() for a, b in zip(expected, got, strict=True))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("rotation", "red_at"),
    # The square's corner at (x 10, y 10) of 64x48, where the upright picture has it.
    [(None, (15, 15)), (90, (64 - 15, 15)), (-90, (15, 48 - 15)), (180, (48 - 15, 64 - 15))],
)
def test_pictures_are_upright(reader, rotation, red_at, make_clip):
    source, frames = everything(make_clip(rotation=rotation), reader=reader)
    turned = rotation in {90, -90}
    assert (source.info.width, source.info.height) == ((48, 64) if turned else (64, 48))
    assert source.info.rotation == (0 if rotation is None else -rotation % 360)
    assert frames[0].image.shape == ((64, 48, 3) if turned else (48, 64, 3))
    red, green, blue = frames[0].image[red_at].astype(int)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("reader", READERS)
def test_times_are_those_of_the_stream(reader, make_clip):
    _, frames = everything(make_clip(times=UNEVEN, **B_FRAMES), reader=reader)
    assert [frame.pts for frame in frames] == UNEVEN
    assert {frame.time_base for frame in frames} == {Fraction(1, 12800)}
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.name for frame in frames] == [f"{i:05d}" for i in range(12)]
    assert frames[2].pts_seconds == pytest.approx(700 / 12800)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("window", "positions"),
    [
        ({"start": 3}, range(3, 12)),
        ({"end": 5}, range(5)),
        ({"stride": 5}, range(0, 12, 5)),
        ({"start": 1, "end": 10, "stride": 4}, range(1, 10, 4)),
        ({"end": 99}, range(12)),
    ],
)
def test_a_window_keeps_the_times_and_counts_anew(reader, window, positions, make_clip):
    path = make_clip(times=UNEVEN)
    _, full = everything(path, reader=reader)
    source, frames = everything(path, reader=reader, **window)
    assert source.num_selected == len(frames)
    assert [frame.pts for frame in frames] == [UNEVEN[i] for i in positions]
    assert [frame.name for frame in frames] == [f"{i:05d}" for i in range(len(positions))]
    assert all((frame.image == full[i].image).all() for frame, i in zip(frames, positions, strict=True))


@pytest.mark.parametrize("reader", READERS)
def test_what_an_edit_list_hides_is_neither_shown_nor_missed(reader, make_clip, copy_packets, tmp_path):
    trimmed = copy_packets(make_clip(**B_FRAMES), tmp_path / "trimmed.mp4", shift=-512 * 4)
    source, frames = everything(trimmed, reader=reader)
    assert len(frames) == 8
    assert source.info.num_frames == source.num_selected == 8
    assert [b.pts - a.pts for a, b in pairwise(frames)] == [512] * 7


@pytest.mark.parametrize("reader", READERS)
def test_a_fragmented_file_promises_nothing_and_is_read_whole(reader, make_clip, copy_packets, tmp_path):
    muxer = {"movflags": "frag_keyframe+empty_moov"}
    source, frames = everything(copy_packets(make_clip(), tmp_path / "frag.mp4", muxer=muxer), reader=reader)
    assert len(frames) == 12
    assert source.info.num_frames is None


@pytest.mark.parametrize("reader", READERS)
def test_frames_can_be_read_twice_and_left_early(reader, make_clip):
    source = open_source(make_clip(), reader=reader)
    first = next(source.frames())
    again = list(source.frames())
    np.testing.assert_array_equal(first.image, again[0].image)
    assert not np.array_equal(again[0].image, again[5].image)


def test_info_says_what_the_container_says(make_clip):
    info = open_source(make_clip()).info
    assert (info.kind, info.num_frames, info.frame_rate) == ("video", 12, 25)
    assert info.time_base == Fraction(1, 12800)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, r"got start -1 and stride 1"),
        ({"stride": 0}, r"got start 0 and stride 0"),
        ({"start": 4, "end": 4}, r"got start 4 and end 4, no frame between"),
        ({"reader": "cv2"}, r"got reader 'cv2', expected pyav or decord"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message, make_clip):
    with pytest.raises(ConfigError, match=message):
        open_source(make_clip(count=2), **options)
