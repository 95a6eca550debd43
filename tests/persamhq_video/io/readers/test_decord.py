"""decord beside PyAV: whatever decord makes of a file, frames and errors are PyAV's."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import open_source
from persamhq_video.io.readers.decord_reader import DecordSource

MPEG2 = {"codec": "mpeg2video", "time_base": Fraction(1, 25), "times": list(range(12)), "options": {"bf": "2"}}
AVI = {"time_base": Fraction(1, 25), "times": list(range(12))}
ALT_REF = {"auto-alt-ref": "1", "lag-in-frames": "8", "arnr-maxframes": "3", "cpu-used": "8", "g": "6"}
OPEN_GOP = {"preset": "ultrafast", "x265-params": "open-gop=1:keyint=6:bframes=3:log-level=none:pools=1"}


def read(path, **options):
    return list(open_source(path, **options).frames())


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("mpeg2.ts", MPEG2),
        ("mpeg2.mpg", MPEG2),
        ("grey.avi", {"codec": "rawvideo", "pixels": "gray", **AVI}),
        ("rgb.mov", {"codec": "png", "pixels": "rgba"}),
        ("raw.m4v", {"codec": "mpeg4", **AVI}),
        ("alt_ref.webm", {"codec": "libvpx", "options": ALT_REF}),
        ("open_gop.mp4", {"codec": "libx265", "options": OPEN_GOP}),
        ("open_gop.mkv", {"codec": "libx265", "options": OPEN_GOP}),
    ],
)
@pytest.mark.parametrize("window", [{}, {"start": 5, "stride": 3}])
def test_both_readers_give_the_same(name, clip, window, make_clip):
    path = make_clip(name, **clip)
    expected, frames = read(path, **window), read(path, reader="decord", **window)
    assert len(frames) == len(range(12)[window.get("start", 0) :: window.get("stride", 1)])
    assert [frame.pts for frame in frames] == [frame.pts for frame in expected]
    for ours, theirs in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)


@pytest.mark.parametrize("codec", ["rawvideo", "png"])
@pytest.mark.parametrize("reader", ["pyav", "decord"])
def test_pictures_with_a_palette(codec, reader, tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (256, 4), dtype=np.uint8)
    colours[:, 0] = 255  # opaque
    with av.open(str(tmp_path / "clip.avi"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for number in range(4):
            indices = np.random.default_rng(number).integers(0, 255, (48, 64), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray((indices, colours), format="pal8")))
        container.mux(stream.encode(None))
    frames = read(tmp_path / "clip.avi", reader=reader)
    assert len(frames) == 4
    np.testing.assert_array_equal(frames[3].image, colours[indices][:, :, 1:])


@pytest.mark.parametrize("place", ["beside the first", "beside cover art"])
@pytest.mark.parametrize("reader", ["pyav", "decord"])
def test_a_second_stream_of_pictures(place, reader, make_clip, tmp_path):
    clip, other = (
        make_clip(),
        make_clip("other.mp4", codec="mjpeg", pixels="yuvj420p", width=32, height=32, count=1, times=[0]),
    )
    path = tmp_path / "both.mp4"
    with av.open(str(path), "w") as new, av.open(str(clip)) as one, av.open(str(other)) as two:
        streams = [new.add_stream_from_template(source.streams.video[0]) for source in (one, two)]
        if place == "beside cover art":
            streams[1].disposition = av.stream.Disposition.attached_pic
        for source, stream in zip((one, two), streams, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
    expected, frames = read(clip), read(path, reader=reader)
    assert [frame.size for frame in frames] == [(48, 64)] * 12
    np.testing.assert_array_equal(frames[7].image, expected[7].image)


@pytest.mark.parametrize("packet", [8, 16])
def test_damage_that_decord_conceals_is_an_error(packet, make_clip):
    path = make_clip(count=20, options={"g": "8", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(entry.pos, entry.size) for entry in container.demux(video=0) if entry.size]
    position, size = packets[packet]
    data = bytearray(path.read_bytes())
    data[position + size // 3 : position + size * 2 // 3] = bytes(size * 2 // 3 - size // 3)
    path.write_bytes(data)
    errors = []
    for reader in ("pyav", "decord"):
        with pytest.raises(DecodeError, match=r"missing or broken") as caught:
            read(path, reader=reader)
        errors.append((str(caught.value), caught.value.frame))
    assert errors[0] == errors[1]


def test_pictures_that_differ_are_not_taken(make_clip, monkeypatch):
    path = make_clip()
    next_image = DecordSource._next

    def spoilt(self, reader):
        image = next_image(self, reader)
        return image if self.count() < 4 else 255 - image

    calls = iter(range(100))
    monkeypatch.setattr(DecordSource, "count", lambda self: next(calls), raising=False)
    monkeypatch.setattr(DecordSource, "_next", spoilt)
    for ours, theirs in zip(read(path, reader="decord"), read(path), strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
    assert next(calls) == 5, "decord is left at its first difference"


@pytest.mark.parametrize("name", ["clip.h264", "clip.m2v"])
def test_a_raw_stream_that_decord_refuses(name, make_clip):
    path = make_clip(name, **(MPEG2 if name == "clip.m2v" else {}))
    with pytest.raises(InputError, match=r"decord cannot read it; use --reader pyav"):
        open_source(path, reader="decord")


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match=r"is no file but a pipe or device"):
        open_source(tmp_path / "pipe.mp4")
