"""Segments: the end of an attempt leaves no trace, times are exact, and joining holds one packet at a time."""

from __future__ import annotations

import resource
import tracemalloc
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pytest

from persamhq_video.errors import OutputError
from persamhq_video.io import LabelVideo, Matte, MonotonicTimestamps, Overlay, SegmentedVideo
from persamhq_video.io.writers.video_encoder import Packet, PictureEncoder, write_video

TICKS = Fraction(1, 12800)
KINDS = {
    "masks.mkv": LabelVideo(),
    "overlay.mp4": Overlay(),
    "matte.mp4": Matte(1),
    "matte.mkv": Matte(1, codec="ffv1"),
    "matte.mov": Matte(1, codec="prores"),
}
FRAMES = 150


def pictures_of(kind, index, *, height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    image = np.dstack([rows + index, columns * 3, rows * columns % 250]).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[index % 30 : index % 30 + 12, 5 : 25 + index % 7] = 1
    return partial(kind.picture, image, labels)


def add(video, kind, frames, times=None):
    for index in frames:
        video.write(index, 512 * index if times is None else times[index], pictures_of(kind, index))


def open_video(tmp_path, kind, info, folder="segments"):
    return SegmentedVideo(kind.codec, info=info, folder=tmp_path / folder)


def kill(video):
    """Leave everything as it is, but for the open file that Python would warn of."""
    if video._segment is not None:
        video._segment._file.close()


def whole(tmp_path, name, info, *, times=None, frames=FRAMES):
    video = open_video(tmp_path, KINDS[name], info, f"whole-segments-{name}")
    add(video, KINDS[name], range(frames), times)
    video.finish()
    video.join(tmp_path / f"whole-{name}", frames)
    return (tmp_path / f"whole-{name}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("cuts", [(0, 1), (63,), (64,), (65, 127), (128, 149), (70, 90, 110, 130, 150)])
def test_where_an_attempt_ended_leaves_no_trace(name, cuts, info_of, tmp_path):
    kind, info = KINDS[name], info_of()
    for cut in cuts:
        video = open_video(tmp_path, kind, info)
        start = video.first_missing(cut)
        assert start % 64 == 0 or start == cut
        add(video, kind, range(start, cut))
        kill(video)
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(video.first_missing(min(cuts[-1], FRAMES)), FRAMES))
    video.finish()
    video.join(tmp_path / name, FRAMES)
    assert (tmp_path / name).read_bytes() == whole(tmp_path, name, info)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (TICKS, [512 * i + (i * i) % 300 for i in range(FRAMES)]),
        (TICKS, [512 * i - 2000 for i in range(FRAMES)]),
        (Fraction(1, 30000), [7007 + 1001 * i for i in range(FRAMES)]),
        (Fraction(1001, 30000), list(range(FRAMES))),
        (Fraction(1, 90000), [126000 + 3003 * i + i % 2 for i in range(FRAMES)]),
        (Fraction(1, 1_000_000), [41_667 * i + i % 3 for i in range(FRAMES)]),
        (Fraction(1, 25), [0, 0, 0, *range(3, FRAMES - 2), 20, 10]),
    ],
)
@pytest.mark.slow
def test_joined_times_are_those_of_the_source(name, time_base, pts, info_of, reread, tmp_path):  # noqa: PLR0917
    info, rising = info_of(time_base=time_base), MonotonicTimestamps(time_base)
    times = [rising(value, time_base) for value in pts]
    whole(tmp_path, name, info, times=times)
    frames, _ = reread(tmp_path / f"whole-{name}", "gray")
    allowed = Fraction(1, 2000) if name.endswith(".mkv") else 0
    shift = max(0, -pts[0])
    assert len(frames) == FRAMES
    for (got, _), time, value in zip(frames, times, pts, strict=True):
        assert abs(got - time * time_base) <= allowed
        assert time == value + shift or sorted(pts) != pts or len(set(pts)) < FRAMES


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_a_joined_video_can_be_sought(name, info_of, tmp_path):
    whole(tmp_path, name, info_of())
    with av.open(str(tmp_path / f"whole-{name}")) as container:
        stream = container.streams.video[0]
        for index in (149, 128, 64, 63, 100):
            container.seek(round(index * 512 * TICKS / stream.time_base), stream=stream)
            first = next(container.decode(stream))
            assert first.pts * stream.time_base <= index * 512 * TICKS + Fraction(1, 2000)


@pytest.mark.parametrize("kind", [Overlay(), Matte(1)])
def test_equal_pictures_make_equal_packets_every_time(kind, info_of):
    info, noise = info_of(36, 50), np.random.default_rng(0).integers(0, 255, (22, 36, 50, 3), dtype=np.uint8)
    labels = (noise[0, ..., 0] > 128).astype(np.uint8)
    seen = set()
    for _ in range(200):
        encoder = PictureEncoder(kind.codec, info)
        packets = [p for i, image in enumerate(noise) for p in encoder.encode(kind.picture(image, labels), 512 * i)]
        seen.add(hash(b"".join(packet.data for packet in [*packets, *encoder.finish()])))
    assert len(seen) == 1


def test_a_pause_makes_a_video_and_leaves_the_segment_unfinished(info_of, reread, tmp_path):
    kind, info = KINDS["masks.mkv"], info_of()
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(100))
    video.pause()
    video.join(tmp_path / "masks.mkv", 100)
    assert len(reread(tmp_path / "masks.mkv", "gray")[0]) == 100
    assert open_video(tmp_path, kind, info).first_missing(100) == 64


@pytest.mark.parametrize("damage", ["torn", "empty", "other", "gone"])
def test_a_segment_that_is_not_whole_is_coded_again(damage, info_of, tmp_path):
    kind, info = KINDS["matte.mp4"], info_of()
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(130))
    kill(video)
    second = tmp_path / "segments" / "00001.packets"
    if damage == "gone":
        second.unlink()
    content = b"" if damage == "gone" else second.read_bytes()
    if damage != "gone":
        second.write_bytes({"torn": content[:-7], "empty": b"", "other": content.replace(b"libav", b"liban")}[damage])
    again = open_video(tmp_path, kind, info)
    assert again.first_missing(130) == 64
    add(again, kind, range(64, FRAMES))
    again.finish()
    again.join(tmp_path / "matte.mp4", FRAMES)
    assert (tmp_path / "matte.mp4").read_bytes() == whole(tmp_path, "matte.mp4", info)


def test_a_segment_that_the_disk_spoilt_is_told_and_removed(info_of, tmp_path):
    kind, info = KINDS["masks.mkv"], info_of()
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(70))
    video.finish()
    first = tmp_path / "segments" / "00000.packets"
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    with pytest.raises(OutputError, match=r"00000\.packets: was spoilt on the disk, so it is removed"):
        video.join(tmp_path / "masks.mkv", 70)
    assert [path.name for path in tmp_path.iterdir()] == ["segments"]
    assert open_video(tmp_path, kind, info).first_missing(70) == 0


def test_no_half_file_where_the_disk_is_full(info_of, tmp_path):
    kind, info = KINDS["masks.mkv"], info_of()
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(FRAMES))
    video.finish()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))  # as on a full disk, writing fails in the middle
    try:
        with pytest.raises(OutputError, match=r"masks\.mkv: cannot be written"):
            video.join(tmp_path / "masks.mkv", FRAMES)
        with pytest.raises(OutputError, match=r"00000\.packets: cannot be written"):
            add(open_video(tmp_path, kind, info, "others"), kind, range(FRAMES))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["others", "segments"]
    assert list((tmp_path / "others").iterdir()) == []
    video.join(tmp_path / "masks.mkv", FRAMES)
    assert (tmp_path / "masks.mkv").read_bytes() == whole(tmp_path, "masks.mkv", info)


def test_joining_holds_one_packet_at_a_time(info_of, tmp_path):
    kind, info = KINDS["masks.mkv"], info_of()
    video = open_video(tmp_path, kind, info)
    add(video, kind, range(64))
    video.finish()
    drawn = []

    def packets():
        for index in range(300):
            drawn.append(index)
            yield Packet(bytes(100_000), pts=512 * index, dts=512 * index, duration=0, is_key=True)

    extradata = bytes.fromhex(head_of(tmp_path / "segments" / "00000.packets")["extradata"])
    tracemalloc.start()
    write_video(tmp_path / "big.mkv", packets(), codec=kind.codec, info=info, extradata=extradata)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(drawn) == 300
    assert peak < 3_000_000


def head_of(path):
    import json

    return json.loads(path.read_bytes().split(b"\n", 2)[1])


def test_a_folder_that_cannot_be_made_is_said(info_of, tmp_path):
    (tmp_path / "file").touch()
    kind = KINDS["masks.mkv"]
    with pytest.raises(OutputError, match=r"00000\.packets: cannot be written \(.*\); check the folder"):
        add(open_video(tmp_path / "file", kind, info_of()), kind, [0])


def test_misuse_is_said_clearly(info_of, tmp_path):
    kind = KINDS["masks.mkv"]
    video = open_video(tmp_path, kind, info_of())
    with pytest.raises(ValueError, match=r"got frame 5, expected the start of its segment first"):
        add(video, kind, [5])
    with pytest.raises(ValueError, match=r"got a picture of 60x48 for a video of 64x48"):
        video.write(0, 0, pictures_of(kind, 0, width=60))
    video.abandon()
