"""Times of frames: the source's own, equal in both readers, and rising whatever the container."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from persamhq_video.io import MonotonicTimestamps, open_source

READERS = ("pyav", "decord")
AVI = {"time_base": Fraction(1, 25), "times": list(range(12))}
B_FRAMES = {"bf": "2", "x264-params": "b-adapt=0"}
MPEG2 = {"codec": "mpeg2video", "time_base": Fraction(1, 25), "times": list(range(12)), "options": {"bf": "2"}}


def times_of(path, reader="pyav"):
    return [frame.pts for frame in open_source(path, reader=reader).frames()]


def steps_of(times):
    return {after - before for before, after in pairwise(times)}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("h264.avi", {"options": B_FRAMES}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("no_reordering.avi", {"codec": "mpeg4"}),
    ],
)
def test_avi_has_decoding_times_alone(name, clip, reader, make_clip):
    assert times_of(make_clip(name, **clip, **AVI), reader) == list(range(12))


def test_asf_has_decoding_times_alone(make_clip, copy_packets, tmp_path):
    path = copy_packets(make_clip(options=B_FRAMES), tmp_path / "clip.wmv")
    assert steps_of(times_of(path)) == {40}


def test_null_frames_of_avi_are_gaps(make_clip, tmp_path):
    source = make_clip("whole.avi", codec="mpeg4", **AVI)
    with av.open(str(source)) as old, av.open(str(tmp_path / "gaps.avi"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.dts += 3 if packet.dts > 5 else 0
                packet.pts, packet.stream = packet.dts, stream
                new.mux(packet)
    assert times_of(tmp_path / "gaps.avi") == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "clip", "step"),
    [("a.mpg", MPEG2, 3600), ("a.ts", {"options": B_FRAMES}, 3600), ("a.mkv", {"options": B_FRAMES}, 40)],
)
def test_joined_files_go_on(name, clip, step, *, reader, make_clip, tmp_path):
    one = make_clip(name, **clip)
    both = tmp_path / f"both{one.suffix}"
    both.write_bytes(one.read_bytes() * 2)
    times = times_of(both, reader)
    assert len(times) == 24
    assert times[:12] == times_of(one)
    assert steps_of(times) == {step}


def test_a_clock_that_jumps_ahead_goes_on(make_clip, copy_packets, tmp_path):
    one = make_clip("a.ts")
    later = copy_packets(one, tmp_path / "b.ts", shift=90000 * 36000)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + later.read_bytes())
    assert steps_of(times_of(both)) == {3600}


@pytest.mark.parametrize("reader", READERS)
def test_a_frame_that_is_held_is_no_jump(reader, make_clip):
    times = [0, 512, 1024, 1024 + 12800 * 30]
    assert times_of(make_clip(count=4, times=times), reader) == times


def test_times_that_wrap_go_on(make_clip, copy_packets, tmp_path):
    near_the_end = 2**33 - 90000 * 36000 - 126000 - 4 * 3600
    path = copy_packets(
        copy_packets(make_clip("a.ts"), tmp_path / "b.ts", shift=90000 * 36000), tmp_path / "c.ts", shift=near_the_end
    )
    assert steps_of(times_of(path)) == {3600}


@pytest.mark.parametrize("reader", READERS)
def test_raw_streams_count_at_their_rate(reader, make_clip):
    path = make_clip("clip.m4v", codec="mpeg4", **AVI)
    times = times_of(path, reader)
    assert len(times) == 12
    assert len(steps_of(times)) == 1


@pytest.mark.parametrize("name", ["clip.h264", "clip.m2v"])
def test_a_raw_stream_has_a_start(name, make_clip):
    path = make_clip(name, **(MPEG2 if name == "clip.m2v" else {}))
    whole = list(open_source(path).frames())
    frames = list(open_source(path, start=4).frames())
    assert len(frames) == 8
    np.testing.assert_array_equal(frames[0].image, whole[4].image)


@pytest.mark.parametrize(
    ("name", "shift", "start"),
    [("clip.ts", 90000 * 36000, 36000), ("clip.ts", 0, 0), ("clip.mkv", 36_000_000, 36000), ("clip.mkv", 400, 0)],
)
def test_a_late_clock_is_known(name, shift, start, *, make_clip, copy_packets, tmp_path):
    path = copy_packets(make_clip(name, options={"bf": "0"}), tmp_path / f"late{name}", shift=shift)
    info = open_source(path).info
    assert int(info.start * info.time_base) == start
    assert times_of(path)[0] >= info.start


class TestWrittenTimes:
    def test_they_begin_at_zero_where_the_clock_stood_high(self):
        times = MonotonicTimestamps(Fraction(1, 90000), start=3_240_126_000)
        assert [times(3_240_126_000 + i * 3600, Fraction(1, 90000)) for i in range(3)] == [0, 3600, 7200]

    def test_a_resumed_run_goes_on(self):
        base = Fraction(1, 90000)
        times = MonotonicTimestamps.after(base, first_pts=9_000_000, first_base=base, last=3600, start=9_000_000)
        assert times(9_007_200, base) == 7200
