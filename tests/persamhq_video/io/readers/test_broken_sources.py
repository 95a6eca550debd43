"""Sources that cannot be read, or not to their end."""

from __future__ import annotations

import pickle
import random

import av
import numpy as np
import pytest

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import open_source

READERS = ("pyav", "decord")
GROUPS = {"count": 20, "options": {"bf": "2", "g": "10", "x264-params": "b-adapt=0"}}


def packets_of(path):
    with av.open(str(path)) as container:
        return [(p.pos, p.size, p.pts) for p in container.demux(container.streams.video[0]) if p.size]


def damage(path, *, kind, packet=7):
    """Spoil one packet of the file; return the first frame that is decoded with it or after it."""
    packets = packets_of(path)
    position, size, _ = packets[packet]
    data = bytearray(path.read_bytes())
    if kind == "flipped byte":
        data[position + size // 2] ^= 0x55
    elif kind == "noise":
        data[position + 12 : position + size] = random.Random(1).randbytes(size - 12)
    else:
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    return min(pts for *_, pts in packets[packet:]) // 512


def read_until_error(path, **options):
    frames = []
    with pytest.raises(DecodeError, match=r"missing") as caught:
        collect(frames, open_source(path, **options))
    return frames, caught.value


def collect(frames, source):
    """Append one by one, so that what came before an error is kept."""
    for frame in source.frames():
        frames.append(frame)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["noise", "zeros"])
def test_frames_before_a_broken_packet_come_and_then_the_error(reader, kind, make_clip):
    path = make_clip(**GROUPS)
    sound = [frame.image for frame in open_source(path).frames()]
    broken = damage(path, kind=kind)
    frames, error = read_until_error(path, reader=reader)
    assert len(frames) == broken
    assert all((frame.image == image).all() for frame, image in zip(frames, sound, strict=False))
    assert error.frame == broken
    assert f"frame {broken} to 19" in str(error)
    assert "\n" not in str(error)


def test_damage_that_the_decoder_conceals_is_reported(make_clip):
    # By PyAV alone: decord does not say what its decoder concealed.
    path = make_clip(**GROUPS)
    broken = damage(path, kind="flipped byte")
    frames, error = read_until_error(path)
    assert error.frame == len(frames) >= broken
    assert "its data is damaged" in str(error)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_cut_short_is_reported(reader, make_clip, copy_packets, tmp_path):
    whole = copy_packets(make_clip(**GROUPS), tmp_path / "whole.mp4", muxer={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    frames, error = read_until_error(cut, reader=reader)
    assert 0 < len(frames) < 20
    assert error.frame == len(frames)
    assert "to 19" in str(error)


@pytest.mark.parametrize("reader", READERS)
def test_a_matroska_file_that_is_cut_short_is_reported(reader, make_clip, tmp_path):
    whole = make_clip("whole.mkv", count=30, options={"g": "5"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    frames, error = read_until_error(cut, reader=reader)
    assert 0 < len(frames) < 30
    assert "the file ends in the middle of its frames" in str(error)


@pytest.mark.parametrize("reader", READERS)
def test_damage_beyond_the_end_asked_for_does_not_matter(reader, make_clip):
    path = make_clip(**GROUPS)
    broken = damage(path, kind="zeros", packet=14)
    frames = list(open_source(path, reader=reader, end=broken - 4).frames())
    assert len(frames) == broken - 4


def test_the_error_counts_in_output_frames(make_clip):
    path = make_clip(**GROUPS)
    damage(path, kind="zeros", packet=15)
    frames, error = read_until_error(path, start=2, stride=3)
    assert error.frame == len(frames) == len(range(2, int(str(error).split("frame ")[1].split()[0]), 3))


def test_a_picture_that_changes_its_size_ends_the_reading(make_clip, tmp_path):
    small, large = make_clip("a.h264", count=4), make_clip("b.h264", count=4, width=96)
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    _, error = read_until_error(both)
    assert "the picture changes from 64x48 yuv420p to 96x48 yuv420p" in str(error)


def test_the_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(DecodeError("clip.mp4: frame 3 missing", frame=3)))
    assert (str(error), error.frame, error.exit_code) == ("clip.mp4: frame 3 missing", 3, 3)


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 44100, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, r"clip\.mp4: no such file or folder"),
        (lambda path: path.write_text("not a video, only words\n" * 50), r"clip\.mp4: not a video that can be read"),
        (lambda path: path.write_bytes(b""), r"clip\.mp4: not a video that can be read"),
        (audio_only, r"clip\.mp4: no video stream in it"),
    ],
)
def test_what_is_no_video_is_refused_when_opened(reader, write, message, tmp_path):
    path = tmp_path / "clip.mp4"
    write(path)
    with pytest.raises(InputError, match=message) as caught:
        open_source(path, reader=reader)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("reader", READERS)
def test_a_video_cut_before_its_first_frame_is_refused_when_opened(reader, make_clip, copy_packets, tmp_path):
    whole = copy_packets(make_clip(**GROUPS), tmp_path / "whole.mp4", muxer={"movflags": "faststart"})
    start = packets_of(whole)[0][0]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: start + 20])
    with pytest.raises(InputError, match=r"cut\.mp4: (its first frame cannot be decoded|no frame)"):
        open_source(cut, reader=reader)


@pytest.mark.parametrize("reader", READERS)
def test_a_start_beyond_the_end_is_refused(reader, make_clip):
    with pytest.raises(InputError, match=r"got start 12, expected 0 to 11"):
        open_source(make_clip(), reader=reader, start=12)
